// The 3D view: canvas, camera, controls. Draws when something changed, and only then.

import {
  Box3,
  type BufferGeometry,
  Color,
  Matrix4,
  PerspectiveCamera,
  Quaternion,
  Raycaster,
  Scene,
  Sphere,
  Spherical,
  Vector2,
  Vector3,
  Vector4,
  WebGLRenderer,
} from "three";
import CameraControls from "camera-controls";
import type { Pose } from "../messages";
import { Signal } from "../signal";

// Only what is needed: the whole of three would come along otherwise.
CameraControls.install({
  THREE: { Vector2, Vector3, Vector4, Quaternion, Matrix4, Spherical, Box3, Sphere, Raycaster },
});

export class NoWebgl extends Error {}

const REST_MS = 150;
const MOST_PIXEL_RATIO = 2;

export class View {
  readonly canvas: HTMLCanvasElement;
  readonly scene = new Scene();
  readonly camera = new PerspectiveCamera(50, 1, 0.01, 1000);
  readonly renderer: WebGLRenderer;
  readonly controls: CameraControls;
  readonly software: boolean;
  readonly up = new Vector3(0, -1, 0);
  readonly moved = new Signal();
  readonly rested = new Signal();
  readonly drawn = new Signal<number>();
  readonly resized = new Signal();
  /** Asked before each frame, with seconds since the last one; true: one more frame is wanted. */
  readonly animations = new Set<(delta: number) => boolean>();
  /** Called before each draw. */
  readonly preparations = new Set<() => void>();
  radius = 1;
  moving = false;
  frames = 0;
  frameMs = 0;
  /** What the last picture took until it was seen, and when that was. */
  drawMs = 0;
  lastDrawn = 0;
  drawing = false;
  touched = false;

  private pending = 0;
  private stale = true;
  private last = 0;
  private restTimer = 0;
  private readonly seen = new Matrix4();

  constructor() {
    const { canvas, context, software } = openCanvas();
    this.canvas = canvas;
    this.software = software;
    this.canvas.className = "view";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("aria-label", "3D view: drag to turn, wheel to come closer, ? for all keys");
    this.renderer = new WebGLRenderer({ canvas: this.canvas, context });
    this.renderer.localClippingEnabled = true;
    this.controls = new CameraControls(this.camera, this.canvas);
    this.controls.smoothTime = 0.15;
    this.controls.draggingSmoothTime = 0.06;
    this.controls.dollyToCursor = true;
    this.controls.addEventListener("controlstart", () => {
      this.touched = true;
    });
    for (const event of ["control", "update", "wake", "transitionstart"] as const) {
      this.controls.addEventListener(event, () => this.ask());
    }
    this.canvas.addEventListener("webglcontextrestored", () => this.invalidate());
    this.setUp(this.up);
    const style = getComputedStyle(document.documentElement);
    const paint = () => {
      this.scene.background = new Color(style.getPropertyValue("--void").trim() || "#0d0f13");
      this.invalidate();
    };
    paint();
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", paint);
  }

  setUp(up: Vector3): void {
    this.up.copy(up).normalize();
    this.camera.up.copy(this.up);
    this.controls.updateCameraUp();
  }

  /** Tell how large the scene is, in units of the world. */
  setRadius(radius: number): void {
    this.radius = radius;
    this.camera.near = radius * 0.004;
    this.camera.far = radius * 400;
    this.controls.minDistance = radius * 1e-4;
    this.controls.maxDistance = radius * 100;
    this.camera.updateProjectionMatrix();
    this.invalidate();
  }

  setFov(degrees: number): void {
    this.camera.fov = degrees;
    this.camera.updateProjectionMatrix();
    this.noteMove();
    this.invalidate();
  }

  resize(width: number, height: number): void {
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, MOST_PIXEL_RATIO));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.resized.emit();
    this.noteMove();
    if (this.frames) this.draw(); // else the canvas stays empty until the next frame
    else this.invalidate();
  }

  /** Something else is to be seen now. */
  invalidate(): void {
    this.stale = true;
    this.ask();
  }

  /** Draw now. */
  draw(): void {
    const began = performance.now();
    this.stale = false;
    for (const prepare of this.preparations) prepare();
    // In software a first picture of nothing would hold up the one that has points.
    if (!this.frames && !hasContent(this.scene)) return;
    this.renderer.render(this.scene, this.camera);
    this.frames += 1;
    // In software the page stands still until its picture is there, and only then is called again.
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      this.lastDrawn = performance.now();
      this.drawMs = this.lastDrawn - began;
    });
    this.drawn.emit(performance.now() - began);
  }

  async screenshot(): Promise<Blob | null> {
    this.draw();
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }

  /** Pose of the view's camera: axes x right, y down, z forward, as everywhere in a run. */
  camFromWorld(): Pose {
    this.camera.updateMatrixWorld();
    const m = this.camera.matrixWorldInverse.elements;
    const at = (row: number, column: number) => m[column * 4 + row] ?? 0;
    const line = (row: number, sign: number): [number, number, number, number] => [
      sign * at(row, 0),
      sign * at(row, 1),
      sign * at(row, 2),
      sign * at(row, 3),
    ];
    return [line(0, 1), line(1, -1), line(2, -1)];
  }

  /** Pixels of the canvas, from its top left corner, of a place in the world; null: behind us. */
  project(place: Vector3): { x: number; y: number; depth: number } | null {
    const p = place.clone().applyMatrix4(this.camera.matrixWorldInverse);
    const depth = -p.z;
    if (depth <= 0) return null;
    p.applyMatrix4(this.camera.projectionMatrix);
    const box = this.canvas;
    return { x: ((p.x + 1) / 2) * box.clientWidth, y: ((1 - p.y) / 2) * box.clientHeight, depth };
  }

  /** Have a look at controls and animations, and draw if they have changed something. */
  private ask(): void {
    if (!this.pending) this.pending = requestAnimationFrame((now) => this.frame(now));
  }

  private frame(now: number): void {
    this.pending = 0;
    const gap = now - this.last;
    const delta = Math.min(0.1, gap / 1000);
    this.last = now;
    let again = this.controls.update(delta);
    for (const animate of [...this.animations]) again = animate(delta) || again;
    if (again) this.frameMs = gap < 1000 ? gap : 16;
    this.camera.updateMatrixWorld();
    const moved = !this.seen.equals(this.camera.matrixWorld);
    if (moved) this.noteMove();
    if (moved || this.stale) this.draw();
    if (again) this.ask();
  }

  private noteMove(): void {
    this.seen.copy(this.camera.matrixWorld);
    this.moving = true;
    this.moved.emit();
    clearTimeout(this.restTimer);
    this.restTimer = window.setTimeout(() => {
      this.moving = false;
      this.rested.emit();
    }, REST_MS);
  }
}

/**
 * A canvas with smoothed edges on a graphics card, and without in software, which takes four times as
 * long for them. Only an open context tells which it is: `failIfMajorPerformanceCaveat` does not.
 */
function openCanvas(): { canvas: HTMLCanvasElement; context: WebGL2RenderingContext; software: boolean } {
  const open = (antialias: boolean) => {
    const canvas = document.createElement("canvas");
    const options: WebGLContextAttributes = { antialias, alpha: false, depth: true, powerPreference: "high-performance" };
    const context = canvas.getContext("webgl2", options);
    if (!context) throw new NoWebgl("WebGL 2 is switched off, or the graphics driver is blocked.");
    return { canvas, context };
  };
  const plain = open(false);
  if (isSoftware(plain.context)) return { ...plain, software: true };
  plain.context.getExtension("WEBGL_lose_context")?.loseContext();
  return { ...open(true), software: false };
}

function hasContent(scene: Scene): boolean {
  let found = false;
  scene.traverseVisible((one) => {
    found ||= "geometry" in one && (one.geometry as BufferGeometry).hasAttribute("position");
  });
  return found;
}

function isSoftware(context: WebGL2RenderingContext): boolean {
  const info = context.getExtension("WEBGL_debug_renderer_info");
  const name = String(context.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : context.RENDERER));
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
