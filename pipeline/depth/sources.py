"""Which photographs each one is compared with, and how deep the scene in front of it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.products import SparseModel

FEWEST_SHARED = 10  # points
_BEST_ANGLE_DEG = 10.0
_SPREAD_BELOW_DEG, _SPREAD_ABOVE_DEG = 4.0, 10.0
_NEAREST_SHARE, _FARTHEST_SHARE = 0.75, 1.5  # there is more in front and behind than points


def source_images(model: SparseModel, images: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """For each of some images of a model those that see its points best, the best first.

    A shared point counts by the angle between its rays, as in MVSNet (Yao et al., ECCV 2018, 4.1),
    and by how alike in size both see it. Images that share fewer than FEWEST_SHARED are left out,
    so there may be fewer than `most`, or none.
    """
    points = model.points
    numbers = np.full(max(images, default=0) + 1, -1)
    numbers[list(images)] = np.arange(len(images))
    known = points.track_images < len(numbers)
    number_of = np.where(known, numbers[np.where(known, points.track_images, 0)], -1)
    row_of = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    centers = np.array([model.images[i].cam_from_world.center for i in images]).reshape(-1, 3)
    focals = np.array([model.cameras[model.images[i].camera].focal_px for i in images])
    found = []
    for n in range(len(images)):
        mine = np.zeros(len(points), bool)
        mine[row_of[number_of == n]] = True
        shared = mine[row_of] & (number_of >= 0) & (number_of != n)
        rows, others = row_of[shared], number_of[shared]
        rays = points.xyz_world[rows] - centers[n]
        other_rays = points.xyz_world[rows] - centers[others]
        distance, other_distance = (np.linalg.norm(r, axis=1) for r in (rays, other_rays))
        cosine = np.sum(rays * other_rays, axis=1) / (distance * other_distance)
        size = focals[n] / distance / (focals[others] / other_distance)
        score = _weights(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        score *= np.minimum(size, 1.0 / size)
        count = np.bincount(others, minlength=len(images))
        total = np.bincount(others, score, minlength=len(images))
        order = np.argsort(-total, kind="stable")
        best = order[count[order] >= FEWEST_SHARED][:most]
        found.append(tuple(images[int(k)] for k in best))
    return found


def depth_range(model: SparseModel, image: int) -> tuple[float, float] | None:
    """Nearest and farthest depth to look for in an image; None where it sees no points."""
    points = model.points
    row_of = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    rows = np.unique(row_of[points.track_images == image])
    z = model.images[image].cam_from_world.apply(model.points.xyz_world[rows])[:, 2]
    z = z[z > 0]
    if not len(z):
        return None
    nearest, farthest = np.percentile(z, [1, 99])
    return float(nearest * _NEAREST_SHARE), float(farthest * _FARTHEST_SHARE)


def _weights(angle_deg: Float64s) -> Float64s:
    spread = np.where(angle_deg < _BEST_ANGLE_DEG, _SPREAD_BELOW_DEG, _SPREAD_ABOVE_DEG)
    return np.asarray(np.exp(-0.5 * ((angle_deg - _BEST_ANGLE_DEG) / spread) ** 2))
