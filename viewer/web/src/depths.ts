// Depths as people look at them: by their inverse, so that what is near is told apart best.

export interface DepthRange {
  near: number;
  far: number;
}

const SAMPLE = 20_000;
const OUTLIERS = 0.02; // share at either end that has the colour of the end
const INFINITE = 0x7c00;

/** Between which depths colours differ; null where none is known. Of no depth there is 0. */
export function depthRange(depths: Float32Array): DepthRange | null {
  return rangeOf(depths, (depth) => depth > 0 && depth < Infinity, (depth) => depth);
}

/** The same for bits of float16, which are in the order of the numbers that they stand for. */
export function halfDepthRange(depths: Uint16Array): DepthRange | null {
  return rangeOf(depths, (bits) => bits > 0 && bits < INFINITE, fromHalf);
}

function rangeOf(
  depths: Float32Array | Uint16Array,
  isKnown: (stored: number) => boolean,
  value: (stored: number) => number,
): DepthRange | null {
  const stride = Math.max(1, Math.floor(depths.length / SAMPLE)) | 1; // odd: not the same columns of each row
  const known: number[] = [];
  for (let n = 0; n < depths.length; n += stride) if (isKnown(depths[n]!)) known.push(depths[n]!);
  if (!known.length) return null;
  known.sort((a, b) => a - b);
  const at = (share: number) => value(known[Math.round(share * (known.length - 1))]!);
  return { near: at(OUTLIERS), far: at(1 - OUTLIERS) };
}

/** A float16 that is positive and finite, from its bits. */
function fromHalf(bits: number): number {
  const exponent = bits >> 10;
  const fraction = bits & 0x3ff;
  return exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
}
