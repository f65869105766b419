// The photographs on the faces of their frusta: tiles of one texture, filled as the pictures come.

import {
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  DoubleSide,
  Mesh,
  MeshBasicMaterial,
  NoColorSpace,
  type Vector3,
} from "three";
import { throttled } from "../signal";
import { thumbnailOf } from "../pictures";
import type { View } from "./view";

const MOST_SIDE = 2048;
const AT_ONCE = 4;
const LARGEST_TILE = 256;
const UPLOAD_MS = 300;
const UPLOAD_IN_SOFTWARE_MS = 1200;
const BLANK = "#39414f";

export class Thumbnails {
  readonly mesh: Mesh<BufferGeometry, MeshBasicMaterial>;
  loaded = 0;
  private canvas: HTMLCanvasElement | null = null;
  private texture: CanvasTexture | null = null;
  private photos: (number | null)[] = [];
  private readonly side: number;
  private tile: number;
  private hidden = -1;
  private allowed = false;
  private wanted = true;
  private columns = 1;
  private readonly slots = new Map<number, number>();
  private readonly waiting: number[] = [];
  private running = 0;
  private aspects: number[] = [];
  private readonly upload: () => void;

  constructor(private readonly view: View) {
    this.side = view.software ? MOST_SIDE / 2 : MOST_SIDE;
    this.tile = view.software ? LARGEST_TILE / 2 : LARGEST_TILE;
    this.upload = throttled(view.software ? UPLOAD_IN_SOFTWARE_MS : UPLOAD_MS, () => {
      if (this.texture) this.texture.needsUpdate = true;
      this.view.invalidate();
    });
    const material = new MeshBasicMaterial({ side: DoubleSide, toneMapped: false });
    // The picture is in sRGB already, and goes to the screen as it is.
    material.onBeforeCompile = (shader) => {
      shader.fragmentShader = shader.fragmentShader.replace("#include <colorspace_fragment>", "");
    };
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
    this.mesh.visible = false; // until there is a picture
  }

  /** photos: index of each camera's photograph. faces: corners from top left, clockwise. */
  place(photos: (number | null)[], faces: [Vector3, Vector3, Vector3, Vector3][], aspects: number[]): void {
    this.photos = photos;
    this.aspects = aspects;
    this.layOut();
    const count = faces.length;
    const places = new Float32Array(count * 12);
    const uvs = new Float32Array(count * 8);
    const index = new Uint32Array(count * 6);
    faces.forEach((face, n) => {
      face.forEach((corner, k) => corner.toArray(places, (4 * n + k) * 3));
      const slot = this.slots.get(photos[n] ?? -1) ?? -1;
      const u = slot < 0 ? 0 : (slot % this.columns) * this.tile;
      const v = slot < 0 ? 0 : Math.floor(slot / this.columns) * this.tile;
      const [width, height] = this.fitted(aspects[n] ?? 1.5);
      const box = [u + 0.5, v + 0.5, u + width - 0.5, v + height - 0.5].map((value) => value / this.side);
      const [left, top, right, bottom] = box as [number, number, number, number];
      uvs.set([left, 1 - top, right, 1 - top, right, 1 - bottom, left, 1 - bottom], 8 * n);
      index.set([0, 1, 2, 0, 2, 3].map((k) => 4 * n + k), 6 * n);
    });
    const geometry = this.mesh.geometry;
    geometry.dispose();
    geometry.setAttribute("position", new BufferAttribute(places, 3));
    geometry.setAttribute("uv", new BufferAttribute(uvs, 2));
    geometry.setIndex(new BufferAttribute(index, 1));
    this.hide(this.hidden);
    this.fetchMore();
  }

  /** The face of one camera is left out: whoever stands behind it looks through. */
  hide(index: number): void {
    const faces = this.mesh.geometry.index;
    if (!faces) return;
    const put = (n: number, corners: number[]) => {
      if (n >= 0 && 6 * n < faces.count) (faces.array as Uint32Array).set(corners.map((k) => 4 * n + k), 6 * n);
    };
    put(this.hidden, [0, 1, 2, 0, 2, 3]);
    put(index, [0, 0, 0, 0, 0, 0]);
    this.hidden = index;
    faces.needsUpdate = true;
  }

  /** The points are there: now the pictures may come. */
  begin(): void {
    this.allowed = true;
    this.fetchMore();
  }

  setVisible(on: boolean): void {
    this.wanted = on;
    this.mesh.visible = on && this.loaded > 0;
    this.fetchMore();
    this.view.invalidate();
  }

  private fitted(aspect: number): [number, number] {
    return aspect >= 1 ? [this.tile, Math.round(this.tile / aspect)] : [Math.round(this.tile * aspect), this.tile];
  }

  /** Give each photograph a tile; more of them get smaller ones. */
  private layOut(): void {
    const wanted = this.photos.filter((photo): photo is number => photo !== null);
    let tile = this.view.software ? LARGEST_TILE / 2 : LARGEST_TILE;
    while (Math.floor(this.side / tile) ** 2 < wanted.length + 1 && tile > 16) tile /= 2;
    if (tile !== this.tile) {
      this.tile = tile;
      this.slots.clear();
      this.loaded = 0;
      this.canvas?.getContext("2d")?.clearRect(0, 0, this.side, this.side);
    }
    this.columns = Math.floor(this.side / tile);
    for (const photo of wanted) {
      if (!this.slots.has(photo) && this.slots.size < this.columns ** 2) {
        this.slots.set(photo, this.slots.size);
        this.blank(photo);
        this.waiting.push(photo);
      }
    }
  }

  private fetchMore(): void {
    if (!this.photos.length || !this.allowed || !this.wanted) return;
    if (!this.canvas) {
      this.canvas = document.createElement("canvas");
      this.canvas.width = this.canvas.height = this.side;
      this.texture = new CanvasTexture(this.canvas);
      this.texture.colorSpace = NoColorSpace;
      this.texture.generateMipmaps = !this.view.software;
      if (this.view.software) this.texture.minFilter = this.texture.magFilter;
      this.mesh.material.map = this.texture;
      this.mesh.material.needsUpdate = true;
      for (const photo of this.slots.keys()) this.blank(photo);
    }
    while (this.running < AT_ONCE && this.waiting.length) void this.fetch(this.waiting.shift()!);
  }

  private blank(photo: number): void {
    const context = this.canvas?.getContext("2d");
    const slot = this.slots.get(photo);
    if (!context || slot === undefined) return;
    context.fillStyle = BLANK;
    context.fillRect((slot % this.columns) * this.tile, Math.floor(slot / this.columns) * this.tile, this.tile, this.tile);
  }

  private async fetch(photo: number): Promise<void> {
    this.running += 1;
    try {
      const response = await fetch(thumbnailOf(photo));
      if (!response.ok) return;
      const picture = await createImageBitmap(await response.blob());
      const slot = this.slots.get(photo);
      const at = this.photos.indexOf(photo);
      if (slot === undefined || at < 0) return;
      const [width, height] = this.fitted(this.aspects[at] ?? picture.width / picture.height);
      const [x, y] = [(slot % this.columns) * this.tile, Math.floor(slot / this.columns) * this.tile];
      this.canvas?.getContext("2d")?.drawImage(picture, x, y, width, height);
      picture.close();
      this.loaded += 1;
      this.mesh.visible = this.wanted;
      this.upload();
    } catch {
      // its face stays blank
    } finally {
      this.running -= 1;
      this.fetchMore();
    }
  }
}
