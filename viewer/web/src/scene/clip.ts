// The clip box: six sliders, along the level axes and up.

import { Box3, Matrix4, Plane, Vector3 } from "three";
import { h } from "../dom";
import { levelAxes } from "./guides";
import type { View } from "./view";

export interface Clip {
  on: boolean;
  /** World to box: inside is -1 to 1. */
  matrix: Matrix4;
  planes: Plane[];
}

const NAMES = ["across", "along", "height"] as const;

export class ClipBox {
  readonly element = h("div", { class: "clip", hidden: true });
  readonly clip: Clip = { on: false, matrix: new Matrix4(), planes: [] };
  private axes: Vector3[] = [];
  private full = new Box3();
  private cut: [number, number][] = [[0, 1], [0, 1], [0, 1]];

  constructor(
    private readonly view: View,
    private readonly changed: () => void,
  ) {
    NAMES.forEach((name, n) => {
      const inputs = [0, 1].map((end) => {
        const input = h("input", { type: "range", min: 0, max: 1, step: 0.005, "aria-label": `${name}, ${end ? "to" : "from"}` });
        input.value = String(end);
        input.addEventListener("input", () => {
          const range = this.cut[n]!;
          range[end] = input.valueAsNumber;
          this.update();
        });
        return input;
      });
      this.element.append(h("div", { class: "range" }, h("span", {}, name), ...inputs));
    });
  }

  /** places: some points of the cloud. */
  fit(places: Iterable<Vector3>): void {
    const [a, b] = levelAxes(this.view.up);
    this.axes = [a, b, this.view.up.clone()];
    const along: number[][] = [[], [], []];
    for (const place of places) this.axes.forEach((axis, n) => along[n]!.push(place.dot(axis)));
    const box = new Box3();
    along.forEach((values, n) => {
      values.sort((x, y) => x - y);
      const margin = ((values.at(-1) ?? 1) - (values[0] ?? 0)) * 0.01 + 1e-9;
      box.min.setComponent(n, (values[Math.floor(values.length * 0.002)] ?? 0) - margin);
      box.max.setComponent(n, (values[Math.floor(values.length * 0.998)] ?? 1) + margin);
    });
    this.full = box;
    this.update();
  }

  set(on: boolean): void {
    this.clip.on = on;
    this.element.hidden = !on;
    this.update();
  }

  private update(): void {
    const low = new Vector3();
    const high = new Vector3();
    for (let n = 0; n < 3; n++) {
      const [from, to] = this.cut[n]!;
      const size = this.full.max.getComponent(n) - this.full.min.getComponent(n);
      low.setComponent(n, this.full.min.getComponent(n) + size * Math.min(from, to));
      high.setComponent(n, this.full.min.getComponent(n) + size * Math.max(from, to));
    }
    const [a, b, c] = this.axes;
    if (a && b && c) {
      const turn = new Matrix4().makeBasis(a, b, c).transpose();
      const mid = low.clone().add(high).multiplyScalar(0.5);
      const half = high.clone().sub(low).multiplyScalar(0.5).addScalar(1e-9);
      this.clip.matrix
        .makeScale(1 / half.x, 1 / half.y, 1 / half.z)
        .multiply(new Matrix4().makeTranslation(-mid.x, -mid.y, -mid.z))
        .multiply(turn);
      this.clip.planes = this.axes.flatMap((axis, n) => [
        new Plane(axis.clone(), -low.getComponent(n)),
        new Plane(axis.clone().negate(), high.getComponent(n)),
      ]);
    }
    this.changed();
  }
}
