// Meshes. The loader is a part of its own, loaded when there is one to show.

import { Group, HemisphereLight, type Material, Mesh, type Object3D, TextureLoader } from "three";
import type { MeshFile } from "../messages";
import type { Clip } from "./clip";
import type { View } from "./view";

export class MeshLayer {
  readonly group = new Group();
  /** Id of the mesh that is there to be seen. */
  shown = "";
  private wanted = "";

  constructor(
    private readonly view: View,
    private readonly clip: Clip,
  ) {
    this.group.visible = false;
  }

  /** Load a mesh in the place of the last one. Raises an error where that fails; it may be tried again. */
  async show(file: MeshFile): Promise<void> {
    if (this.wanted === file.id) return;
    this.wanted = file.id;
    try {
      const scene = await load(file.url);
      if (this.wanted !== file.id) return drop(scene); // another one was asked for meanwhile
      this.put(scene, file.id);
    } catch (error) {
      if (this.wanted !== file.id) return;
      this.wanted = this.shown;
      throw error;
    }
  }

  setClip(): void {
    this.group.traverse((one) => {
      if (one instanceof Mesh) (one.material as Material).clippingPlanes = this.clip.on ? this.clip.planes : null;
    });
  }

  private put(scene: Object3D, id: string): void {
    const light = new HemisphereLight(0xffffff, 0x8a8f99, 3);
    light.position.copy(this.view.up);
    drop(this.group);
    this.group.clear();
    this.group.add(scene, light);
    this.shown = id;
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
