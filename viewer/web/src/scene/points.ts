// A cloud of points that is drawn while it comes. Its rows are shuffled, so any part of it from the
// beginning is a fair sample of the whole.

import { BufferAttribute, BufferGeometry, Group, Points, Vector3 } from "three";
import { getBundle } from "../api";
import { headerEnd, MalformedBundle, readHeader } from "../bundle";
import type { PointsHeader } from "../messages";
import type { Colouring, PointMaterial } from "./point_material";
import { pointsStream } from "./prefetch";

// What some colours need to know of each point.
const FILES: { [by in Colouring]?: string } = { error: "details.bin", track: "details.bin", stage: "steps.bin" };
const RECORD = 10;
const FIRST_BLOCK = 1 << 14;
const LARGEST_BLOCK = 1 << 17;
const STEPS = 65535;

interface Block {
  start: number;
  size: number;
  places: Uint16Array; // x, y, z and one for the alignment
  tints: Uint8Array;
  points: Points<BufferGeometry>;
}

export class PointCloud {
  readonly group = new Group();
  header: PointsHeader | null = null;
  loaded = 0;
  private readonly blocks: Block[] = [];
  private readonly asked = new Set<string>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly url: string,
    private readonly look: PointMaterial,
    private readonly news: (whole: boolean) => void,
  ) {
    this.group.matrixAutoUpdate = false;
  }

  /** Reads the cloud to its end. begun: when the header has come, before any point. */
  async load(begun: (header: PointsHeader) => void): Promise<void> {
    const stream = await pointsStream(`${this.url}points.bin`, this.stopping.signal);
    const reader = stream.getReader();
    this.stopping.signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
    let rest: Uint8Array = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (this.stopping.signal.aborted) return;
      if (value) {
        const bytes = rest.length ? joined(rest, value) : value;
        rest = this.take(bytes, begun);
      }
      if (done) break;
    }
    if (!this.header || this.loaded < this.header.count) throw new MalformedBundle("the cloud ends early");
    this.news(true);
  }

  private take(bytes: Uint8Array, begun: (header: PointsHeader) => void): Uint8Array {
    let at = 0;
    if (!this.header) {
      const end = headerEnd(bytes);
      if (end === null || end > bytes.length) return bytes;
      const header = readHeader<PointsHeader>(bytes, end);
      this.header = header;
      const [x, y, z] = header.origin;
      this.group.matrix.makeScale(header.step[0] * STEPS, header.step[1] * STEPS, header.step[2] * STEPS);
      this.group.matrix.setPosition(x, y, z);
      this.group.updateMatrixWorld(true);
      begun(header);
      at = end;
    }
    let news = false;
    while (bytes.length - at >= RECORD && this.loaded < this.header.count) {
      const block = this.room();
      const free = block.start + block.size - this.loaded;
      const count = Math.min(free, Math.floor((bytes.length - at) / RECORD));
      this.unpack(bytes, at, block, count);
      at += count * RECORD;
      this.loaded += count;
      if (count < free) continue;
      this.show(block);
      news = true;
    }
    if (news) this.news(false);
    return bytes.subarray(at);
  }

  private room(): Block {
    const last = this.blocks.at(-1);
    if (last && this.loaded < last.start + last.size) return last;
    const total = this.header?.count ?? 0;
    const size = Math.min(LARGEST_BLOCK, Math.max(FIRST_BLOCK, this.loaded), total - this.loaded);
    const places = new Uint16Array(4 * size);
    const tints = new Uint8Array(4 * size);
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(places, 4, true));
    geometry.setAttribute("tint", new BufferAttribute(tints, 4, true));
    const points = new Points(geometry, this.look.material);
    points.frustumCulled = false;
    points.matrixAutoUpdate = false;
    const block = { start: this.loaded, size, places, tints, points };
    this.blocks.push(block);
    return block;
  }

  private unpack(bytes: Uint8Array, from: number, block: Block, count: number): void {
    const { places, tints } = block;
    let to = 4 * (this.loaded - block.start);
    for (let at = from, end = from + count * RECORD; at < end; at += RECORD, to += 4) {
      places[to] = bytes[at]! | (bytes[at + 1]! << 8);
      places[to + 1] = bytes[at + 2]! | (bytes[at + 3]! << 8);
      places[to + 2] = bytes[at + 4]! | (bytes[at + 5]! << 8);
      tints[to] = bytes[at + 6]!;
      tints[to + 1] = bytes[at + 7]!;
      tints[to + 2] = bytes[at + 8]!;
      tints[to + 3] = bytes[at + 9]!;
    }
  }

  private show(block: Block): void {
    this.group.add(block.points);
    block.points.updateMatrixWorld(true);
  }

  /** Draw the first `most` points only; returns how many that are. */
  limit(most: number): number {
    let left = most;
    let drawn = 0;
    for (const block of this.blocks) {
      if (!block.points.parent) break;
      const count = Math.min(block.size, Math.max(0, left));
      block.points.visible = count > 0;
      block.points.geometry.setDrawRange(0, count);
      left -= count;
      drawn += count;
    }
    return drawn;
  }

  /** What a colouring needs besides the points, once all of them are there; null: nothing more. */
  loadFor(by: Colouring): Promise<void> | null {
    const file = FILES[by];
    if (!file || this.asked.has(file) || this.loaded < (this.header?.count ?? Infinity)) return null;
    this.asked.add(file);
    const loading = by === "stage" ? this.loadSteps() : this.loadDetails();
    loading.catch(() => this.asked.delete(file));
    return loading;
  }

  /** When each point came. */
  private async loadSteps(): Promise<void> {
    const bundle = await getBundle(`${this.url}steps.bin`, this.stopping.signal);
    const steps = bundle.get("step", "u8");
    for (const { start, size, points } of this.blocks) {
      points.geometry.setAttribute("age", new BufferAttribute(steps.slice(start, start + size), 1));
    }
    this.look.with("STEPS");
  }

  /** Error, where it is known, and track length of each point. */
  private async loadDetails(): Promise<void> {
    const details = await getBundle(`${this.url}details.bin`, this.stopping.signal);
    const error = this.header?.error_max_px === null ? new Uint8Array(this.header.count) : details.get("error", "u8");
    const track = details.get("track_length", "u8");
    for (const block of this.blocks) {
      const both = new Uint8Array(4 * block.size);
      for (let n = 0; n < block.size; n++) {
        both[4 * n] = error[block.start + n] ?? 0;
        both[4 * n + 1] = track[block.start + n] ?? 0;
      }
      block.points.geometry.setAttribute("detail", new BufferAttribute(both, 4));
    }
    const { uniforms } = this.look;
    const sorted = error.slice().sort();
    uniforms.errors.value = [0, sorted[Math.floor(sorted.length * 0.95)] || 255];
    const long = track.slice().sort();
    uniforms.tracks.value = [2, Math.max(4, long[Math.floor(long.length * 0.98)] || 16)];
    this.look.with("DETAILS");
  }

  /** Some of the points, in the world; strays left out. */
  *sample(most: number): Generator<Vector3> {
    const [x, y, z] = this.header?.origin ?? [0, 0, 0];
    const [dx, dy, dz] = this.header?.step ?? [1, 1, 1];
    let count = 0;
    for (const { places, tints, start, size } of this.blocks) {
      for (let n = 0; n < size && start + n < this.loaded; n++) {
        if (count >= most) return;
        if (tints[4 * n + 3]! & 1) continue;
        count += 1;
        yield new Vector3(x + dx * places[4 * n]!, y + dy * places[4 * n + 1]!, z + dz * places[4 * n + 2]!);
      }
    }
  }

  dispose(): void {
    this.stopping.abort();
    for (const block of this.blocks) block.points.geometry.dispose();
    this.group.removeFromParent();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
