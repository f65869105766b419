"""Plane-induced and rotation-induced maps between two images (Hartley & Zisserman, chapter 13)."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s


def transfer_errors(H: Float64s, points1: Float64s, points2: Float64s) -> Float64s:
    """Distances (N,) in image 2 between ``H points1`` and points2, both (N, 2).

    Infinite where a point maps to infinity.
    """
    mapped = np.column_stack([points1, np.ones(len(points1))]) @ H.T
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - points2, axis=1)
    return np.where(np.isfinite(errors), errors, np.inf)


def rotation_between_rays(rays1: Float64s, rays2: Float64s) -> Float64s:
    """The rotation (3, 3) cam2_from_cam1 that best turns rays 1 into rays 2 (Wahba's problem,
    solved by singular values; Markley, J. Astronaut. Sci. 1988).

    rays1, rays2: (N, 2) normalised coordinates, N >= 2 and not all the same.
    """
    a = np.column_stack([rays1, np.ones(len(rays1))])
    b = np.column_stack([rays2, np.ones(len(rays2))])
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    U, _, Vt = np.linalg.svd(b.T @ a)
    return np.asarray(U @ np.diag([1.0, 1.0, np.linalg.det(U) * np.linalg.det(Vt)]) @ Vt)
