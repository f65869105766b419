"""The worlds of nerfstudio and instant-ngp, where they are not the model's."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.products import SparseModel

# Both programs turn COLMAP's world so that z is up; each in its own way.
NERFSTUDIO_ROTATION: Float64s = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
INSTANT_NGP_ROTATION: Float64s = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
_NGP_CAMERA_DISTANCE = 4.0
_NGP_SCALE = 0.33  # of instant-ngp's loader: positions times this, plus a half, fill its cube
_NGP_MOST_AABB = 128
_NGP_SHARE = 99.0  # percent of the points inside


def nerfstudio_from_world() -> Similarity:
    """The rotation of nerfstudio's `ns-process-data`. Source: nerfstudio,
    process_data/colmap_utils.py, `colmap_to_json`."""
    return Similarity(1.0, NERFSTUDIO_ROTATION, np.zeros(3))


def instant_ngp_from_world(model: SparseModel) -> Similarity:
    """The similarity of instant-ngp's `colmap2nerf.py`: the mean of the cameras' up becomes z, the
    point that they look at the origin, and their mean distance from it 4.

    Source: instant-ngp, scripts/colmap2nerf.py. Without a scale where all cameras are at one place.
    """
    poses = [image.cam_from_world for image in model.images.values()]
    centers = np.array([pose.center for pose in poses])
    views = np.array([pose.rotation[2] for pose in poses])
    ups = -np.array([pose.rotation[1] for pose in poses])
    rotation = _rotation_to_z(INSTANT_NGP_ROTATION @ ups.sum(axis=0)) @ INSTANT_NGP_ROTATION
    target = rotation @ _centre_of_attention(centers, views)
    distance = float(np.linalg.norm(centers @ rotation.T - target, axis=1).mean())
    scale = _NGP_CAMERA_DISTANCE / distance if distance > 1e-12 else 1.0
    return Similarity(scale, rotation, -scale * target)


def aabb_scale(points_file: Float64s) -> int:
    """instant-ngp's `aabb_scale` for points (J, 3) in its file's world: the smallest power of two,
    at most 128, whose cube holds nearly all of them; 16, its usual one, without points."""
    if not len(points_file):
        return 16
    reach = float(np.percentile(np.abs(points_file).max(axis=1), _NGP_SHARE))
    sides = 2.0 * _NGP_SCALE * reach
    return int(min(_NGP_MOST_AABB, 2 ** max(0, int(np.ceil(np.log2(max(sides, 1.0)))))))


def _rotation_to_z(direction: Float64s) -> Float64s:
    """The smallest rotation (3, 3) that takes a direction (3,) to z."""
    length = float(np.linalg.norm(direction))
    if length < 1e-12:
        return np.eye(3)
    x, y, z = direction / length
    sine = float(np.hypot(x, y))
    axis = np.array([y, -x, 0.0]) / sine if sine > 1e-12 else np.array([1.0, 0.0, 0.0])
    return rotation_from_rotvec(axis * np.arctan2(sine, z))


def _centre_of_attention(centers: Float64s, views: Float64s) -> Float64s:
    """The point (3,) that cameras at (I, 3) with unit viewing directions (I, 3) look at.

    The mean of the points between each two viewing rays where they come closest, weighted by the
    square of the sine of their angle; the origin where all are parallel, as in colmap2nerf.py.
    """
    total, weights = np.zeros(3), 0.0
    for center, view in zip(centers, views, strict=True):
        cross = np.cross(view, views)
        weight = (cross * cross).sum(axis=1)
        between = centers - center
        depth = np.einsum("ij,ij->i", np.cross(between, views), cross) / (weight + 1e-10)
        others = np.einsum("ij,ij->i", np.cross(between, view), cross) / (weight + 1e-10)
        depth, others = np.maximum(depth, 0.0), np.maximum(others, 0.0)  # in front of both
        middle = (center + depth[:, None] * view + centers + others[:, None] * views) / 2
        counts = weight > 1e-5
        total += (weight[counts, None] * middle[counts]).sum(axis=0)
        weights += float(weight[counts].sum())
    return total / weights if weights > 0.0 else np.zeros(3)
