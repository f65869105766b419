"""Points from rays (Hartley & Zisserman, chapter 12)."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.poses import Pose


def triangulate_two_views(
    cam2_from_cam1: Pose, rays1: Float64s, rays2: Float64s
) -> tuple[Float64s, Bools]:
    """Midpoints (N, 3), in camera 1's frame, of the closest approach of the rays of two views.

    rays1, rays2: (N, 2) normalised coordinates. The second result says which points lie in front of
    both cameras; points of (nearly) parallel rays are far away or NaN and never in front.
    """
    R, t = cam2_from_cam1.rotation, cam2_from_cam1.translation
    d1 = np.column_stack([rays1, np.ones(len(rays1))])
    d2 = np.column_stack([rays2, np.ones(len(rays2))]) @ R  # direction in frame 1
    base = -R.T @ t  # centre of camera 2 in frame 1
    a, b, c = np.sum(d1 * d1, 1), np.sum(d1 * d2, 1), np.sum(d2 * d2, 1)
    p, q = d1 @ base, d2 @ base
    determinant = a * c - b * b
    with np.errstate(divide="ignore", invalid="ignore"):
        depth1 = np.where(determinant > 1e-14 * a * c, (c * p - b * q) / determinant, np.nan)
        depth2 = np.where(determinant > 1e-14 * a * c, (b * p - a * q) / determinant, np.nan)
    points = 0.5 * (depth1[:, None] * d1 + depth2[:, None] * d2 + base)
    z2 = points @ R[2] + t[2]
    with np.errstate(invalid="ignore"):
        in_front = (depth1 > 0) & (depth2 > 0) & (points[:, 2] > 0) & (z2 > 0)
    return points, in_front


def ray_angles(points: Float64s, center_a: Float64s, center_b: Float64s) -> Float64s:
    """Angle in radians (N,) under which each point (N, 3) sees two centres (3,); NaN stays NaN."""
    a, b = center_a - points, center_b - points
    cross = np.linalg.norm(np.cross(a, b), axis=1)
    return np.asarray(np.arctan2(cross, np.sum(a * b, axis=1)))
