// Clouds that are too large to send whole: an octree of which the view takes what it needs.
// A part of its own, loaded when there is such a cloud.

import { TilesRenderer } from "3d-tiles-renderer/three";
import { PotreePlugin } from "3d-tiles-renderer/src/three/plugins/potree/PotreePlugin.js";
import { type Material, type Object3D, Points, Vector3 } from "three";
import type { Stop } from "../signal";
import type { Clip } from "./clip";
import { begunRequest } from "./prefetch";
import type { View } from "./view";

const MEGABYTE = 1 << 20;
const MOST_BYTES = 500 * MEGABYTE; // of nodes that are kept
const KEPT_BYTES = 300 * MEGABYTE;
const JOBS = 6;
const FINEST = 1; // error in pixels
const COARSEST = 16;
const SLOW_FRAME_MS = 60;
const PATIENCE_MS = 1500;

export class Octree {
  readonly group: Object3D;
  /** Once some of its points have been drawn; or soon, where none is in sight. */
  readonly begun: Promise<void>;
  private readonly tiles: TilesRenderer;
  private readonly plugin: PotreePlugin;
  private readonly update: () => void;
  private readonly unheard: Stop;
  private wanted: number;
  private begin: () => void = () => undefined;

  constructor(
    private readonly view: View,
    url: string,
    clip: Clip,
  ) {
    this.wanted = view.software ? 4 : 1.5;
    this.begun = new Promise((done) => {
      this.begin = done;
      setTimeout(done, PATIENCE_MS);
    });
    this.plugin = new PotreePlugin({ url: `${url}metadata.json`, pointShape: "square", minPointSize: 1.5 });
    const tiles = new TilesRenderer();
    this.tiles = tiles;
    tiles.registerPlugin(this.plugin);
    tiles.registerPlugin({ name: "BEGUN_PLUGIN", fetchData: begunRequest });
    tiles.errorTarget = this.wanted;
    tiles.lruCache.minBytesSize = KEPT_BYTES;
    tiles.lruCache.maxBytesSize = MOST_BYTES;
    tiles.downloadQueue.maxJobsPerOrigin = JOBS;
    tiles.setCamera(view.camera);
    this.group = tiles.group;
    this.update = () => {
      tiles.errorTarget = view.moving ? Math.min(COARSEST, this.wanted * 2) : this.wanted;
      tiles.setResolutionFromRenderer(view.camera, view.renderer);
      tiles.update();
    };
    view.preparations.add(this.update);
    this.unheard = view.drawn.on(() => this.adapt());
    const again = () => view.invalidate();
    tiles.addEventListener("load-model", ({ scene }) => {
      this.clipOne(scene, clip);
      again();
    });
    tiles.addEventListener("needs-update", again);
    tiles.addEventListener("tiles-load-end", again);
    tiles.addEventListener("load-tileset", again);
  }

  setClip(clip: Clip): void {
    this.tiles.forEachLoadedModel((scene) => this.clipOne(scene, clip));
  }

  setPointScale(scale: number): void {
    this.plugin.pointScale = scale;
  }

  /** How many points are drawn at present. */
  get drawn(): number {
    let count = 0;
    this.group.traverseVisible((one) => {
      if (one instanceof Points) count += one.geometry.getAttribute("position").count;
    });
    return count;
  }

  /** The points that are there and drawn. */
  *places(): Generator<Vector3> {
    const drawn: Points[] = [];
    this.group.traverseVisible((one) => one instanceof Points && drawn.push(one));
    for (const { geometry, matrixWorld } of drawn) {
      const positions = geometry.getAttribute("position");
      for (let n = 0; n < positions.count; n++) {
        yield new Vector3().fromBufferAttribute(positions, n).applyMatrix4(matrixWorld);
      }
    }
  }

  get megabytes(): number {
    return (this.tiles.lruCache as unknown as { cachedBytes: number }).cachedBytes / MEGABYTE;
  }

  dispose(): void {
    this.view.preparations.delete(this.update);
    this.unheard();
    this.group.removeFromParent();
    this.tiles.dispose();
  }

  private clipOne(scene: Object3D, clip: Clip): void {
    scene.traverse((one) => {
      if (one instanceof Points) (one.material as Material).clippingPlanes = clip.on ? clip.planes : null;
    });
  }

  /** As fine as this machine draws fluently. */
  private adapt(): void {
    if (this.drawn) this.begin();
    if (!this.view.moving || this.view.frameMs <= 0) return;
    const factor = this.view.frameMs > SLOW_FRAME_MS ? 1.05 : this.view.frameMs < SLOW_FRAME_MS / 3 ? 0.97 : 1;
    const least = this.view.software ? 3 : FINEST;
    this.wanted = Math.min(COARSEST, Math.max(least, this.wanted * factor));
  }
}
