"""A synthetic world as the mapper gets it: keypoints, cameras and two-view geometries."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.config import VerificationConfig
from pipeline.geometry.arrays import Float64s
from pipeline.matching.two_view import TwoViewPoints, describe_pair, fit_fundamental
from pipeline.products import TwoViewGeometries
from tests.synthetic import SyntheticWorld, WorldSpec, make_world

CONFIG = VerificationConfig()


@dataclass(frozen=True, eq=False)
class Photographed:
    """A world's keypoints per image, the point that each shows, and the verified pairs."""

    world: SyntheticWorld
    keypoints_px: list[Float64s]
    shows: list[np.ndarray]
    geometries: TwoViewGeometries


def photograph(spec: WorldSpec, wrong_matches: float = 0.0) -> Photographed:
    """Match every pair of images of a world by the true points, some of them wrongly.

    wrong_matches: share of the matches that are shuffled among themselves.
    """
    world = make_world(spec)
    truth = world.truth
    rng = np.random.default_rng(spec.seed + 1)
    rows = [np.flatnonzero(truth.obs_images == i) for i in range(spec.images)]
    keypoints = [truth.obs_px[row] for row in rows]
    shows = [truth.obs_points[row] for row in rows]
    geometries = {}
    for i1, i2 in combinations(range(spec.images), 2):
        common, n1, n2 = np.intersect1d(shows[i1], shows[i2], return_indices=True)
        if len(common) < CONFIG.min_inliers:
            continue
        wrong = np.flatnonzero(rng.random(len(common)) < wrong_matches)
        n2[wrong] = n2[rng.permutation(wrong)]
        points = TwoViewPoints(
            np.column_stack([n1, n2]).astype(np.uint32), keypoints[i1][n1], keypoints[i2][n2]
        )
        cameras = tuple(truth.cameras[truth.image_cameras[i]] for i in (i1, i2))
        fit = fit_fundamental(points.points1_px, points.points2_px, CONFIG)
        geometries[i1, i2] = describe_pair(points, fit, (cameras[0], cameras[1]), CONFIG)
    return Photographed(world, keypoints, shows, TwoViewGeometries(geometries, truth.cameras))
