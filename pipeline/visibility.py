"""Which points of a surface photographs see: depth buffers of meshes, without a graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from pipeline.formats.posed import camera_at_size
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose

_TOLERANCE = 0.005


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """Where a photograph was taken, and what it shows, but for its distortion: pixels stay where
    rays are straight, so that the frame is off by what distortion moves its border.

    camera: a PINHOLE.
    """

    camera: Camera
    cam_from_world: Pose

    @staticmethod
    def of(camera: Camera, cam_from_world: Pose, width_px: int = 480) -> Viewpoint:
        """That of a photograph, at most `width_px` wide."""
        width = min(camera.width, width_px)
        height = max(1, round(camera.height * width / camera.width))
        straight = Camera("PINHOLE", camera.width, camera.height, camera.opencv_params[:4])
        return Viewpoint(camera_at_size(straight, width, height), cam_from_world)

    def project(self, points_world: Float64s) -> tuple[Float64s, Float64s]:
        """Pixels (N, 2), NaN behind the camera, and depths (N,) of points (N, 3)."""
        fx, fy, cx, cy = self.camera.params
        points_cam = self.cam_from_world.apply(points_world)
        depth = points_cam[:, 2]
        inverse = 1.0 / np.where(depth > 0.0, depth, np.nan)
        return points_cam[:, :2] * inverse[:, None] * (fx, fy) + (cx, cy), depth


def times_seen(
    points: Float64s, vertices: Float64s, triangles: Int64s, viewpoints: Sequence[Viewpoint]
) -> Int64s:
    """How many cameras see each point (N,) of a mesh, all in one world.

    A point is seen where it lies in the picture and no deeper, but for 0.5 %, than the deepest of
    the four nearest pixels of the mesh's depth buffer. Both sides of a triangle hide and are seen.
    Triangles that reach behind a camera hide nothing from it.
    """
    seen = np.zeros(len(points), np.int64)
    for view in viewpoints:
        pixels, depth = view.project(vertices)
        width, height = view.camera.width, view.camera.height
        buffer = depth_buffer(pixels, depth, triangles, width, height)
        at, deep = view.project(points)
        inside = ((at >= 0.0) & (at < (width, height))).all(axis=1) & (deep > 0.0)
        corner = np.floor(at[inside] - 0.5).astype(np.int64)
        deepest = np.zeros(len(corner))
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x = np.clip(corner[:, 0] + right, 0, width - 1)
            y = np.clip(corner[:, 1] + down, 0, height - 1)
            deepest = np.maximum(deepest, buffer[y, x])
        seen[inside] += deep[inside] <= deepest * (1.0 + _TOLERANCE)
    return seen


@numba.njit(cache=True, nogil=True)
def depth_buffer(
    pixels: Float64s, depth: Float64s, triangles: Int64s, width: int, height: int
) -> Float64s:
    """The smallest depth (height, width) of triangles at the pixels' centres; inf where none is.

    pixels: (V, 2) projections of the vertices, corner origin; depth: (V,) theirs. Triangles with a
    vertex behind the camera (depth <= 0, or a pixel that is NaN) are left out. Inverse depth is
    interpolated, as it is linear in the picture.
    """
    nearest = np.zeros((height, width))  # inverse depth
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = (
            pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1],
        )  # fmt: skip
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (depth[a] > 0.0 and depth[b] > 0.0 and depth[c] > 0.0 and abs(area) > 0.0):
            continue
        left = max(0.0, np.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        top = max(0.0, np.ceil(min(ay, by, cy) - 0.5))
        bottom = min(height - 1.0, np.floor(max(ay, by, cy) - 0.5))
        for y in range(int(top), int(bottom) + 1):
            for x in range(int(left), int(right) + 1):
                px, py = x + 0.5, y + 0.5
                of_b = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
                of_c = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
                if of_b >= 0.0 and of_c >= 0.0 and of_b + of_c <= 1.0:
                    inverse = (1.0 - of_b - of_c) / depth[a] + of_b / depth[b] + of_c / depth[c]
                    nearest[y, x] = max(nearest[y, x], inverse)
    return 1.0 / nearest
