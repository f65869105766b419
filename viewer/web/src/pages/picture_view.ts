// Pictures on a canvas that can be moved and brought closer, with drawings on top of them.

import { h } from "../dom";
import { Signal } from "../signal";

export interface Placed {
  url: string;
  width: number;
  height: number;
  x: number;
  y: number;
  /** Nothing is drawn on it that it would have to stay behind. */
  alone?: boolean;
}

export interface Pointer {
  x: number;
  y: number;
}

interface Size {
  width: number;
  height: number;
}

const CLOSEST = 24;
const GAP = 0.02; // between two pictures, of the first one's width

/** Where a second picture is to lie: beside the first or below it, so that both are large. */
export function secondPlace({ clientWidth: width, clientHeight: height }: HTMLCanvasElement, first: Size, second: Size): Pointer {
  const beside = Math.min(width / (first.width + second.width), height / Math.max(first.height, second.height));
  const below = Math.min(width / Math.max(first.width, second.width), height / (first.height + second.height));
  const gap = GAP * first.width;
  return beside * 1.1 >= below ? { x: first.width + gap, y: 0 } : { x: 0, y: first.height + gap };
}

export class PictureView {
  readonly canvas = h("canvas", { class: "picture", tabindex: 0 });
  readonly pointed = new Signal<Pointer | null>();
  readonly clicked = new Signal<Pointer>();
  dim = 0;
  private readonly context = this.canvas.getContext("2d")!;
  private placed: { at: Placed; image: HTMLImageElement }[] = [];
  private scale = 1;
  private x = 0;
  private y = 0;
  private fitted = true;
  private pending = 0;
  private readonly pointers = new Map<number, Pointer>();
  private dragged = 0;

  /** overlay: draws in pixels of the pictures; `pixel` is the size of one of the screen's. */
  constructor(
    label: string,
    private readonly overlay: (context: CanvasRenderingContext2D, pixel: number) => void,
  ) {
    this.canvas.setAttribute("aria-label", label);
    new ResizeObserver(() => {
      if (this.fitted) this.fit();
      else this.redraw();
    }).observe(this.canvas);
    this.bind();
  }

  show(pictures: Placed[]): void {
    this.placed = pictures.map((at) => {
      const image = new Image();
      image.onload = () => this.redraw();
      image.src = at.url;
      return { at, image };
    });
    this.fit();
  }

  fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const right = Math.max(1, ...this.placed.map(({ at }) => at.x + at.width));
    const bottom = Math.max(1, ...this.placed.map(({ at }) => at.y + at.height));
    this.scale = Math.min(width / right, height / bottom) || 1;
    this.x = (width - right * this.scale) / 2;
    this.y = (height - bottom * this.scale) / 2;
    this.fitted = true;
    this.redraw();
  }

  redraw(): void {
    if (!this.pending) this.pending = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.pending = 0;
    const { canvas, context } = this;
    const ratio = Math.min(devicePixelRatio, 2);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    context.imageSmoothingEnabled = this.scale < 3;
    for (const { at, image } of this.placed) {
      if (image.complete && image.naturalWidth) context.drawImage(image, at.x, at.y, at.width, at.height);
      else {
        context.fillStyle = "#7f8a9c22";
        context.fillRect(at.x, at.y, at.width, at.height);
      }
      if (this.dim && !at.alone) {
        context.fillStyle = `rgb(8 10 13 / ${this.dim})`;
        context.fillRect(at.x, at.y, at.width, at.height);
      }
    }
    this.overlay(context, 1 / this.scale);
  }

  private zoom(factor: number, at: Pointer): void {
    const { clientWidth, clientHeight } = this.canvas;
    const right = Math.max(1, ...this.placed.map((one) => one.at.x + one.at.width));
    const bottom = Math.max(1, ...this.placed.map((one) => one.at.y + one.at.height));
    const least = Math.min(clientWidth / right, clientHeight / bottom);
    const next = Math.min(CLOSEST, Math.max(least, this.scale * factor));
    if (next === least) return this.fit();
    this.x = at.x - ((at.x - this.x) * next) / this.scale;
    this.y = at.y - ((at.y - this.y) * next) / this.scale;
    this.scale = next;
    this.fitted = false;
    this.redraw();
  }

  private toPicture(at: Pointer): Pointer {
    return { x: (at.x - this.x) / this.scale, y: (at.y - this.y) / this.scale };
  }

  private bind(): void {
    const { canvas } = this;
    const at = (event: MouseEvent) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      this.dragged = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = at(event);
      const before = this.pointers.get(event.pointerId);
      if (before) this.drag(event.pointerId, before, now);
      else this.pointed.emit(this.toPicture(now));
    });
    const up = (event: PointerEvent) => {
      if (this.pointers.delete(event.pointerId) && this.dragged < 4 && event.type === "pointerup") {
        this.clicked.emit(this.toPicture(at(event)));
      }
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.pointed.emit(null));
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("keydown", (event) => {
      const middle = { x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 };
      if (event.key === "+" || event.key === "=") this.zoom(1.3, middle);
      else if (event.key === "-") this.zoom(1 / 1.3, middle);
      else if (event.key === "0") this.fit();
    });
  }

  private drag(id: number, before: Pointer, now: Pointer): void {
    const others = [...this.pointers].filter(([key]) => key !== id).map(([, place]) => place);
    const other = others[0];
    this.dragged += Math.hypot(now.x - before.x, now.y - before.y);
    this.pointers.set(id, now);
    if (other) {
      const was = Math.hypot(before.x - other.x, before.y - other.y);
      const is = Math.hypot(now.x - other.x, now.y - other.y);
      this.zoom(is / Math.max(1, was), other);
      return;
    }
    this.x += now.x - before.x;
    this.y += now.y - before.y;
    this.fitted = false;
    this.redraw();
  }
}
