// The scene while it is being found: snapshots of points and cameras, each in place of the last.

import { BufferAttribute, BufferGeometry, Group, Points, Vector3 } from "three";
import { getBundle } from "../api";
import type { LiveHeader, Pose } from "../messages";
import { Signal, throttled } from "../signal";
import type { SceneCamera } from "./cameras";
import type { PointMaterial } from "./point_material";

const GAP_MS = 500;
const STEPS = 65535;

export interface Snapshot {
  header: LiveHeader;
  cameras: SceneCamera[];
  points: number;
  /** Of the points, robustly. */
  center: Vector3;
  radius: number;
}

export class LiveLayer {
  readonly group = new Group();
  readonly came = new Signal<Snapshot>();
  count = 0;
  snapshots = 0;
  private url = "";
  private busy = false;
  private points: Points<BufferGeometry> | null = null;
  private readonly fetchSoon = throttled(GAP_MS, () => void this.fetch());

  constructor(private readonly look: PointMaterial) {
    this.group.matrixAutoUpdate = false;
  }

  /** There is a newer snapshot. */
  tell(url: string): void {
    this.url = url;
    this.fetchSoon();
  }

  clear(): void {
    this.points?.geometry.dispose();
    this.points?.removeFromParent();
    this.points = null;
    this.count = 0;
    this.url = "";
  }

  private async fetch(): Promise<void> {
    if (this.busy || !this.url) return;
    const url = this.url;
    this.url = "";
    this.busy = true;
    try {
      const bundle = await getBundle<LiveHeader>(url);
      const { header } = bundle;
      const places = bundle.get("positions", "u16");
      // The field moves cameras only: then the points stay as they are.
      if (places.length) this.draw(header, places, bundle.get("colors", "u8"));
      const poses = bundle.get("poses", "f32");
      const lenses = bundle.get("cameras", "f32");
      const photos = bundle.get("photos", "i32");
      const cameras = Array.from(photos, (photo, n): SceneCamera => {
        const p = (k: number) => poses[12 * n + k] ?? 0;
        const c = (k: number) => lenses[6 * n + k] ?? 1;
        const row = (r: number): [number, number, number, number] => [p(4 * r), p(4 * r + 1), p(4 * r + 2), p(4 * r + 3)];
        const pose: Pose = [row(0), row(1), row(2)];
        const lens = { width: c(0), height: c(1), fx: c(2), fy: c(3), cx: c(4), cy: c(5) };
        return { photo: photo < 0 ? null : photo, name: `photograph ${photo + 1}`, pose, lens, points: null, error_px: null };
      });
      this.snapshots += 1;
      this.came.emit({ header, cameras, points: places.length / 3, ...spread(header, places) });
    } catch {
      // it was replaced by a newer one before we asked; that one is told of as well
    } finally {
      this.busy = false;
      if (this.url) this.fetchSoon();
    }
  }

  private draw(header: LiveHeader, packed: Uint16Array, colours: Uint8Array): void {
    const count = packed.length / 3;
    const places = new Uint16Array(4 * count);
    const tints = new Uint8Array(4 * count);
    for (let n = 0; n < count; n++) {
      for (let k = 0; k < 3; k++) {
        places[4 * n + k] = packed[3 * n + k]!;
        tints[4 * n + k] = colours[3 * n + k]!;
      }
    }
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(places, 4, true));
    geometry.setAttribute("tint", new BufferAttribute(tints, 4, true));
    this.points?.geometry.dispose();
    this.points?.removeFromParent();
    this.points = new Points(geometry, this.look.material);
    this.points.frustumCulled = false;
    this.group.add(this.points);
    const [dx, dy, dz] = header.step_xyz;
    this.group.matrix.makeScale(dx * STEPS, dy * STEPS, dz * STEPS).setPosition(...header.origin);
    this.group.updateMatrixWorld(true);
    this.count = count;
  }
}

function spread({ origin, step_xyz: step }: LiveHeader, packed: Uint16Array): { center: Vector3; radius: number } {
  const stride = 3 * Math.max(1, Math.floor(packed.length / 3 / 4000));
  const middle = new Vector3();
  for (let k = 0; k < 3; k++) {
    const values: number[] = [];
    for (let at = k; at < packed.length; at += stride) values.push(packed[at]!);
    values.sort((a, b) => a - b);
    middle.setComponent(k, origin[k]! + step[k]! * (values[values.length >> 1] ?? 0));
  }
  const off: number[] = [];
  for (let at = 0; at + 2 < packed.length; at += stride) {
    const place = new Vector3(...origin).add(
      new Vector3(step[0] * packed[at]!, step[1] * packed[at + 1]!, step[2] * packed[at + 2]!),
    );
    off.push(place.distanceTo(middle));
  }
  off.sort((a, b) => a - b);
  return { center: middle, radius: off[Math.floor(off.length * 0.9)] || 1 };
}
