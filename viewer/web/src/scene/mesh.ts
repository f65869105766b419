// Meshes. The loader is a part of its own, loaded when there is one to show.

import {
  Box3,
  Group,
  HemisphereLight,
  type Material,
  Mesh,
  type Object3D,
  Raycaster,
  Sphere,
  TextureLoader,
  Vector2,
  type Vector3,
} from "three";
import type { MeshFile } from "../messages";
import type { Clip } from "./clip";
import type { View } from "./view";

export class MeshLayer {
  readonly group = new Group();
  /** The mesh that has come. */
  shown: MeshFile | null = null;
  private wanted: MeshFile | null = null;

  constructor(
    private readonly view: View,
    private readonly clip: Clip,
  ) {
    this.group.visible = false;
  }

  /** Load a mesh in the place of the last one. Raises an error where that fails; it may be tried again. */
  async show(file: MeshFile): Promise<void> {
    if (this.wanted?.id === file.id) return;
    this.wanted = file;
    try {
      const scene = await load(file.url);
      if (this.wanted !== file) return drop(scene); // another one was asked for meanwhile
      this.put(scene);
      this.shown = file;
    } catch (error) {
      if (this.wanted !== file) return;
      this.wanted = this.shown;
      throw error;
    }
  }

  /** Whether one is on its way. */
  get loading(): boolean {
    return this.wanted !== this.shown;
  }

  setClip(): void {
    this.group.traverse((one) => {
      if (one instanceof Mesh) (one.material as Material).clippingPlanes = this.clip.on ? this.clip.planes : null;
    });
  }

  /** The place on the mesh that is seen at a place of the canvas; null: there is none. */
  at(x: number, y: number): Vector3 | null {
    if (!this.group.visible) return null;
    const { canvas, camera } = this.view;
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2((2 * x) / canvas.clientWidth - 1, 1 - (2 * y) / canvas.clientHeight), camera);
    const cuts = this.clip.on ? this.clip.planes : [];
    const isThere = (place: Vector3) => cuts.every((plane) => plane.distanceToPoint(place) >= 0);
    return ray.intersectObject(this.group).find(({ point }) => isThere(point))?.point ?? null;
  }

  /** Around all of it. */
  bounds(): Sphere {
    return new Box3().setFromObject(this.group).getBoundingSphere(new Sphere());
  }

  private put(scene: Object3D): void {
    const light = new HemisphereLight(0xffffff, 0x8a8f99, 3);
    light.position.copy(this.view.up);
    drop(this.group);
    this.group.clear();
    this.group.add(scene, light);
    this.setClip();
    this.view.invalidate();
  }
}

async function load(url: string): Promise<Object3D> {
  const { GLTFLoader } = await import("three/addons/loaders/GLTFLoader.js");
  const loader = new GLTFLoader();
  loader.register((parser) => {
    // As an image: the server lets no script fetch the `blob:` that a texture inside the file becomes.
    parser.textureLoader = new TextureLoader(parser.options.manager);
    return { name: "textures as images" };
  });
  const { scene } = await loader.loadAsync(url);
  scene.rotation.x = Math.PI; // glTF has y up and z back, a run has y down and z forward
  return scene;
}

/** Give back what the graphics card keeps of it. */
function drop(scene: Object3D): void {
  scene.traverse((one) => {
    if (!(one instanceof Mesh)) return;
    one.geometry.dispose();
    one.material.map?.dispose();
    one.material.dispose();
  });
}
