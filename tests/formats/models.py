"""Sparse models with known geometry, for the round trips of the formats."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.products import NO_POINT, Points, RegisteredImage, SparseModel

WIDTH, HEIGHT = 800, 600
PARAMETERS = {
    "fx": 700.0, "fy": 705.5, "f": 700.0, "cx": 401.25, "cy": 298.5,
    "k": -0.03, "k1": -0.03, "k2": 0.004, "p1": 1e-3, "p2": -2e-3,
}  # fmt: skip


def make_camera(model: str, focal_factor: float = 1.0) -> Camera:
    """A camera of a model, with distortion where the model has it."""
    params = np.array([PARAMETERS[name] for name in MODELS[model].parameters])
    params[list(MODELS[model].indices_of("focal"))] *= focal_factor
    return Camera(model, WIDTH, HEIGHT, params)


def make_poses(n: int, rng: np.random.Generator) -> list[Pose]:
    """Cameras around (0, 0, 5) from a few units away, all looking roughly along z."""
    return [
        Pose(rotation_from_rotvec(rng.normal(size=3) * 0.15), rng.normal(size=3) * 0.4)
        for _ in range(n)
    ]


def make_model(
    seed: int,
    n_images: int = 4,
    n_points: int = 25,
    models: tuple[str, ...] = tuple(MODELS),
    name: str = "album-{}/föto{}.jpg",
) -> SparseModel:
    """A model with half a pixel of noise, keypoints without points, and ids with gaps."""
    rng = np.random.default_rng(seed)
    cameras = {2 * k + 1: make_camera(name, 1.0 + 0.1 * k) for k, name in enumerate(models)}
    camera_ids = list(cameras)
    xyz = np.column_stack([rng.uniform(-1.0, 1.0, (n_points, 2)), rng.uniform(4.0, 7.0, n_points)])
    ids = np.sort(rng.choice(10 * n_points + 1, n_points, replace=False))
    seen = rng.random((n_points, n_images)) < 0.7
    seen[:, :2] = True  # every track has two observations at least
    images: dict[int, RegisteredImage] = {}
    rows = np.full((n_points, n_images), NO_POINT)
    errors = np.zeros((n_points, n_images))
    for i, pose in enumerate(make_poses(n_images, rng)):
        camera_id = camera_ids[i % len(camera_ids)]
        truth = cameras[camera_id].project(pose.apply(xyz[seen[:, i]]))
        noise = rng.normal(size=truth.shape) * 0.5
        n_seen = len(truth)
        order = rng.permutation(n_seen + 5)  # five keypoints see no point
        keypoints = rng.uniform(0.0, HEIGHT, (n_seen + 5, 2))
        point_ids = np.full(n_seen + 5, NO_POINT)
        keypoints[order[:n_seen]] = truth + noise
        point_ids[order[:n_seen]] = ids[seen[:, i]]
        rows[seen[:, i], i] = order[:n_seen]
        errors[seen[:, i], i] = np.linalg.norm(noise, axis=1)
        image = RegisteredImage(name.format(i % 2, i), camera_id, pose, keypoints, point_ids)
        images[3 * i + 2] = image
    j, i_seen = np.nonzero(seen)
    points = Points(
        ids=ids,
        xyz_world=xyz,
        rgb=rng.integers(0, 256, (n_points, 3), dtype=np.uint8),
        error_px=errors.sum(axis=1) / seen.sum(axis=1) if n_points else np.zeros(0),
        track_starts=np.concatenate([[0], np.cumsum(seen.sum(axis=1))]),
        track_images=np.array(sorted(images), dtype=np.int64)[i_seen],
        track_keypoints=rows[j, i_seen],
    )
    return SparseModel(cameras, images, points)


def reprojections(model: SparseModel) -> tuple[Float64s, Float64s]:
    """Where the points of all tracks project to, and the keypoints that saw them, (N, 2) each."""
    points = model.points
    xyz = np.repeat(points.xyz_world, np.diff(points.track_starts), axis=0)
    projected = np.empty((len(xyz), 2))
    measured = np.empty((len(xyz), 2))
    for image_id, image in model.images.items():
        mine = points.track_images == image_id
        camera = model.cameras[image.camera]
        projected[mine] = camera.project(image.cam_from_world.apply(xyz[mine]))
        measured[mine] = image.keypoints_px[points.track_keypoints[mine]]
    return projected, measured
