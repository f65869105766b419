// What the scene shows as long as nobody has chosen: the best that there is of the run.

import type { Cloud, MeshFile, SceneAnswer, StageStateName } from "../messages";

const FINAL = "mesh"; // the stage whose mesh takes the place of the points; a draft only lies beneath them
const DENSE = "dense"; // the cloud that this mesh is made of: large, and to be seen only in its absence
const NOT_YET: (StageStateName | undefined)[] = ["waiting", "stale", "started"];

export interface Surfaces {
  points: boolean;
  mesh: boolean;
}

export interface Offer {
  /** The best mesh of the run. */
  best: MeshFile | undefined;
  /** Id of the mesh that has come. */
  shown: string;
  /** Novel views stand where their depths say: a mesh would cover them. */
  rendering: boolean;
  /** Somebody has picked the cloud that is there. */
  picked: boolean;
}

/** wanted: name or id of a cloud. */
export function isWanted(cloud: Cloud, wanted: string | null | undefined): boolean {
  return cloud.id === wanted || cloud.name === wanted;
}

/** wanted: name or id of a cloud. Without it those that come as streams go first, then the better ones, which are last. */
export function openingCloud({ clouds, meshes }: SceneAnswer, wanted?: string | null): Cloud | undefined {
  const found = clouds.find((cloud) => isWanted(cloud, wanted));
  if (found) return found;
  const dense = clouds.find((cloud) => cloud.name === DENSE);
  const others = clouds.filter((cloud) => cloud !== dense);
  if (dense && !meshes.some((mesh) => mesh.stage === FINAL)) return dense; // as in viewer/page.py
  return others.findLast((cloud) => cloud.format === "points") ?? others.at(-1) ?? dense;
}

/** The last one, the better ones being last, that no stage is about to make anew. */
export function bestMesh(
  meshes: MeshFile[],
  stateOf: (stage: string) => StageStateName | undefined,
): MeshFile | undefined {
  return meshes.findLast((mesh) => !NOT_YET.includes(stateOf(mesh.stage)));
}

/** chosen: what the visitor or the address has said, which always holds. The points stay until the mesh is there. */
export function openingSurfaces({ best, shown, rendering, picked }: Offer, chosen: Partial<Surfaces>): Surfaces {
  const covers = best?.stage === FINAL;
  const mesh = chosen.mesh ?? (best !== undefined && !rendering && !(covers && picked));
  const replaced = mesh && covers && !picked && shown === best.id;
  return { mesh, points: chosen.points ?? !replaced };
}
