"""Which points of a surface photographs see: what hides what, without a graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from pipeline.formats.posed import camera_at_size
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose

_TOLERANCE = 0.001


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

    A point is seen where it lies in the picture and, but for 0.1 % of its depth, not behind the
    planes of all the triangles that the four nearest pixels show: a board on a wall hides what is
    behind it, and a slanted surface not itself. What lies up to a pixel behind a silhouette is
    seen, too: on the scene `desk` 4 % more than by exact rays. Both sides of a triangle hide and
    are seen. Triangles that reach behind a camera hide nothing from it.
    """
    seen = np.zeros(len(points), np.int64)
    for view in viewpoints:
        pixels, depth = view.project(vertices)
        width, height = view.camera.width, view.camera.height
        shown = nearest_triangles(pixels, depth, triangles, width, height)
        at, deep = view.project(points)
        inside = ((at >= 0.0) & (at < (width, height))).all(axis=1) & (deep > 0.0)
        at, deep = at[inside], deep[inside]
        corner = np.floor(at - 0.5).astype(np.int64)
        free = np.zeros(len(at), np.bool_)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x = np.clip(corner[:, 0] + right, 0, width - 1)
            y = np.clip(corner[:, 1] + down, 0, height - 1)
            hits = shown[y, x]
            free[hits < 0] = True
            some = np.flatnonzero(hits >= 0)
            inverse = _inverse_depths(at[some], pixels, depth, triangles[hits[some]])
            free[some] |= deep[some] * inverse <= 1.0 + _TOLERANCE
        seen[inside] += free
    return seen


def _inverse_depths(at: Float64s, pixels: Float64s, depth: Float64s, triangles: Int64s) -> Float64s:
    """Inverse depth (N,) at pixels `at` (N, 2) of the planes of triangles (N, 3): it is linear in
    the picture. pixels: (V, 2) projections of their vertices; depth: (V,) theirs."""
    origin, inverse = pixels[triangles[:, 0]], 1.0 / depth[triangles]
    (bx, by), (cx, cy) = ((pixels[triangles[:, n]] - origin).T for n in (1, 2))
    x, y = (at - origin).T
    area = bx * cy - by * cx
    of_b, of_c = (x * cy - y * cx) / area, (bx * y - by * x) / area
    shares = np.column_stack([1.0 - of_b - of_c, of_b, of_c])
    return np.asarray(np.sum(shares * inverse, axis=1))


@numba.njit(cache=True, nogil=True)
def nearest_triangles(
    pixels: Float64s, depth: Float64s, triangles: Int64s, width: int, height: int
) -> Int64s:
    """Rows (height, width) of the nearest triangles at the pixels' centres; -1 where none is.

    pixels: (V, 2) projections of the vertices, corner origin; depth: (V,) theirs. Triangles with a
    vertex behind the camera (depth <= 0, or a pixel that is NaN) are left out.
    """
    shown = np.full((height, width), -1, np.int64)
    nearest = np.zeros((height, width))  # inverse depth, which is linear in the picture
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
                    if inverse > nearest[y, x]:
                        nearest[y, x], shown[y, x] = inverse, t
    return shown
