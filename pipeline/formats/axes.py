"""Camera axes of other programs, and poses from their camera-to-world matrices."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose

# Columns: the file's camera axes in ours (x right, y down, z forward).
FROM_OPENCV: Float64s = np.eye(3)
FROM_OPENGL: Float64s = np.diag([1.0, -1.0, -1.0])  # right, up, backward
FROM_LLFF: Float64s = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])  # down, right, backward

# Files with six digits are off by 1e-6; a matrix further from orthonormal than this is no rotation.
_ORTHONORMAL = 1e-2


def nearest_rotation(matrix: Float64s) -> Float64s:
    """The rotation (3, 3) nearest to a matrix that is one up to the rounding of a text file.

    Raises ValueError if the matrix is not finite, mirrors, or is far from orthonormal.
    """
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise ValueError("a rotation needs 3 x 3 finite numbers")
    u, stretch, vt = np.linalg.svd(matrix)
    rotation = np.asarray(u @ vt)
    if np.abs(stretch - 1.0).max() > _ORTHONORMAL:
        raise ValueError("the rotation's axes are not orthogonal unit vectors")
    if np.linalg.det(rotation) < 0:
        raise ValueError("the matrix mirrors, so it is no rotation")
    return rotation


def pose_from_camera_to_world(world_from_cam: Float64s, axes: Float64s) -> Pose:
    """``cam_from_world`` of a camera-to-world matrix (3, 4) or (4, 4) with the file's camera axes.

    axes: one of the matrices of this module. Raises ValueError as `nearest_rotation`.
    """
    if world_from_cam.shape not in ((3, 4), (4, 4)):
        raise ValueError(f"a pose needs 3 x 4 or 4 x 4 numbers, not {world_from_cam.shape}")
    rotation = nearest_rotation(world_from_cam[:3, :3] @ axes.T)
    center = world_from_cam[:3, 3]
    if not np.isfinite(center).all():
        raise ValueError("the camera centre is not finite")
    return Pose(rotation.T.copy(), -rotation.T @ center)


def camera_to_world_from_pose(cam_from_world: Pose, axes: Float64s) -> Float64s:
    """Camera-to-world matrix (4, 4) with the file's camera axes; inverse of the function above."""
    matrix = np.eye(4)
    matrix[:3, :3] = cam_from_world.rotation.T @ axes
    matrix[:3, 3] = cam_from_world.center
    return matrix
