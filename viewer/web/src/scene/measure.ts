// Measuring between two places that are clicked on.

import { BufferGeometry, Float32BufferAttribute, Group, LineBasicMaterial, LineSegments, Matrix4, Vector3 } from "three";
import { h, setText } from "../dom";
import { number } from "../format";
import type { View } from "./view";

const NEAR_PX = 10;
const BEHIND = 1.02; // as far as a surface, for points that lie on it

export class Measure {
  readonly group = new Group();
  readonly label = h("div", { class: "measure", hidden: true });
  on = false;
  private places: Vector3[] = [];
  private readonly line = new LineSegments(
    new BufferGeometry(),
    new LineBasicMaterial({ color: 0xffc84d, depthTest: false, transparent: true }),
  );

  constructor(
    private readonly view: View,
    private readonly pick: (x: number, y: number) => Vector3 | null,
  ) {
    this.line.frustumCulled = false;
    this.line.renderOrder = 10;
    this.line.visible = false;
    this.group.add(this.line);
    view.drawn.on(() => this.placeLabel());
  }

  get length(): number | null {
    const [a, b] = this.places;
    return a && b ? a.distanceTo(b) : null;
  }

  set(on: boolean): void {
    this.on = on;
    this.places = [];
    this.show();
  }

  /** Take the place under the pointer; true if there was one. */
  click(x: number, y: number): boolean {
    const found = this.pick(x, y);
    if (!found) return false;
    if (this.places.length === 2) this.places = [];
    this.places.push(found);
    this.show();
    return true;
  }

  private show(): void {
    const [a, b] = this.places;
    const parts: number[] = [];
    const arm = this.view.radius * 0.01;
    for (const place of this.places) {
      for (const axis of [new Vector3(arm, 0, 0), new Vector3(0, arm, 0), new Vector3(0, 0, arm)]) {
        parts.push(...place.clone().sub(axis), ...place.clone().add(axis));
      }
    }
    if (a && b) parts.push(...a, ...b);
    this.line.geometry.dispose();
    this.line.geometry.setAttribute("position", new Float32BufferAttribute(parts, 3));
    this.line.visible = parts.length > 0;
    this.label.hidden = !this.on;
    if (a && b) {
      const rise = b.clone().sub(a).dot(this.view.up);
      const level = Math.sqrt(Math.max(0, a.distanceToSquared(b) - rise * rise));
      setText(this.label, `${number(a.distanceTo(b), 4)} units · level ${number(level)} · up ${number(rise)}`);
    } else {
      setText(this.label, a ? "Click the second point" : "Click the first point");
    }
    this.view.invalidate();
  }

  private placeLabel(): void {
    const [a, b] = this.places;
    const at = a && b && this.view.project(a.clone().add(b).multiplyScalar(0.5));
    this.label.style.left = at ? `${at.x}px` : "50%";
    this.label.style.top = at ? `${at.y}px` : "16px";
  }
}

/** The point that is drawn nearest to a place on the canvas; of several there, the front one. */
export function nearest(view: View, points: Iterable<Vector3>, x: number, y: number): Vector3 | null {
  const { camera, canvas } = view;
  const m = new Matrix4().multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse).elements;
  const [halfWidth, halfHeight] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const [atX, atY] = [x / halfWidth - 1, 1 - y / halfHeight];
  let found: Vector3 | null = null;
  let best = Infinity;
  for (const point of points) {
    const depth = m[3]! * point.x + m[7]! * point.y + m[11]! * point.z + m[15]!;
    if (depth <= 0) continue;
    const dx = (m[0]! * point.x + m[4]! * point.y + m[8]! * point.z + m[12]!) / depth - atX;
    const dy = (m[1]! * point.x + m[5]! * point.y + m[9]! * point.z + m[13]!) / depth - atY;
    const off = Math.hypot(dx * halfWidth, dy * halfHeight);
    if (off > NEAR_PX) continue;
    const cost = depth * (1 + (off / NEAR_PX) * 0.05);
    if (cost < best) {
      best = cost;
      found = point;
    }
  }
  return found;
}

/** The point, unless the surface hides it. */
export function inFront(view: View, point: Vector3 | null, surface: Vector3 | null): Vector3 | null {
  if (!point || !surface) return point ?? surface;
  const { position } = view.camera;
  return position.distanceTo(point) < BEHIND * position.distanceTo(surface) ? point : surface;
}
