// Meshes. The loader is a part of its own, loaded when there is one to show.

import { Group, HemisphereLight, type Material, Mesh } from "three";
import type { MeshFile } from "../messages";
import type { Clip } from "./clip";
import type { View } from "./view";

export class MeshLayer {
  readonly group = new Group();
  loaded = "";

  constructor(
    private readonly view: View,
    private readonly clip: Clip,
  ) {
    this.group.visible = false;
  }

  async show(file: MeshFile): Promise<void> {
    if (this.loaded === file.id) return;
    this.loaded = file.id;
    const { GLTFLoader } = await import("three/addons/loaders/GLTFLoader.js");
    const { scene } = await new GLTFLoader().loadAsync(file.url);
    const light = new HemisphereLight(0xffffff, 0x8a8f99, 3);
    light.position.copy(this.view.up);
    this.group.clear();
    this.group.add(scene, light);
    this.setClip();
    this.view.invalidate();
  }

  setClip(): void {
    this.group.traverse((one) => {
      if (one instanceof Mesh) (one.material as Material).clippingPlanes = this.clip.on ? this.clip.planes : null;
    });
  }
}
