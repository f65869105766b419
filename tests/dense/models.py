"""Sparse models with known truth: cameras on an arc before points, a floor, and strays."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.products import NO_POINT, Points, RegisteredImage, SparseModel
from tests.synthetic import SyntheticWorld, WorldSpec, make_world

SPEC = WorldSpec(images=6, points=3000, noise_px=0.4, seed=11)


def model_of(world: SyntheticWorld, xyz: Float64s | None = None) -> SparseModel:
    """The world as mapping makes it, with COLMAP's numbers. xyz: where its points are said to be,
    instead of the truth."""
    truth = world.truth
    points = truth.points_world if xyz is None else xyz
    images, rows = {}, []
    for i, pose in enumerate(world.poses):
        mine = np.flatnonzero(truth.obs_images == i)
        ids = truth.obs_points[mine] + 1
        blind = np.zeros((1, 2))  # a keypoint that sees no point
        images[i + 1] = RegisteredImage(
            f"{i:02}.png",
            int(truth.image_cameras[i]) + 1,
            pose,
            np.concatenate([blind, truth.obs_px[mine]]),
            np.concatenate([[NO_POINT], ids]).astype(np.int64),
        )
        rows.append(np.column_stack([ids, np.full(len(ids), i + 1), np.arange(1, len(ids) + 1)]))
    seen = np.concatenate(rows)
    seen = seen[np.lexsort((seen[:, 1], seen[:, 0]))]
    starts = np.searchsorted(seen[:, 0], np.arange(1, len(points) + 2))
    rgb = np.full((len(points), 3), 90, np.uint8)
    errors = np.linspace(0.1, 1.0, len(points))
    cloud = Points(
        np.arange(1, len(points) + 1), points, rgb, errors, starts.astype(np.int64),
        seen[:, 1].copy(), seen[:, 2].copy(),
    )  # fmt: skip
    cameras = {k + 1: camera for k, camera in enumerate(truth.cameras)}
    return SparseModel(cameras, images, cloud)


def floor_model() -> tuple[SparseModel, Bools]:
    """Points on a floor (y = 1, so that up is -y), a heap on it, and 40 strays, the last rows."""
    world = make_world(SPEC)
    rng = np.random.default_rng(4)
    xyz = world.truth.points_world.copy()
    xyz[:2000, 1] = 1.0 + rng.normal(0.0, 0.002, 2000)
    xyz[-40:] = rng.uniform(-12.0, 12.0, (40, 3))
    xyz[-1] = 1e12
    strays = np.arange(len(xyz)) >= len(xyz) - 40
    return model_of(world, xyz), strays
