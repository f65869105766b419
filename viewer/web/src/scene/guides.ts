// Ground grid and axes.

import { BufferGeometry, Float32BufferAttribute, Group, LineBasicMaterial, LineSegments, Vector3 } from "three";

/** Two directions in the plane that is level, where `up` is up. */
export function levelAxes(up: Vector3): [Vector3, Vector3] {
  const other = Math.abs(up.x) < 0.9 ? new Vector3(1, 0, 0) : new Vector3(0, 0, 1);
  const a = other.addScaledVector(up, -other.dot(up)).normalize();
  return [a, new Vector3().crossVectors(up, a)];
}

/** 1, 2 or 5 times a power of ten, near to `length`. */
export function niceStep(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length));
  const part = length / power;
  return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

export class Guides {
  readonly grid = new Group();
  readonly axes = new Group();
  cell = 1;

  /** up: unit vector. ground: height of the floor along it. center, radius: of the scene. */
  place(center: Vector3, radius: number, up: Vector3, ground: number): void {
    for (const group of [this.grid, this.axes]) dropAll(group);
    this.cell = niceStep(radius / 5);
    const cells = Math.ceil((2.2 * radius) / this.cell);
    const [a, b] = levelAxes(up);
    const foot = center.clone().addScaledVector(up, ground - center.dot(up));
    const fine: number[] = [];
    const coarse: number[] = [];
    const half = cells * this.cell;
    for (let n = -cells; n <= cells; n++) {
      const into = n % 5 === 0 ? coarse : fine;
      for (const [along, across] of [[a, b], [b, a]] as const) {
        const mid = foot.clone().addScaledVector(across, n * this.cell);
        into.push(...mid.clone().addScaledVector(along, -half), ...mid.clone().addScaledVector(along, half));
      }
    }
    this.grid.add(lines(fine, 0x7f8a9c, 0.13), lines(coarse, 0x7f8a9c, 0.3));
    const length = radius * 0.25;
    const axis = (direction: Vector3, colour: number) =>
      this.axes.add(lines([0, 0, 0, ...direction.clone().multiplyScalar(length)], colour, 1));
    axis(new Vector3(1, 0, 0), 0xe5544f);
    axis(new Vector3(0, 1, 0), 0x62b44b);
    axis(new Vector3(0, 0, 1), 0x4a8fe2);
  }
}

function lines(places: number[], color: number, opacity: number): LineSegments {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new Float32BufferAttribute(places, 3));
  const material = new LineBasicMaterial({ color, transparent: opacity < 1, opacity, depthWrite: opacity === 1 });
  return new LineSegments(geometry, material);
}

function dropAll(group: Group): void {
  for (const child of [...group.children]) {
    if (child instanceof LineSegments) {
      child.geometry.dispose();
      child.material.dispose();
    }
    group.remove(child);
  }
}
