// The photographs' cameras: all frusta are one set of lines, all thumbnails one mesh with one texture.

import {
  BufferAttribute,
  BufferGeometry,
  Group,
  LineBasicMaterial,
  LineSegments,
  Vector3,
} from "three";
import type { CamerasFile, Intrinsics, Pose } from "../messages";
import { Thumbnails } from "./thumbnails";
import type { View } from "./view";

export interface SceneCamera {
  photo: number | null;
  name: string;
  pose: Pose;
  lens: Intrinsics;
  points: number | null;
  error_px: number | null;
}

export function camerasOf(file: CamerasFile): SceneCamera[] {
  return file.images.flatMap((image) => {
    const lens = file.cameras[image.camera];
    if (!lens) return [];
    const { photo, name, points, error_px } = image;
    return [{ photo, name, pose: image.cam_from_world, lens, points, error_px }];
  });
}

/** All cameras, those that a snapshot has where it has them: it may lack some. */
export function movedTo(all: SceneCamera[], snapshot: SceneCamera[]): SceneCamera[] {
  if (!all.length) return snapshot;
  const now = new Map(snapshot.map((camera) => [camera.photo, camera]));
  return all.map((camera) => {
    const moved = now.get(camera.photo);
    return moved ? { ...camera, pose: moved.pose, lens: moved.lens } : camera;
  });
}

/** Where a camera is: -R^T t. */
export function centerOf(pose: Pose): Vector3 {
  return toWorld(pose, new Vector3());
}

/** A place in the camera's frame, in the world. */
export function toWorld([r0, r1, r2]: Pose, p: Vector3): Vector3 {
  const [x, y, z] = [p.x - r0[3], p.y - r1[3], p.z - r2[3]];
  return new Vector3(
    r0[0] * x + r1[0] * y + r2[0] * z,
    r0[1] * x + r1[1] * y + r2[1] * z,
    r0[2] * x + r1[2] * y + r2[2] * z,
  );
}

const PLAIN = [0.55, 0.63, 0.74];
const SELECTED = [1, 0.78, 0.3];
const HOVERED = [1, 1, 1];
const EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1, 5, 6, 6, 7, 7, 5];

export class Cameras {
  readonly group = new Group();
  readonly thumbnails: Thumbnails;
  list: SceneCamera[] = [];
  selected = -1;
  private hovered = -1;
  private corners: Vector3[][] = [];
  private readonly lines = new LineSegments(
    new BufferGeometry(),
    new LineBasicMaterial({ vertexColors: true, toneMapped: false }),
  );
  size = 1;

  constructor(private readonly view: View) {
    this.lines.frustumCulled = false;
    this.thumbnails = new Thumbnails(view);
    this.group.add(this.lines, this.thumbnails.mesh);
  }

  /** Length of a frustum that suits the scene. */
  static lengthFor(cameras: SceneCamera[], radius: number): number {
    const centers = cameras.map((camera) => centerOf(camera.pose));
    const gaps: number[] = [];
    for (let n = 1; n < centers.length; n++) gaps.push(centers[n]!.distanceTo(centers[n - 1]!));
    gaps.sort((a, b) => a - b);
    const gap = gaps[gaps.length >> 1] ?? radius / 10;
    return Math.min(radius / 8, Math.max(radius / 60, gap * 0.6));
  }

  show(cameras: SceneCamera[], length: number): void {
    const known = this.selected >= 0 ? this.list[this.selected]?.name : undefined;
    this.list = cameras;
    this.size = length;
    this.selected = known === undefined ? -1 : cameras.findIndex((camera) => camera.name === known);
    this.hovered = -1;
    this.build();
  }

  resize(length: number): void {
    this.size = length;
    this.build();
  }

  private build(): void {
    this.corners = this.list.map((camera) => frustum(camera, this.size));
    const places = new Float32Array(this.list.length * EDGES.length * 3);
    let at = 0;
    for (const corners of this.corners) {
      for (const corner of EDGES) {
        corners[corner]!.toArray(places, at);
        at += 3;
      }
    }
    const geometry = this.lines.geometry;
    geometry.dispose();
    geometry.setAttribute("position", new BufferAttribute(places, 3));
    geometry.setAttribute("color", new BufferAttribute(new Float32Array(places.length), 3));
    this.paint();
    this.thumbnails.place(
      this.list.map((camera) => camera.photo),
      this.corners.map((corners) => [corners[1]!, corners[2]!, corners[3]!, corners[4]!]),
      this.list.map(({ lens }) => lens.width / lens.height),
    );
    this.view.invalidate();
  }

  private paint(): void {
    const colours = this.lines.geometry.getAttribute("color") as BufferAttribute | undefined;
    if (!colours) return;
    const into = colours.array as Float32Array;
    for (let n = 0; n < this.list.length; n++) {
      const colour = n === this.selected ? SELECTED : n === this.hovered ? HOVERED : PLAIN;
      for (let k = 0; k < EDGES.length; k++) into.set(colour, (n * EDGES.length + k) * 3);
    }
    colours.needsUpdate = true;
    this.view.invalidate();
  }

  select(index: number): void {
    if (index === this.selected) return;
    this.selected = index;
    this.thumbnails.hide(index);
    this.paint();
  }

  hover(index: number): void {
    if (index === this.hovered) return;
    this.hovered = index;
    this.view.canvas.style.cursor = index < 0 ? "" : "pointer";
    this.paint();
  }

  /** Where the cameras are seen on the canvas, for tests. */
  places(): { name: string; x: number; y: number }[] {
    return this.list.flatMap(({ name, pose }) => {
      const seen = this.view.project(centerOf(pose));
      return seen ? [{ name, x: Math.round(seen.x), y: Math.round(seen.y) }] : [];
    });
  }

  /** The camera under a place on the canvas, -1 for none; the nearest of several. */
  at(x: number, y: number): number {
    if (!this.group.visible) return -1;
    let best = -1;
    let nearest = Infinity;
    this.corners.forEach((corners, index) => {
      const seen = corners.slice(0, 5).map((corner) => this.view.project(corner));
      const apex = seen[0];
      const face = seen.slice(1);
      let depth = Infinity;
      if (apex && Math.hypot(apex.x - x, apex.y - y) < 9) depth = apex.depth;
      if (face.every((corner) => corner !== null) && isInside(x, y, face as { x: number; y: number }[])) {
        depth = Math.min(depth, face[0]!.depth);
      }
      if (depth < nearest) {
        nearest = depth;
        best = index;
      }
    });
    return best;
  }
}

function frustum({ pose, lens }: SceneCamera, length: number): Vector3[] {
  const scale = (length * 2) / Math.hypot(lens.width / lens.fx, lens.height / lens.fy) / 1.6;
  const [left, right] = [-lens.cx / lens.fx, (lens.width - lens.cx) / lens.fx];
  const [top, bottom] = [-lens.cy / lens.fy, (lens.height - lens.cy) / lens.fy];
  const place = (x: number, y: number, z = 1) => toWorld(pose, new Vector3(x, y, z).multiplyScalar(scale));
  const roof = (bottom - top) * 0.16;
  const mid = (left + right) / 2;
  return [
    place(0, 0, 0),
    place(left, top),
    place(right, top),
    place(right, bottom),
    place(left, bottom),
    place(mid - roof, top - 0.15 * roof),
    place(mid + roof, top - 0.15 * roof),
    place(mid, top - roof),
  ];
}

function isInside(x: number, y: number, corners: { x: number; y: number }[]): boolean {
  let sign = 0;
  for (let n = 0; n < corners.length; n++) {
    const a = corners[n]!;
    const b = corners[(n + 1) % corners.length]!;
    const side = Math.sign((b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x));
    if (side && sign && side !== sign) return false;
    sign = side || sign;
  }
  return true;
}
