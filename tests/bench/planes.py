"""The largest plane of a cloud, for scenes whose walls are flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s

_TRIALS = 1000
_LOOKED_AT = 20_000
_REFITS = 10


@dataclass(frozen=True, eq=False)
class Plane:
    """The points x with ``normal @ x = offset``, and how a cloud lies about it.

    points: of the cloud that are near enough. rms: of their distances, in units of the cloud.
    noise: rms of their distances from the mean of those in the same cell of the plane, which
    leaves out the relief of a wall and whatever else lies near the plane.
    """

    normal: Float64s
    offset: float
    points: int
    rms: float
    noise: float


def largest_plane(cloud: Float64s, near: float, cell: float, seed: int = 0) -> Plane | None:
    """The plane that most points (N, 3) are nearer to than `near`, fitted to them. cell: edge.

    Source: RANSAC (Fischler and Bolles, CACM 1981), then least squares on the points that are near,
    anew until they stay the same. None for fewer than three points.
    """
    if len(cloud) < 3:
        return None
    rng = np.random.default_rng(seed)
    some = cloud[rng.choice(len(cloud), min(len(cloud), _LOOKED_AT), replace=False)]
    best, most = None, 0
    for _ in range(_TRIALS):
        corners = some[rng.choice(len(some), 3, replace=False)]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        length = float(np.linalg.norm(normal))
        if length == 0.0:
            continue
        normal /= length
        count = int((np.abs(some @ normal - normal @ corners[0]) < near).sum())
        if count > most:
            best, most = (normal, float(normal @ corners[0])), count
    if best is None:
        return None
    normal, offset = best
    inside: Bools = np.zeros(len(cloud), np.bool_)
    for _ in range(_REFITS):
        before, inside = inside, np.abs(cloud @ normal - offset) < near
        if (before == inside).all():
            break
        middle = cloud[inside].mean(axis=0)
        centred = cloud[inside] - middle
        normal = np.linalg.eigh(centred.T @ centred)[1][:, 0]
        offset = float(normal @ middle)
    apart = cloud @ normal - offset
    inside = np.abs(apart) < near
    noise = _noise(cloud[inside], normal, cell)
    return Plane(normal, offset, int(inside.sum()), _rms(apart[inside]), noise)


def _noise(points: Float64s, normal: Float64s, cell: float) -> float:
    """The rms of heights over a plane about their means in square cells."""
    axes = np.linalg.svd(normal[None])[2]
    cells = np.floor(points @ axes[1:].T / cell).astype(np.int64)
    _, cell_of = np.unique(cells, axis=0, return_inverse=True)
    heights = points @ normal
    means = np.bincount(cell_of, heights) / np.bincount(cell_of)
    return _rms(heights - means[cell_of])


def _rms(values: Float64s) -> float:
    return float(np.sqrt(np.mean(values**2)))
