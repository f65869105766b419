// A way of the camera: places that were kept, played as one movement. The file that is saved is one
// that `barfield render RUN --path FILE` takes.

import { CatmullRomCurve3, Vector3 } from "three";
import type { Keyframe } from "../messages";
import { Signal } from "../signal";
import type { View } from "./view";

export interface Place {
  position: Vector3;
  target: Vector3;
  fov: number;
}

export class CameraPath {
  readonly changed = new Signal();
  places: Place[] = [];
  secondsEach = 2;
  playing = false;
  private at = 0;
  private readonly animate = (delta: number) => this.step(delta);

  constructor(private readonly view: View) {}

  get seconds(): number {
    return Math.max(0, this.places.length - 1) * this.secondsEach;
  }

  add(): void {
    const { controls, camera } = this.view;
    this.places.push({
      position: controls.getPosition(new Vector3()),
      target: controls.getTarget(new Vector3()),
      fov: camera.fov,
    });
    this.changed.emit();
  }

  remove(index: number): void {
    this.places.splice(index, 1);
    if (this.places.length < 2) this.stop();
    this.changed.emit();
  }

  clear(): void {
    this.stop();
    this.places = [];
    this.changed.emit();
  }

  show(index: number): void {
    const place = this.places[index];
    if (!place) return;
    this.view.touched = true;
    this.view.setFov(place.fov);
    void this.view.controls.setLookAt(...flat(place), true);
  }

  play(): void {
    if (this.places.length < 2) return;
    this.playing = true;
    this.at = 0;
    this.view.touched = true;
    this.view.animations.add(this.animate);
    this.view.invalidate();
    this.changed.emit();
  }

  stop(): void {
    if (!this.playing) return;
    this.playing = false;
    this.view.animations.delete(this.animate);
    this.changed.emit();
  }

  toJson(): Keyframe[] {
    const round = (v: Vector3): [number, number, number] => [v.x, v.y, v.z];
    return this.places.map(({ position, target, fov }, n) => ({
      position: round(position),
      look_at: round(target),
      up: round(this.view.up),
      fov_deg: fov,
      seconds: n * this.secondsEach,
    }));
  }

  /** Raises an Error in words where it is no such file. */
  fromJson(data: unknown): void {
    if (!Array.isArray(data) || !data.length) throw new Error("This is no list of cameras.");
    const places = data.map((entry: Partial<Keyframe>, n) => {
      const { position, look_at, fov_deg } = entry;
      if (!isVector(position) || !isVector(look_at)) {
        throw new Error(`Entry ${n + 1} has no position and look_at.`);
      }
      return {
        position: new Vector3(...position),
        target: new Vector3(...look_at),
        fov: typeof fov_deg === "number" ? fov_deg : this.view.camera.fov,
      };
    });
    this.stop();
    this.places = places;
    const [first, second] = data as Keyframe[];
    const each = (second?.seconds ?? 0) - (first?.seconds ?? 0);
    if (each > 0) this.secondsEach = each;
    this.changed.emit();
  }

  private step(delta: number): boolean {
    this.at += delta / Math.max(this.seconds, 1e-3);
    const t = Math.min(1, this.at);
    const position = curve(this.places.map((place) => place.position)).getPoint(t);
    const target = curve(this.places.map((place) => place.target)).getPoint(t);
    void this.view.controls.setLookAt(position.x, position.y, position.z, target.x, target.y, target.z, false);
    const fov = this.lens(t);
    if (fov !== this.view.camera.fov) this.view.setFov(fov);
    if (t >= 1) this.stop();
    return this.playing;
  }

  /** Degrees, at a share of the way: from place to place as the film has it. */
  private lens(t: number): number {
    const at = t * (this.places.length - 1);
    const before = this.places[Math.floor(at)]!;
    const after = this.places[Math.ceil(at)]!;
    return before.fov + (after.fov - before.fov) * (at % 1);
  }
}

function curve(places: Vector3[]): CatmullRomCurve3 {
  return new CatmullRomCurve3(places, false, "centripetal");
}

function flat({ position: p, target: t }: Place): [number, number, number, number, number, number] {
  return [p.x, p.y, p.z, t.x, t.y, t.z];
}

function isVector(value: unknown): value is [number, number, number] {
  return Array.isArray(value) && value.length === 3 && value.every((one) => Number.isFinite(one));
}
