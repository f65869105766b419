// The view of the scene as a whole: where it begins, and where Home leads.

import { Vector3 } from "three";
import type { Cloud } from "../messages";
import { centerOf, type SceneCamera } from "./cameras";
import type { View } from "./view";

const AWAY = 1.75; // of the scene's radius
const ABOVE = 0.85;
const NEAR_MIDDLE = 0.3;

export class Framing {
  /** Whether the scene's place and size are known. */
  done = false;
  private home: { center: Vector3; radius: number } | null = null;

  constructor(private readonly view: View) {}

  /** Look at the whole, if nobody has chosen another view. anew: although it was framed before. */
  frame(center: Vector3, radius: number, cameras: SceneCamera[], anew: boolean): void {
    const first = !this.done || anew;
    this.view.setRadius(radius);
    this.home = { center, radius };
    this.done = true;
    if (first && !this.view.touched) this.goHome(cameras, false);
  }

  /** Whether the view no longer suits what has been found by now. */
  isOutgrown(center: Vector3, radius: number): boolean {
    if (!this.home) return true;
    const ratio = radius / this.home.radius;
    return ratio > 1.3 || ratio < 0.7 || center.distanceTo(this.home.center) > NEAR_MIDDLE * this.home.radius;
  }

  /** From the side on which the photographs were taken, and a little from above. */
  goHome(cameras: SceneCamera[], smooth: boolean): void {
    if (!this.home) return;
    const { center, radius } = this.home;
    const { up } = this.view;
    const level = (way: Vector3) => way.addScaledVector(up, -way.dot(up));
    const away = new Vector3();
    for (const camera of cameras) away.add(centerOf(camera.pose).sub(center));
    if (cameras.length) away.divideScalar(cameras.length);
    // Cameras all around: from where the first one is.
    if (away.length() < radius * NEAR_MIDDLE && cameras[0]) away.copy(centerOf(cameras[0].pose)).sub(center);
    if (level(away).length() < 1e-6) level(away.set(up.y, up.z, up.x));
    const from = center.clone().addScaledVector(away.normalize(), radius * AWAY).addScaledVector(up, radius * ABOVE);
    void this.view.controls.setLookAt(from.x, from.y, from.z, center.x, center.y, center.z, smooth);
    this.view.invalidate();
  }
}

export function corners({ bounds: [low, high] }: Cloud): Vector3[] {
  return [0, 1, 2, 3, 4, 5, 6, 7].map(
    (n) => new Vector3(n & 1 ? high[0] : low[0], n & 2 ? high[1] : low[1], n & 4 ? high[2] : low[2]),
  );
}
