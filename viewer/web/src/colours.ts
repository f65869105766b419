// Numbers as colours: matplotlib's viridis by the polynomial of Matt Zucker (public domain), for
// shaders and for canvases.

type Colour = [number, number, number];

const TERMS: Colour[] = [
  [0.2777, 0.0054, 0.3341],
  [0.1051, 1.4046, 1.3846],
  [-0.3309, 0.2148, 0.0951],
  [-4.6342, -5.7991, -19.3324],
  [6.2283, 14.1799, 56.6906],
  [4.7764, -13.7451, -65.353],
  [-5.4355, 4.6459, 26.3124],
];

const vec3 = (term: Colour) => `vec3(${term.map((value) => value.toFixed(4)).join()})`;

/** `vec3 viridis(float)` for shaders: sRGB of a share from 0 to 1. */
export const VIRIDIS = /* glsl */ `
vec3 viridis(float t) {
  t = clamp(t, 0.0, 1.0);
  return ${TERMS.map(vec3).reduceRight((rest, term) => `${term} + t * (${rest})`)};
}`;

/** The same for canvases, from 0 to 255. */
export function viridis(share: number): Colour {
  const t = Math.min(1, Math.max(0, share));
  const level = (channel: 0 | 1 | 2) => Math.round(255 * TERMS.reduceRight((rest, term) => term[channel] + t * rest, 0));
  return [level(0), level(1), level(2)];
}
