"""The camera of the sample scenes: COLMAP's SIMPLE_RADIAL model and its exact inverse.

Pixel coordinates have their origin at the outer corner of the top-left pixel, whose centre is
(0.5, 0.5). Camera axes are x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEWTON_STEPS = 12


@dataclass(frozen=True)
class Camera:
    """A posed camera. `rotation` (3,3) and `translation` (3,) are cam_from_world, in metres."""

    width: int
    height: int
    focal_px: float
    k1: float
    rotation: Floats
    translation: Floats

    @property
    def principal_point_px(self) -> tuple[float, float]:
        """The principal point: the middle of the picture."""
        return self.width / 2.0, self.height / 2.0

    @property
    def center(self) -> Floats:
        """The projection centre in the world, (3,), metres."""
        return np.asarray(-self.rotation.T @ self.translation)

    @property
    def matrix(self) -> Floats:
        """The calibration matrix K, (3,3), pixels, corner origin."""
        cx, cy = self.principal_point_px
        return np.array([[self.focal_px, 0.0, cx], [0.0, self.focal_px, cy], [0.0, 0.0, 1.0]])

    def scaled(self, factor: float) -> Camera:
        """The same view with `factor` times as many pixels along each side."""
        return Camera(
            round(self.width * factor),
            round(self.height * factor),
            self.focal_px * factor,
            self.k1,
            self.rotation,
            self.translation,
        )

    def directions(self, pixels: Floats) -> Floats:
        """Viewing rays in the world of pixel positions (N,2): (N,3), with unit z in the camera."""
        cx, cy = self.principal_point_px
        distorted = (pixels - (cx, cy)) / self.focal_px
        undistorted = undistort(distorted, self.k1)
        rays_cam = np.concatenate([undistorted, np.ones((len(pixels), 1))], axis=1)
        return np.asarray(rays_cam @ self.rotation)

    def project(self, points_world: Floats) -> tuple[Floats, Floats]:
        """Project points (N,3): pixel positions (N,2) and depths along the optical axis (N,).

        Points behind the camera get pixel positions of no meaning; their depth is negative.
        """
        points_cam = points_world @ self.rotation.T + self.translation
        depth = points_cam[:, 2]
        plane = points_cam[:, :2] / depth[:, None]
        plane = plane * (1.0 + self.k1 * np.sum(plane**2, axis=1, keepdims=True))
        return plane * self.focal_px + self.principal_point_px, depth


def undistort(distorted: Floats, k1: float) -> Floats:
    """Invert x_d = x (1 + k1 r^2) for normalised image points (N,2), by Newton's method on r."""
    radius_d = np.linalg.norm(distorted, axis=1)
    radius = radius_d.copy()
    for _ in range(_NEWTON_STEPS):
        error = radius * (1.0 + k1 * radius**2) - radius_d
        radius = radius - error / (1.0 + 3.0 * k1 * radius**2)
    scale = np.where(radius_d > 1e-12, radius / np.maximum(radius_d, 1e-12), 1.0)
    return distorted * scale[:, None]


def look_at(center: Floats, target: Floats, roll_rad: float) -> tuple[Floats, Floats]:
    """The cam_from_world pose of a camera at `center` that looks at `target` (metres, z is up).

    `roll_rad` turns the camera clockwise about its optical axis. Returns (rotation, translation).
    """
    forward = target - center
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
    return rotation, -rotation @ center
