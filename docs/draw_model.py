"""Draw a sparse model, points and cameras, to a picture: how docs/desk.png was made.

usage: python docs/draw_model.py RUN OUT.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from pipeline.formats.colmap_model import read_model
from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.geometry.poses import Pose
from pipeline.products import SparseModel

_SIZE = (1400, 800)
_FOCAL_PX = 1500.0
_BACKGROUND = (24, 20, 18)
_FRUSTUM = (90, 190, 255)


def viewpoint(model: SparseModel) -> Pose:
    """Behind and above the middle photograph, looking at the middle of the points."""
    poses = [image.cam_from_world for _, image in sorted(model.images.items())]
    middle = poses[len(poses) // 2]
    target = np.median(model.points.xyz_world, axis=0)
    up = -np.mean([pose.rotation[1] for pose in poses], axis=0)
    up /= np.linalg.norm(up)
    back = middle.center - target
    center = target + 2.35 * back + 0.55 * np.linalg.norm(back) * up
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ center)


def to_pixels(points_cam: Float64s) -> Float64s:
    """Pixels (N, 2) of points (N, 3) before the drawing camera."""
    return points_cam[:, :2] / points_cam[:, 2:] * _FOCAL_PX + np.array(_SIZE) / 2


def draw(model: SparseModel) -> UInt8s:
    """The picture, (h, w, 3) BGR: points from far to near, then the frusta."""
    view = viewpoint(model)
    picture = np.full((_SIZE[1], _SIZE[0], 3), _BACKGROUND, np.uint8)
    points = view.apply(model.points.xyz_world)
    lengths = np.diff(model.points.track_starts)
    shown = np.flatnonzero((points[:, 2] > 0.1) & (lengths >= 3))
    for j in shown[np.argsort(-points[shown, 2])]:
        x, y = to_pixels(points[j : j + 1])[0]
        color = [int(c) for c in model.points.rgb[j][::-1]]
        center = (round(float(x) * 8), round(float(y) * 8))
        cv2.circle(picture, center, 17, color, -1, cv2.LINE_AA, shift=3)
    extent = float(
        np.linalg.norm(np.ptp([i.cam_from_world.center for i in model.images.values()], 0))
    )
    for image in model.images.values():
        camera = model.cameras[image.camera]
        corners = camera.unproject(
            np.array(
                [(0, 0), (camera.width, 0), (camera.width, camera.height), (0, camera.height)],
                float,
            )
        )
        tips = np.vstack([np.zeros(3), np.column_stack([corners, np.ones(4)]) * 0.035 * extent])
        px = to_pixels(view.apply(image.cam_from_world.inverse().apply(tips)))
        for a, b in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)):
            ends = [tuple(int(v) for v in np.round(px[n] * 8)) for n in (a, b)]
            cv2.line(picture, ends[0], ends[1], _FRUSTUM, 1, cv2.LINE_AA, shift=3)
    return picture


if __name__ == "__main__":
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not cv2.imwrite(str(out), draw(read_model(run / "sparse" / "0"))):
        sys.exit(f"cannot write {out}")
