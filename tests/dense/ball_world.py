"""A ball on a floor, with cameras around it, as points and what sees them, or as depth maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.dense_products import DepthMap, DepthView
from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import Points, RegisteredImage, SparseModel

RADIUS, FLOOR, HALF = 1.0, 1.0, 3.0  # the ball is at the origin; y is down
CAMERA = Camera("PINHOLE", 240, 180, np.array([200.0, 200.0, 120.0, 90.0]))


def camera_ring(count: int = 8) -> list[Pose]:
    """Cameras that look at the ball from all around, a little from above."""
    poses = []
    for angle in 2 * np.pi * np.arange(count) / count:
        center = np.array([5.0 * np.sin(angle), -2.0, -5.0 * np.cos(angle)])
        forward = -center / np.linalg.norm(center)
        right = np.cross((0.0, 1.0, 0.0), forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(Pose(rotation, -rotation @ center))
    return poses


def hidden_by_ball(center: Float64s, xyz: Float64s) -> Bools:
    """(N,) whether the ball stands between a camera centre and points (N, 3), or they look away
    on it."""
    towards = xyz - center
    nearest = np.clip(-(towards @ center) / np.sum(towards**2, axis=1), 0.0, 0.999)
    return np.asarray(np.linalg.norm(center + nearest[:, None] * towards, axis=1) < 0.995 * RADIUS)


def ball_model(points: int = 3000, noise: float = 0.002, strays: int = 0) -> SparseModel:
    """Points on ball and floor, each seen by the cameras that it is not hidden from; strays, the
    last rows, are anywhere and said to be seen by two cameras."""
    rng = np.random.default_rng(2)
    poses = camera_ring()
    on_ball = rng.normal(size=(points // 2, 3))
    on_ball *= RADIUS / np.linalg.norm(on_ball, axis=1, keepdims=True)
    floor = rng.uniform(-HALF, HALF, (points - len(on_ball), 3))
    floor[:, 1] = FLOOR
    xyz = np.concatenate([on_ball, floor])
    seen = np.stack([~hidden_by_ball(pose.center, xyz) for pose in poses], axis=1)
    kept = seen.sum(axis=1) >= 2
    xyz, seen = xyz[kept], seen[kept]
    rgb = np.where(np.abs(np.linalg.norm(xyz, axis=1, keepdims=True) - RADIUS) < 1e-6, 200, 60)
    xyz = xyz + rng.normal(scale=noise, size=xyz.shape)
    wild = rng.uniform(-HALF, HALF, (strays, 3)) * (1.0, 0.3, 1.0) - (0.0, 3.0, 0.0)
    told = np.zeros((strays, len(poses)), np.bool_)
    told[:, :2] = True
    seen = np.concatenate([seen, told])
    track_points, cameras = np.nonzero(seen)
    starts = np.searchsorted(track_points, np.arange(len(seen) + 1))
    total = len(seen)
    cloud = Points(
        np.arange(1, total + 1), np.concatenate([xyz, wild]),
        np.broadcast_to(np.concatenate([rgb, np.zeros((strays, 1))]), (total, 3)).astype(np.uint8),
        np.full(total, 0.3), starts.astype(np.int64), cameras + 1, np.zeros(len(cameras), np.int64),
    )  # fmt: skip
    nothing = np.zeros((1, 2)), np.full(1, -1, np.int64)
    images = {n + 1: RegisteredImage(f"{n}.png", 1, pose, *nothing) for n, pose in enumerate(poses)}
    return SparseModel({1: CAMERA}, images, cloud)


def off_surface(xyz: Float64s) -> Float64s:
    """(N,) distance of places (N, 3) from the nearer of ball and floor."""
    ball = np.abs(np.linalg.norm(xyz, axis=1) - RADIUS)
    return np.asarray(np.minimum(ball, np.abs(xyz[:, 1] - FLOOR)))


@dataclass
class BallMaps:
    """Depth maps in memory."""

    views: Sequence[DepthView]
    maps: list[DepthMap]
    model: SparseModel | None = None

    def __getitem__(self, n: int) -> DepthMap:
        return self.maps[n]


def ball_maps(noise: float = 0.001, holes: float = 0.0, count: int = 8) -> BallMaps:
    """True depth maps of ball (red) and floor (blue, a square), seen by the ring of cameras.

    noise: relative, of each pixel. holes: share of the pixels of which nothing is known.
    """
    rng = np.random.default_rng(5)
    views, maps = [], []
    for n, pose in enumerate(camera_ring(count)):
        fx, fy, cx, cy = CAMERA.params
        y, x = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width] + 0.5
        rays = np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], axis=2) @ pose.rotation
        center = pose.center
        a, b = np.sum(rays * rays, axis=2), rays @ center
        inner = b * b - a * (center @ center - RADIUS**2)
        ball = np.where(inner > 0, (-b - np.sqrt(np.maximum(inner, 0))) / a, np.inf)
        floor = np.where(rays[..., 1] > 0, (FLOOR - center[1]) / rays[..., 1], np.inf)
        where = center + np.where(np.isfinite(floor), floor, 0)[..., None] * rays
        floor[np.abs(where[..., [0, 2]]).max(axis=2) > HALF] = np.inf
        depth = np.minimum(ball, floor)
        on_ball = ball < floor
        known = np.isfinite(depth) & (rng.random(depth.shape) >= holes)
        depth = np.where(known, depth, 0.0)
        normals = np.where(on_ball[..., None], center + depth[..., None] * rays, (0.0, -1.0, 0.0))
        normals = np.where(known[..., None], normals @ pose.rotation.T, 0.0)
        rgb = np.where(on_ball[..., None], (200, 40, 40), (40, 40, 200)).astype(np.uint8)
        depth = depth * (1.0 + noise * rng.normal(size=depth.shape))
        confidence = known.astype(np.float32)
        views.append(DepthView(f"{n}.png", CAMERA, pose))
        maps.append(DepthMap(depth.astype(np.float32), normals.astype(np.float32), confidence, rgb))
    return BallMaps(views, maps)
