// What the scene shows as long as nobody has chosen: the best that there is of the run.

import type { MeshFile, StageStateName } from "../messages";

const FINAL = "mesh"; // the stage whose mesh takes the place of the points; a draft only lies beneath them
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
}

/** The last one, the better ones being last, that no stage is about to make anew. */
export function bestMesh(
  meshes: MeshFile[],
  stateOf: (stage: string) => StageStateName | undefined,
): MeshFile | undefined {
  return meshes.findLast((mesh) => !NOT_YET.includes(stateOf(mesh.stage)));
}

/** chosen: what the visitor or the address has said, which always holds. The points stay until the mesh is there. */
export function openingSurfaces({ best, shown, rendering }: Offer, chosen: Partial<Surfaces>): Surfaces {
  const mesh = chosen.mesh ?? (best !== undefined && !rendering);
  const replaced = mesh && best?.stage === FINAL && shown === best.id;
  return { mesh, points: chosen.points ?? !replaced };
}
