// Keys that move the camera, and the mode in which dragging turns the head instead of the scene.

import { Vector3 } from "three";
import type { View } from "./view";

const WAYS: { [code: string]: [number, number, number] } = {
  KeyW: [0, 0, 1],
  KeyS: [0, 0, -1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyE: [0, 1, 0],
  KeyQ: [0, -1, 0],
  ArrowUp: [0, 0, 1],
  ArrowDown: [0, 0, -1],
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
};
const RADII_PER_S = 0.5;
const FAST = 3;

export class Fly {
  on = false;
  private readonly held = new Set<string>();
  private fast = false;

  constructor(private readonly view: View) {
    view.canvas.addEventListener("keydown", (event) => this.press(event));
    addEventListener("keyup", (event) => {
      this.held.delete(event.code);
      this.fast = event.shiftKey;
    });
    addEventListener("blur", () => this.held.clear());
    view.animations.add((delta) => this.step(delta));
  }

  /** Turn the mode on or off; what is in front stays in front. */
  set(on: boolean): void {
    if (on === this.on) return;
    this.on = on;
    const { controls, radius } = this.view;
    const position = controls.getPosition(new Vector3());
    const ahead = controls.getTarget(new Vector3()).sub(position).normalize();
    const distance = on ? radius * 1e-3 : radius;
    const target = position.clone().addScaledVector(ahead, distance);
    controls.minDistance = on ? distance : radius * 1e-4;
    controls.azimuthRotateSpeed = controls.polarRotateSpeed = on ? -0.35 : 1;
    controls.dollyToCursor = !on;
    void controls.setLookAt(position.x, position.y, position.z, target.x, target.y, target.z, false);
    this.view.invalidate();
  }

  private press(event: KeyboardEvent): void {
    if (!WAYS[event.code] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.held.add(event.code);
    this.fast = event.shiftKey;
    this.view.touched = true;
    this.view.invalidate();
  }

  private step(delta: number): boolean {
    if (!this.held.size) return false;
    const way = new Vector3();
    for (const code of this.held) way.add(new Vector3(...(WAYS[code] ?? [0, 0, 0])));
    const { controls, radius } = this.view;
    const near = this.on ? 1 : Math.min(2, Math.max(0.15, controls.distance / radius));
    way.multiplyScalar(delta * radius * RADII_PER_S * near * (this.fast ? FAST : 1));
    const { camera } = this.view;
    const right = new Vector3().setFromMatrixColumn(camera.matrixWorld, 0);
    const ahead = new Vector3().setFromMatrixColumn(camera.matrixWorld, 2).negate();
    const shift = right.multiplyScalar(way.x).addScaledVector(camera.up, way.y).addScaledVector(ahead, way.z);
    const target = controls.getTarget(new Vector3()).add(shift);
    void controls.moveTo(target.x, target.y, target.z, false);
    return true;
  }
}
