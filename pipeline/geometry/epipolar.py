"""Geometry of two views (Hartley & Zisserman, Multiple View Geometry, 2nd ed., chapters 9 and 11).

Everywhere ``x2' F x1 = 0``: F maps a point of image 1 to its epipolar line in image 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.poses import Pose, cross_matrix
from pipeline.geometry.triangulation import ray_angles, triangulate_two_views

_CLEAR_VOTE = 0.9  # least cost over median cost; 0.2 to 0.8 on scenes that determine the focal


def homogeneous(points: Float64s) -> Float64s:
    """Points (N, D) with a column of ones, (N, D + 1)."""
    return np.column_stack([points, np.ones(len(points))])


def sampson_errors(F: Float64s, points1: Float64s, points2: Float64s) -> Float64s:
    """Sampson distances (N,), in the units of the points (HZ eq. 11.9, square root taken).

    F: (3, 3). points1, points2: (N, 2). Infinite where both epipolar lines vanish.
    """
    lines2 = homogeneous(points1) @ F.T
    lines1 = homogeneous(points2) @ F
    algebraic = np.sum(homogeneous(points2) * lines2, axis=1)
    gradient = np.hypot(np.hypot(lines2[:, 0], lines2[:, 1]), np.hypot(lines1[:, 0], lines1[:, 1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gradient > 0, np.abs(algebraic) / gradient, np.inf)


def fundamental_from_essential(E: Float64s, K1: Float64s, K2: Float64s) -> Float64s:
    """F (3, 3) of unit norm, from E and the calibration matrices (HZ eq. 9.12)."""
    F = np.linalg.inv(K2).T @ E @ np.linalg.inv(K1)
    return np.asarray(F / np.linalg.norm(F))


def essential_from_fundamental(F: Float64s, K1: Float64s, K2: Float64s) -> Float64s:
    """The essential matrix nearest to ``K2' F K1``: singular values (1, 1, 0) (HZ section
    9.6.1).
    """
    U, _, Vt = np.linalg.svd(K2.T @ F @ K1)
    return np.asarray(U @ np.diag([1.0, 1.0, 0.0]) @ Vt)


def essential_from_pose(cam2_from_cam1: Pose) -> Float64s:
    """``[t]x R`` with a unit translation (HZ eq. 9.11). ValueError for a zero translation."""
    length = float(np.linalg.norm(cam2_from_cam1.translation))
    if length == 0.0:
        raise ValueError("two cameras in one place have no essential matrix")
    return cross_matrix(cam2_from_cam1.translation / length) @ cam2_from_cam1.rotation


def fundamental_from_points(points1: Float64s, points2: Float64s) -> Float64s | None:
    """Least-squares F (3, 3) of unit norm by the normalised eight-point algorithm (HZ 11.1).

    points1, points2: (N, 2), N >= 8. None when the points do not determine it (fewer than eight,
    or coincident).
    """
    if len(points1) < 8:
        return None
    T1, T2 = _normalisation(points1), _normalisation(points2)
    if T1 is None or T2 is None:
        return None
    a, b = homogeneous(points1) @ T1.T, homogeneous(points2) @ T2.T
    design = (b[:, :, None] * a[:, None, :]).reshape(len(a), 9)
    _, vectors = np.linalg.eigh(design.T @ design)
    U, s, Vt = np.linalg.svd(vectors[:, 0].reshape(3, 3))
    F = T2.T @ (U @ np.diag([s[0], s[1], 0.0]) @ Vt) @ T1
    return np.asarray(F / np.linalg.norm(F))


def _normalisation(points: Float64s) -> Float64s | None:
    """Transform (3, 3) to zero mean and mean distance sqrt(2); None for coincident points."""
    mean = points.mean(axis=0)
    spread = float(np.linalg.norm(points - mean, axis=1).mean())
    if spread == 0.0:
        return None
    scale = np.sqrt(2.0) / spread
    return np.array([[scale, 0, -scale * mean[0]], [0, scale, -scale * mean[1]], [0, 0, 1.0]])


@dataclass(frozen=True, eq=False)
class RelativePose:
    """A relative pose with the points that it explains.

    cam2_from_cam1: unit translation. in_front: (N,) bool, in front of both cameras. angles: (N,)
    radians between the two rays at each point; 0 where not in front.
    """

    cam2_from_cam1: Pose
    in_front: Bools
    angles: Float64s


def pose_from_essential(E: Float64s, rays1: Float64s, rays2: Float64s) -> RelativePose | None:
    """The one of the four decompositions with most points in front of both cameras (HZ 9.6.2).

    rays1, rays2: (N, 2) normalised coordinates of inliers. None without any point in front.
    """
    U, _, Vt = np.linalg.svd(E)
    U = U * np.sign(np.linalg.det(U))
    Vt = Vt * np.sign(np.linalg.det(Vt))
    W = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    best: RelativePose | None = None
    for rotation in (U @ W @ Vt, U @ W.T @ Vt):
        for sign in (1.0, -1.0):
            pose = Pose(rotation, sign * U[:, 2])
            points, in_front = triangulate_two_views(pose, rays1, rays2)
            if best is None or np.count_nonzero(in_front) > np.count_nonzero(best.in_front):
                angles = np.where(in_front, ray_angles(points, np.zeros(3), pose.center), 0.0)
                best = RelativePose(pose, in_front, angles)
    return best if best is not None and best.in_front.any() else None


def focal_from_fundamentals(
    fundamentals: Sequence[Float64s],
    weights: Sequence[float],
    size_px: tuple[int, int],
    focal_range: tuple[float, float] = (0.4, 4.0),
) -> float | None:
    """The common focal length in pixels that makes the F matrices most nearly essential.

    With the principal point at the centre, ``K' F K`` has two equal singular values for the true
    focal length (Mendonca & Cipolla, CVPR 1999). The cost is a robust sum over pairs, searched on a
    logarithmic grid over `focal_range` (in units of the longer side) and refined by a parabola.

    Returns None where there is no pair, or the cost has no clear minimum inside the range: planes
    and forward motion leave the focal length open.
    """
    if not fundamentals:
        return None
    width, height = size_px
    longer = max(width, height)
    focals = longer * np.geomspace(*focal_range, 121)
    K = np.zeros((len(focals), 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = focals
    K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = width / 2, height / 2, 1.0
    cost = np.zeros(len(focals))
    for F, weight in zip(fundamentals, weights, strict=True):
        s = np.linalg.svd(K.transpose(0, 2, 1) @ F @ K, compute_uv=False)
        asymmetry = (s[:, 0] - s[:, 1]) / (s[:, 0] + s[:, 1])
        cost += weight * np.minimum(asymmetry, 0.2)
    n = int(np.argmin(cost))
    if n in (0, len(focals) - 1) or cost[n] > _CLEAR_VOTE * np.median(cost):
        return None
    left, middle, right = cost[n - 1 : n + 2]
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return float(focals[n] * (focals[1] / focals[0]) ** shift)
