"""Points from tracks, and how well cameras and tracks agree: the judge of refined cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, cross_matrix, rotation_from_rotvec

_POINT_STEPS = 4
_POSE_STEPS = 8
_FEWEST_SEEN = 12
_LOSS_PX = 2.0  # reprojection error at which an observation begins to count less


@dataclass(frozen=True, eq=False)
class Observations:
    """Which image sees which point where; N observations of J points.

    point_of: (N,). image_of: (N,) index into poses and cameras. pixels: (N, 2), corner origin.
    """

    points: int
    point_of: Int64s
    image_of: Int64s
    pixels: Float64s

    def where(self, chosen: Bools) -> Observations:
        """Some of the observations, (N,) bool; the points keep their numbers."""
        return replace(
            self,
            point_of=self.point_of[chosen],
            image_of=self.image_of[chosen],
            pixels=self.pixels[chosen],
        )


def triangulate(seen: Observations, poses: Sequence[Pose], cameras: Sequence[Camera]) -> Float64s:
    """The points (J, 3) with the least reprojection errors, world frame.

    Source: Hartley & Zisserman, chapter 12: the point nearest to all rays, then Gauss-Newton steps.
    NaN for a point that fewer than two images see, whose rays are parallel, or that comes to lie
    behind one of its cameras.
    """
    if not len(seen.point_of):
        return np.full((seen.points, 3), np.nan)
    rotations, translations = _stacked(poses)
    R, t = rotations[seen.image_of], translations[seen.image_of]
    uv, focal = _rays(seen, cameras)
    directions = np.einsum("nji,nj->ni", R, np.column_stack([uv, np.ones(len(uv))]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centers = -np.einsum("nji,nj->ni", R, t)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = _summed(across, seen)
    target = _summed(np.einsum("nij,nj->ni", across, centers), seen)
    points = _solved(normal, target)
    for _ in range(_POINT_STEPS):
        with np.errstate(invalid="ignore"):  # of points that are NaN
            in_camera = np.einsum("nij,nj->ni", R, points[seen.point_of]) + t
            jacobian, residual = _projection(in_camera, uv, focal)
            jacobian = jacobian @ R
            normal = _summed(np.einsum("nki,nkj->nij", jacobian, jacobian), seen)
            target = _summed(np.einsum("nki,nk->ni", jacobian, residual), seen)
        points = points - _solved(normal, target)
    depth = np.einsum("nj,nj->n", R[:, 2], points[seen.point_of]) + t[:, 2]
    behind = np.bincount(seen.point_of, ~(depth > 0), minlength=seen.points)
    points[behind > 0] = np.nan
    return points


def reprojection_errors(
    seen: Observations, points: Float64s, poses: Sequence[Pose], cameras: Sequence[Camera]
) -> Float64s:
    """Distance in pixels (N,) of every observation from where its camera sees the point; NaN for a
    point that is NaN or lies behind the camera."""
    errors = np.full(len(seen.point_of), np.nan)
    for i in np.unique(seen.image_of):
        mine = seen.image_of == i
        in_camera = poses[i].apply(points[seen.point_of[mine]])
        errors[mine] = np.linalg.norm(cameras[i].project(in_camera) - seen.pixels[mine], axis=1)
    return errors


def resect(pose: Pose, camera: Camera, points: Float64s, pixels: Float64s) -> Pose | None:
    """The pose near a given one that sees points (N, 3) at pixels (N, 2), robustly.

    None where too few of the points are finite or the steps lead nowhere.
    """
    known = np.isfinite(points).all(axis=1)
    uv = camera.unproject(pixels)
    known &= np.isfinite(uv).all(axis=1)
    if known.sum() < _FEWEST_SEEN:
        return None
    points, uv = points[known], uv[known]
    focal = np.full(len(uv), camera.focal_px)
    for _ in range(_POSE_STEPS):
        in_camera = pose.apply(points)
        by_point, residual = _projection(in_camera, uv, focal)
        by_turn = -np.einsum("nki,nij->nkj", by_point, cross_matrix(in_camera))
        jacobian = np.concatenate([by_turn, by_point], axis=2)
        error2 = np.sum(residual**2, axis=1)
        weight = np.where(np.isfinite(error2), 1.0 / (1.0 + error2 / _LOSS_PX**2), 0.0)
        jacobian, residual = np.nan_to_num(jacobian), np.nan_to_num(residual)
        normal = np.einsum("n,nki,nkj->ij", weight, jacobian, jacobian)
        try:
            step = np.linalg.solve(normal, np.einsum("n,nki,nk->i", weight, jacobian, residual))
        except np.linalg.LinAlgError:
            return None
        turn = rotation_from_rotvec(-step[:3])
        pose = Pose(turn @ pose.rotation, turn @ pose.translation - step[3:])
    return pose if np.isfinite(pose.translation).all() else None


def _stacked(poses: Sequence[Pose]) -> tuple[Float64s, Float64s]:
    rotations = np.array([pose.rotation for pose in poses])
    return rotations, np.array([pose.translation for pose in poses])


def _rays(seen: Observations, cameras: Sequence[Camera]) -> tuple[Float64s, Float64s]:
    """Normalised coordinates (N, 2) of the observations, and focal lengths (N,) in pixels."""
    uv = np.empty((len(seen.point_of), 2))
    focal = np.empty(len(uv))
    for i in np.unique(seen.image_of):
        mine = seen.image_of == i
        uv[mine] = cameras[i].unproject(seen.pixels[mine])
        focal[mine] = cameras[i].focal_px
    return uv, focal


def _projection(in_camera: Float64s, uv: Float64s, focal: Float64s) -> tuple[Float64s, Float64s]:
    """Jacobians (N, 2, 3) and residuals (N, 2), in pixels, of projecting points (N, 3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = in_camera[:, 0] / in_camera[:, 2], in_camera[:, 1] / in_camera[:, 2]
        scale = focal / in_camera[:, 2]
    zero = np.zeros_like(x)
    rows = [scale, zero, -scale * x, zero, scale, -scale * y]
    residual = (np.column_stack([x, y]) - uv) * focal[:, None]
    return np.stack(rows, axis=-1).reshape(-1, 2, 3), residual


def _summed(values: Float64s, seen: Observations) -> Float64s:
    """Sums (J, ...) over each point's observations of values (N, ...)."""
    flat = values.reshape(len(values), -1)
    columns = [np.bincount(seen.point_of, column, seen.points) for column in flat.T]
    sums = np.stack(columns, axis=-1).astype(np.float64)
    return sums.reshape(seen.points, *values.shape[1:])


def _solved(normal: Float64s, target: Float64s) -> Float64s:
    """Solutions (J, 3) of systems (J, 3, 3); NaN where one is singular or not finite."""
    finite = np.isfinite(normal).all(axis=(1, 2)) & np.isfinite(target).all(axis=1)
    solvable = np.asarray(finite)
    # Rays that meet at a tenth of a degree leave one direction a millionth as well known.
    spread = np.linalg.eigvalsh(normal[solvable])
    solvable[solvable] = spread[:, 0] > 1e-9 * np.maximum(spread[:, 2], 1e-300)
    solution = np.full(target.shape, np.nan)
    solution[solvable] = np.linalg.solve(normal[solvable], target[solvable][..., None])[..., 0]
    return solution
