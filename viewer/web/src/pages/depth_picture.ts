// The depth map of a photograph: what its stage has found, as a picture beside the photograph.

import { getBundle } from "../api";
import { viridis } from "../colours";
import { type DepthRange, depthRange } from "../depths";
import { h } from "../dom";
import { depthOf } from "../pictures";

const SHADES = 256;

export class DepthPicture {
  private constructor(
    private readonly depths: Float32Array,
    private readonly width: number,
    private readonly height: number,
    readonly range: DepthRange | null,
    readonly url: string,
  ) {}

  static async load(index: number, version: string): Promise<DepthPicture> {
    const bundle = await getBundle(depthOf(index, version));
    const depths = bundle.get("depth", "f32");
    const [height, width] = bundle.shape("depth") as [number, number];
    const range = depthRange(depths);
    return new DepthPicture(depths, width, height, range, draw(depths, width, height, range));
  }

  /** The depth at a place, in shares of width and height; null where none is known. */
  at(x: number, y: number): number | null {
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    return this.depths[Math.floor(y * this.height) * this.width + Math.floor(x * this.width)] || null;
  }
}

function draw(depths: Float32Array, width: number, height: number, range: DepthRange | null): string {
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d")!;
  const picture = context.createImageData(width, height);
  const colours = Array.from({ length: SHADES }, (_, n) => viridis(n / (SHADES - 1)));
  const { near, far } = range ?? { near: 1, far: 1 };
  const scale = (SHADES - 1) / Math.max(1 / near - 1 / far, 1e-9);
  depths.forEach((depth, n) => {
    if (!(depth > 0)) return; // what is not known stays transparent
    const share = Math.round(scale * (1 / depth - 1 / far));
    picture.data.set(colours[Math.min(SHADES - 1, Math.max(0, share))]!, 4 * n);
    picture.data[4 * n + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
  return canvas.toDataURL();
}
