// How points are drawn. Colours go to the screen as they come, in sRGB, so nothing is made paler.

import { Matrix4, ShaderMaterial, Vector3 } from "three";
import { VIRIDIS } from "../colours";

export type Colouring = "photo" | "error" | "track" | "height" | "plain" | "stage";
const MODES: Colouring[] = ["photo", "error", "track", "height", "plain", "stage"];

const VERTEX = /* glsl */ `
in vec4 tint; // red, green, blue, flags
#ifdef DETAILS
in vec2 detail; // error, track length
#endif
#ifdef STEPS
in float age; // share of the steps until it came, from 1 to 255; 0: not known
#endif
uniform float size;
uniform float reference; // distance at which a point has its size
uniform float ratio;
uniform int mode;
uniform bool strays;
uniform bool points;
uniform vec3 up;
uniform vec2 heights;
uniform vec2 errors;
uniform vec2 tracks;
uniform vec3 plain;
uniform bool clipping;
uniform mat4 clip;
out vec3 shade;
out float wide;
${VIRIDIS}

void main() {
  vec4 world = modelMatrix * vec4(position, 1.0);
  vec4 seen = viewMatrix * world;
  gl_Position = projectionMatrix * seen;
  wide = clamp(size * reference / max(-seen.z, 1e-9), 1.25, 14.0) * ratio;
  bool stray = mod(floor(tint.a * 255.0 + 0.5), 2.0) > 0.5;
  bool hidden = stray ? !strays : !points;
  if (clipping) {
    vec3 inside = abs((clip * world).xyz);
    hidden = hidden || max(inside.x, max(inside.y, inside.z)) > 1.0;
  }
  if (hidden) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  shade = tint.rgb;
  if (mode == 3) shade = viridis((dot(world.xyz, up) - heights.x) / max(heights.y - heights.x, 1e-9));
  if (mode == 4) shade = plain;
#ifdef DETAILS
  if (mode == 1) shade = viridis((detail.x - errors.x) / max(errors.y - errors.x, 1e-9));
  if (mode == 2) shade = viridis(log2(max(detail.y, tracks.x) / tracks.x) / max(log2(tracks.y / tracks.x), 1e-9));
#endif
#ifdef STEPS
  if (mode == 5 && age > 0.0) shade = viridis((age - 1.0) / 254.0);
#endif
  if (stray && mode == 0) shade = mix(shade, vec3(0.95, 0.35, 0.3), 0.6);
  gl_PointSize = wide;
}`;

const FRAGMENT = /* glsl */ `
in vec3 shade;
in float wide;
void main() {
  if (wide > 3.0) {
    vec2 from = gl_PointCoord - 0.5;
    if (dot(from, from) > 0.25) discard;
  }
  gl_FragColor = vec4(shade, 1.0);
}`;

export function pointMaterial() {
  const uniforms = {
    size: { value: 2.2 },
    reference: { value: 1 },
    ratio: { value: 1 },
    mode: { value: 0 },
    points: { value: true },
    strays: { value: false },
    up: { value: new Vector3(0, -1, 0) },
    heights: { value: [0, 1] },
    errors: { value: [0, 255] },
    tracks: { value: [2, 16] },
    plain: { value: new Vector3(0.55, 0.62, 0.7) },
    clipping: { value: false },
    clip: { value: new Matrix4() },
  };
  const material = new ShaderMaterial({ uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT });
  return {
    material,
    uniforms,
    colour(by: Colouring): void {
      uniforms.mode.value = MODES.indexOf(by);
    },
    /** Once these are there of each point. */
    with(what: "DETAILS" | "STEPS"): void {
      if (material.defines[what]) return;
      material.defines[what] = 1;
      material.needsUpdate = true;
    },
  };
}

export type PointMaterial = ReturnType<typeof pointMaterial>;
