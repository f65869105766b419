"""A world of two textured planes, seen by cameras on an arc: every pixel's depth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.dense_products import DepthView
from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.products import (
    NO_POINT,
    Photo,
    PhotoIndex,
    Points,
    Reconstruction,
    RegisteredImage,
    SparseModel,
    Verdict,
)

CAMERA = Camera("SIMPLE_RADIAL", 192, 144, np.array([170.0, 96.0, 72.0, -0.04]))
PINHOLE = Camera("PINHOLE", 192, 144, np.array([170.0, 170.0, 96.0, 72.0]))
VIEWS = 7
BACK = np.array([0.12, -0.25, 1.0]), 5.0
"""Normal n and offset d of the plane n X = d that fills every view."""
FRONT_DEPTH, FRONT_HALF = 3.2, 0.45
"""A square that faces the first camera's side of the arc."""


def poses() -> list[Pose]:
    """cam_from_world of the views: they stand on an arc and look at a point between the planes."""
    found = []
    for angle in np.linspace(-0.24, 0.24, VIEWS):
        rotation = rotation_from_rotvec(np.array([0.02 * np.sin(9 * angle), -angle, 0.0]))
        center = np.array([4.0 * np.sin(angle), 0.1 * np.cos(5 * angle), 4.0 - 4.0 * np.cos(angle)])
        found.append(Pose(rotation, -rotation @ center))
    return found


def look(camera: Camera, pose: Pose) -> tuple[Float64s, UInt8s]:
    """Depth (H, W) along the optical axis, and the picture (H, W, 3), of a camera."""
    y, x = np.divmod(np.arange(camera.width * camera.height), camera.width)
    uv = camera.unproject(np.column_stack([x, y]).astype(np.float64) + 0.5)
    rays = np.column_stack([uv, np.ones(len(uv))]) @ pose.rotation
    normal, offset = BACK
    back = (offset - normal @ pose.center) / (rays @ normal)
    front = (FRONT_DEPTH - pose.center[2]) / rays[:, 2]
    hit = pose.center + front[:, None] * rays
    on_front = (np.abs(hit[:, :2]) < FRONT_HALF).all(axis=1)
    depth = np.where(on_front, front, back)
    seen = pose.center + depth[:, None] * rays
    shades = [paint(seen + 10.0 * on_front[:, None], channel) for channel in range(3)]
    shape = camera.height, camera.width
    picture = np.stack(shades, axis=1).reshape(*shape, 3)
    return depth.reshape(shape), np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def paint(points: Float64s, channel: int) -> Float64s:
    """Grey of points (N, 3): waves of many lengths, the shortest a few pixels long."""
    rng = np.random.default_rng(40 + channel)
    shade = np.full(len(points), 128.0)
    for length in np.geomspace(0.12, 1.0, 12):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (length * np.linalg.norm(direction))
        shade += 16.0 * np.sin(points @ direction + rng.uniform(0, 6.3))
    return shade


def view(n: int) -> DepthView:
    """View n without distortion."""
    return DepthView(f"{n}.png", PINHOLE, poses()[n])


def products(folder: Path) -> dict[str, Any]:
    """The products that the stage needs, with the photographs as PNG files in a folder."""
    photos, images, tracks = [], {}, []
    rng = np.random.default_rng(3)
    depth, _ = look(PINHOLE, poses()[VIEWS // 2])
    rows, columns = rng.integers(4, 140, 400), rng.integers(4, 188, 400)
    uv = PINHOLE.unproject(np.column_stack([columns, rows]).astype(np.float64) + 0.5)
    in_camera = np.column_stack([uv, np.ones(400)]) * depth[rows, columns][:, None]
    xyz = poses()[VIEWS // 2].inverse().apply(in_camera)
    for n, pose in enumerate(poses()):
        name = f"{n}.png"
        _, picture = look(CAMERA, pose)
        cv2.imwrite(str(folder / name), picture[:, :, ::-1])
        photos.append(Photo(name, folder / name, 0, CAMERA.width, CAMERA.height, f"hash {n}"))
        pixels = CAMERA.project(pose.apply(xyz))
        inside = ((pixels > 0) & (pixels < (CAMERA.width, CAMERA.height))).all(axis=1)
        seen = np.flatnonzero(inside)
        images[n + 1] = RegisteredImage(name, 1, pose, pixels[seen], seen.astype(np.int64))
        tracks.append(np.column_stack([seen, np.full(len(seen), n + 1), np.arange(len(seen))]))
    observations = np.concatenate(tracks)
    observations = observations[np.argsort(observations[:, 0], kind="stable")]
    counts = np.bincount(observations[:, 0], minlength=400)
    points = Points(
        np.arange(400), xyz, np.full((400, 3), 99, np.uint8), np.zeros(400),
        np.concatenate([[0], np.cumsum(counts)]), observations[:, 1], observations[:, 2],
    )  # fmt: skip
    assert NO_POINT not in observations
    model = SparseModel({1: CAMERA}, images, points)
    verdicts = tuple(Verdict(photo.name, True, "", 0) for photo in photos)
    return {
        "photos": PhotoIndex(tuple(photos), (CAMERA,)),
        "reconstruction": Reconstruction((model,), verdicts),
    }
