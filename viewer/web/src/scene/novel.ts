// Novel views in the scene: the picture that the field renders, behind the points or in front of
// them as its depths say.

import {
  DataTexture,
  GLSL3,
  HalfFloatType,
  LinearFilter,
  Matrix3,
  Mesh,
  NoColorSpace,
  PlaneGeometry,
  RawShaderMaterial,
  RedFormat,
  Texture,
  Vector2,
  Vector3,
} from "three";
import { VIRIDIS } from "../colours";
import { type DepthRange, halfDepthRange } from "../depths";
import type { Pose, ViewRequest } from "../messages";
import { Signal } from "../signal";
import { type Frame, Frames } from "./frames";
import type { View } from "./view";

// The picture is drawn as it would be seen from where the camera is now: turned, if it has turned.
const VERTEX = /* glsl */ `
in vec3 position;
out vec2 screen;
void main() {
  screen = position.xy;
  gl_Position = vec4(position.xy, 0.0, 1.0);
}`;

const FRAGMENT = /* glsl */ `
precision highp float;
in vec2 screen;
out vec4 colour;
uniform sampler2D picture;
uniform sampler2D depths;
uniform bool hasDepth;
uniform bool among; // stand where the depths say
uniform bool shaded; // show the depths
uniform vec2 inverse; // of the farthest and of the nearest depth
uniform float opacity;
uniform vec2 tangent; // of half the field of view now
uniform vec2 rendered; // and when it was rendered
uniform mat3 turn; // from the axes of now to those of the picture
uniform vec3 shift; // place of the picture's camera, in the axes of now
uniform mat4 projection;
${VIRIDIS}

void main() {
  vec3 ray = turn * vec3(screen * tangent, -1.0);
  if (ray.z >= 0.0) discard;
  vec2 at = ray.xy / -ray.z / rendered;
  if (abs(at.x) > 1.0 || abs(at.y) > 1.0) discard;
  vec2 uv = vec2(0.5 + 0.5 * at.x, 0.5 - 0.5 * at.y);
  colour = vec4(texture(picture, uv).rgb, opacity);
  float depth = hasDepth ? texture(depths, uv).r : 0.0;
  if (shaded) {
    float share = (1.0 / depth - inverse.x) / max(inverse.y - inverse.x, 1e-9);
    colour.rgb = depth > 0.0 ? viridis(share) : vec3(0.0);
  }
  gl_FragDepth = 0.9999999;
  if (among && depth > 0.0) {
    vec3 place = transpose(turn) * (ray / -ray.z * depth * 1.004) + shift;
    vec4 clip = projection * vec4(place, 1.0);
    if (clip.w > 0.0) gl_FragDepth = clamp(0.5 + 0.5 * clip.z / clip.w, 0.0, 0.9999999);
  }
}`;

const MOVING_GAP_MS = 90;
const QUICK_S = 0.2;
const MOST_PIXELS = 1920 * 1200;

export class NovelView {
  readonly frames = new Frames();
  readonly mesh: Mesh<PlaneGeometry, RawShaderMaterial>;
  readonly changed = new Signal<Frame | null>();
  on = false;
  frame: Frame | null = null;
  /** Of the depths that are shown; null while none are. */
  range: DepthRange | null = null;
  shownAt = 0;
  private composite = true;
  private depthShown = false;
  private asked = 0;
  private timer = 0;
  private perPixel = Infinity; // seconds of rendering
  private waiting: Frame[] = [];
  private readonly picture = new Texture();
  private depths: DataTexture | null = null;
  private readonly uniforms;

  constructor(private readonly view: View) {
    this.picture.colorSpace = NoColorSpace;
    this.picture.generateMipmaps = false;
    this.picture.minFilter = this.picture.magFilter = LinearFilter;
    this.picture.flipY = false;
    this.uniforms = {
      picture: { value: this.picture as Texture },
      depths: { value: null as DataTexture | null },
      hasDepth: { value: false },
      among: { value: true },
      shaded: { value: false },
      inverse: { value: new Vector2() },
      opacity: { value: 1 },
      tangent: { value: new Vector2() },
      rendered: { value: new Vector2(1, 1) },
      turn: { value: new Matrix3() },
      shift: { value: new Vector3() },
      projection: { value: view.camera.projectionMatrix },
    };
    const material = new RawShaderMaterial({
      glslVersion: GLSL3,
      uniforms: this.uniforms,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      depthTest: true,
      transparent: false,
    });
    this.mesh = new Mesh(new PlaneGeometry(2, 2), material);
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = -1;
    this.mesh.visible = false;
    this.frames.frame.on((frame) => this.take(frame));
    view.moved.on(() => this.on && this.move());
    view.rested.on(() => this.on && this.refine());
    view.preparations.add(() => this.align());
    view.drawn.on(() => this.acknowledge());
  }

  set(on: boolean): void {
    if (on === this.on) return;
    this.on = on;
    if (on) {
      this.refine();
    } else {
      clearTimeout(this.timer);
      this.timer = 0;
      this.frames.rest();
      this.frames.close();
      this.waiting = [];
      this.mesh.visible = false;
      this.frame = this.range = null;
      this.changed.emit(null);
      this.view.invalidate();
    }
  }

  setOpacity(opacity: number): void {
    this.uniforms.opacity.value = opacity;
    const { material } = this.mesh;
    material.transparent = opacity < 1;
    this.mesh.renderOrder = opacity < 1 ? 5 : -1; // what shines through has to be drawn first
    material.needsUpdate = true;
    this.view.invalidate();
  }

  setComposite(on: boolean): void {
    this.composite = on;
    this.uniforms.among.value = on;
    this.askForDepths(on);
    this.view.invalidate();
  }

  /** Show how far away things are in the place of their colours. */
  setDepth(on: boolean): void {
    this.depthShown = on;
    this.shade();
    this.askForDepths(on);
    this.changed.emit(this.frame);
    this.view.invalidate();
  }

  private askForDepths(wanted: boolean): void {
    if (this.on && wanted && !this.frame?.depth) this.refine();
  }

  /** The training has gone on: look again. */
  renew(): void {
    if (this.on && !this.view.moving) this.refine();
  }

  private move(): void {
    if (this.timer) return;
    const wait = Math.max(0, this.asked + MOVING_GAP_MS - performance.now());
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      if (this.on && this.view.moving) this.ask({ coarsest: 8, finest: 4, jpeg_quality: 50 });
    }, wait);
  }

  /** The first picture soon, whatever the machine that renders; then finer ones. */
  private refine(): void {
    const { clientWidth: width, clientHeight: height } = this.view.canvas;
    const slow = (this.perPixel * width * height) / 16 > QUICK_S;
    this.ask({ coarsest: slow ? 8 : 4, finest: 1, jpeg_quality: 85 });
  }

  private ask(how: Pick<ViewRequest, "coarsest" | "finest" | "jpeg_quality">): void {
    const { canvas, camera } = this.view;
    if (!canvas.clientWidth) return;
    this.asked = performance.now();
    const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (canvas.clientWidth * canvas.clientHeight)));
    const side = (length: number) => Math.min(4096, Math.max(8, Math.round(length * scale)));
    this.frames.look({
      width: side(canvas.clientWidth),
      height: side(canvas.clientHeight),
      cam_from_world: this.view.camFromWorld(),
      fov_y_deg: camera.fov,
      depth: this.composite || this.depthShown,
      ...how,
    });
  }

  private take(frame: Frame): void {
    if (!this.on) return frame.shown();
    this.waiting.push(frame);
    this.frame?.picture.close();
    this.frame = frame;
    this.perPixel = frame.header.render_s / (frame.header.width * frame.header.height);
    this.shownAt = performance.now();
    const size = this.picture.image as ImageBitmap | null;
    if (size && (size.width !== frame.picture.width || size.height !== frame.picture.height)) this.picture.dispose();
    this.picture.image = frame.picture;
    this.picture.needsUpdate = true;
    const { depth_width: width, depth_height: height } = frame.header;
    if (frame.depth && width && height) {
      if (this.depths?.image.width !== width || this.depths.image.height !== height) {
        this.depths?.dispose();
        this.depths = new DataTexture(frame.depth, width, height, RedFormat, HalfFloatType);
        this.depths.unpackAlignment = 2;
        this.uniforms.depths.value = this.depths;
      } else {
        this.depths.image.data = frame.depth;
      }
      this.depths.needsUpdate = true;
    }
    this.uniforms.hasDepth.value = frame.depth !== null;
    this.shade();
    this.mesh.visible = true;
    this.changed.emit(frame);
    this.view.invalidate();
  }

  private shade(): void {
    const depths = this.depthShown ? this.frame?.depth : null;
    this.range = depths ? halfDepthRange(depths) : null;
    this.uniforms.shaded.value = this.range !== null;
    if (this.range) this.uniforms.inverse.value.set(1 / this.range.far, 1 / this.range.near);
  }

  private acknowledge(): void {
    for (const frame of this.waiting.splice(0)) frame.shown();
  }

  private align(): void {
    if (!this.mesh.visible || !this.frame) return;
    const { camera } = this.view;
    const { request } = this.frame;
    const tan = Math.tan((camera.fov * Math.PI) / 360);
    this.uniforms.tangent.value.set(tan * camera.aspect, tan);
    const seen = Math.tan(((request.fov_y_deg ?? camera.fov) * Math.PI) / 360);
    this.uniforms.rendered.value.set((seen * request.width) / request.height, seen);
    const now = axesOf(this.view.camFromWorld());
    const then = axesOf(request.cam_from_world);
    this.uniforms.turn.value.copy(then.rotation).multiply(now.rotation.clone().transpose());
    this.uniforms.shift.value.copy(then.center).sub(now.center).applyMatrix3(now.rotation);
  }
}

/** A pose in three's camera axes: x right, y up, z back. */
function axesOf([a, b, c]: Pose): { rotation: Matrix3; center: Vector3 } {
  const rotation = new Matrix3(a[0], a[1], a[2], -b[0], -b[1], -b[2], -c[0], -c[1], -c[2]);
  const t = new Vector3(a[3], -b[3], -c[3]);
  const center = t.applyMatrix3(rotation.clone().transpose()).negate();
  return { rotation, center };
}
