"""Similarity transformations: scale, rotation and translation between two frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose


@dataclass(frozen=True, eq=False)
class Similarity:
    """A similarity ``b_from_a``: ``x_b = scale * rotation @ x_a + translation``.

    scale: positive. rotation: (3, 3) float64, determinant +1. translation: (3,) float64.
    """

    scale: float
    rotation: Float64s
    translation: Float64s

    def __post_init__(self) -> None:
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,) or not self.scale > 0:
            raise ValueError(
                f"a similarity needs a positive scale, a (3, 3) rotation and a (3,) translation, "
                f"not {self.scale}, {self.rotation.shape} and {self.translation.shape}"
            )

    def apply(self, points_a: Float64s) -> Float64s:
        """Points (N, 3) of frame a in frame b, (N, 3)."""
        return self.scale * (points_a @ self.rotation.T) + self.translation

    def inverse(self) -> Similarity:
        """``a_from_b``."""
        rotation = self.rotation.T.copy()
        return Similarity(1.0 / self.scale, rotation, -rotation @ self.translation / self.scale)

    def apply_to_pose(self, cam_from_a: Pose) -> Pose:
        """``cam_from_b``: the same camera placed in frame b.

        The camera's own frame is scaled too, so that every point keeps its pixel.
        """
        rotation = cam_from_a.rotation @ self.rotation.T
        translation = self.scale * cam_from_a.translation - rotation @ self.translation
        return Pose(rotation, translation)


@dataclass(frozen=True)
class NoSimilarity:
    """Why two point sets determine no similarity, in words."""

    reason: str


def estimate_similarity(points_a: Float64s, points_b: Float64s) -> Similarity | NoSimilarity:
    """Least-squares similarity ``b_from_a`` of corresponding points.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991, equations 40-43. points_a, points_b: (N, 3) in frames a and b. Result:
    `NoSimilarity` for fewer than three points, points that coincide or lie on one line in either
    frame, or coordinates that are not finite. Raises ValueError if the shapes differ.
    """
    if points_a.shape != points_b.shape or points_a.ndim != 2 or points_a.shape[1] != 3:
        raise ValueError(f"two (N, 3) arrays needed, not {points_a.shape} and {points_b.shape}")
    n = len(points_a)
    if n < 3:
        return NoSimilarity(f"{n} corresponding points, 3 needed")
    if not (np.isfinite(points_a).all() and np.isfinite(points_b).all()):
        return NoSimilarity("a coordinate is not finite")
    mean_a, mean_b = points_a.mean(axis=0), points_b.mean(axis=0)
    centred_a, centred_b = points_a - mean_a, points_b - mean_b
    for centred, points in ((centred_a, points_a), (centred_b, points_b)):
        shape = _degenerate_shape(centred, float(np.abs(points).max()))
        if shape:
            return NoSimilarity(f"the {n} points {shape}")

    u, stretch, vt = np.linalg.svd(centred_b.T @ centred_a / n)
    if stretch[1] <= 1e-12 * stretch[0]:
        return NoSimilarity(f"the {n} points correspond along one line only")
    signs = np.ones(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        signs[2] = -1.0
    rotation = (u * signs) @ vt
    scale = float(stretch @ signs / np.mean(np.sum(centred_a**2, axis=1)))
    return Similarity(scale, rotation, mean_b - scale * rotation @ mean_a)


def _degenerate_shape(centred: Float64s, magnitude: float) -> str:
    """In words why centred points (N, 3) fix no rotation, or "". magnitude: largest coordinate."""
    extents = np.linalg.svd(centred, compute_uv=False)
    if extents[0] <= 1e-12 * magnitude * len(centred):
        return "coincide"
    return "lie on one line" if extents[1] <= 1e-6 * extents[0] else ""
