"""A run directory whose stage `mesh` has fused a cloud, without its depth maps."""

from __future__ import annotations

import numpy as np

from pipeline.formats.colmap_fused import write_visibility
from pipeline.formats.ply import PointCloud, write_ply
from pipeline.manifest import Ingredients, StageEntry
from pipeline.mesh_products import FusedCloud
from pipeline.run_directory import RunDirectory


def fused_cloud(count: int = 500) -> FusedCloud:
    """Points on a floor (y = 1), of which point n is seen by 2 to 5 photographs."""
    rng = np.random.default_rng(count)
    xyz = rng.uniform(-1.0, 1.0, (count, 3)).astype(np.float32)
    xyz[:, 1] = 1.0
    normals = np.tile(np.array([0.0, -1.0, 0.0], np.float32), (count, 1))
    rgb = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    counts = 2 + np.arange(count) % 4
    images = np.concatenate([np.arange(seen) for seen in counts]).astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return FusedCloud(PointCloud(xyz, rgb, normals), starts, images)


def give_fused(
    directory: RunDirectory, fused: FusedCloud, source: str = "photographs", seed: int = 0
) -> None:
    """Let the stages after mapping have fused a cloud. source: whose depth it is, `photographs` or
    `field`. seed: of `mesh`, so that another one is another run of it."""
    folder = directory.root / "mesh"
    folder.mkdir(exist_ok=True)
    write_ply(folder / "fused.ply", fused.cloud)
    write_visibility(folder / "fused.ply.vis", fused.starts, fused.images)
    known = directory.manifest.stages
    if source == "field":
        needs = {"field_depth": known["radiance"].ingredients.fingerprint}
    else:
        mapped = known["mapping"].ingredients.fingerprint
        depth = Ingredients("depth", 1, {}, {"reconstruction": mapped}, {})
        directory.record(StageEntry(depth, 1.0, {}))
        needs = {"depth": depth.fingerprint}
    made = Ingredients("mesh", 1, {"seed": seed}, needs, {})
    directory.record(StageEntry(made, 1.0, {"source": source, "points": len(fused.cloud.xyz)}))
