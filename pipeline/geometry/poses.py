"""Rigid motions and rotations.

A pose is stored in one form only, ``cam_from_world``: ``x_cam = R x_world + t``.
Rotation vectors are in radians; quaternions are Hamilton, ordered (w, x, y, z).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float64s


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid motion ``b_from_a``: ``x_b = rotation @ x_a + translation``.

    rotation: (3, 3) float64, orthonormal with determinant +1. translation: (3,) float64.
    """

    rotation: Float64s
    translation: Float64s

    def __post_init__(self) -> None:
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,):
            raise ValueError(
                f"a pose needs a (3, 3) rotation and a (3,) translation, "
                f"not {self.rotation.shape} and {self.translation.shape}"
            )

    @staticmethod
    def identity() -> Pose:
        """The motion that moves nothing."""
        return Pose(np.eye(3), np.zeros(3))

    @property
    def center(self) -> Float64s:
        """Origin of frame b in frame a; for ``cam_from_world`` the camera centre, (3,)."""
        return -self.rotation.T @ self.translation

    def inverse(self) -> Pose:
        """``a_from_b``."""
        return Pose(self.rotation.T.copy(), self.center)

    def compose(self, b_from_a: Pose) -> Pose:
        """``c_from_a``, when self is ``c_from_b``."""
        return Pose(
            self.rotation @ b_from_a.rotation,
            self.rotation @ b_from_a.translation + self.translation,
        )

    def apply(self, points_a: Float64s) -> Float64s:
        """Points (N, 3) of frame a in frame b, (N, 3)."""
        return points_a @ self.rotation.T + self.translation


def rotation_from_rotvec(rotvec: Float64s) -> Float64s:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians (Rodrigues' formula).

    The series about zero keeps small angles exact.
    """
    angle2 = np.sum(rotvec * rotvec, axis=-1)[..., None, None]
    angle = np.sqrt(angle2)
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0 - angle2 / 6.0, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle2 / 24.0, (1.0 - np.cos(safe)) / (safe * safe))
    k = cross_matrix(rotvec)
    return np.asarray(np.eye(3) + a * k + b * (k @ k))


def rotvec_from_rotation(rotation: Float64s) -> Float64s:
    """Rotation vector (3,) in radians, of length at most pi, of a rotation matrix (3, 3)."""
    w, x, y, z = quaternion_from_rotation(rotation)
    vector = np.array([x, y, z])
    sine = float(np.linalg.norm(vector))
    if sine < 1e-12:
        return 2.0 * vector
    return np.asarray(vector * (2.0 * np.arctan2(sine, w) / sine))


def cross_matrix(v: Float64s) -> Float64s:
    """Matrices (..., 3, 3) with ``cross_matrix(v) @ x = v x x`` for vectors (..., 3)."""
    zero = np.zeros_like(v[..., 0])
    rows = [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero]
    return np.stack(rows, axis=-1).reshape(*v.shape[:-1], 3, 3)


def quaternion_from_rotation(rotation: Float64s) -> Float64s:
    """Unit quaternion (w, x, y, z) with w >= 0 of a rotation matrix (3, 3) (Shepperd's method)."""
    m = rotation
    diagonal = np.array([m[0, 0] + m[1, 1] + m[2, 2], m[0, 0], m[1, 1], m[2, 2]])
    largest = int(np.argmax(diagonal))
    if largest == 0:
        q = np.array([1.0 + diagonal[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    else:
        i = largest - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.empty(4)
        q[0] = m[k, j] - m[j, k]
        q[1 + i] = 1.0 + m[i, i] - m[j, j] - m[k, k]
        q[1 + j] = m[j, i] + m[i, j]
        q[1 + k] = m[k, i] + m[i, k]
    q /= np.linalg.norm(q)
    return np.asarray(-q if q[0] < 0 else q)


def rotation_from_quaternion(quaternion: Float64s) -> Float64s:
    """Rotation matrix (3, 3) of a quaternion (w, x, y, z) of any length but zero."""
    norm = float(np.linalg.norm(quaternion))
    if norm == 0.0:
        raise ValueError("a quaternion of length zero is no rotation")
    w, x, y, z = quaternion / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def angle_between_rotations(rotation_a: Float64s, rotation_b: Float64s) -> float:
    """Angle in radians of the rotation that takes one (3, 3) rotation to the other."""
    return float(np.linalg.norm(rotvec_from_rotation(rotation_a.T @ rotation_b)))
