"""The cameras that a field has learned, back in the world of the run, as a sparse model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import NO_POINT, Points, RegisteredImage, SparseModel
from pipeline.radiance.track_geometry import (
    Observations,
    reprojection_errors,
    resect,
    triangulate,
)


@dataclass(frozen=True, eq=False)
class LearnedCameras:
    """Poses (camera from world) of the training images by their key in the model, and all cameras
    of the model by theirs."""

    poses: Mapping[int, Pose]
    cameras: Mapping[int, Camera]


def refined_model(model: SparseModel, learned: LearnedCameras) -> SparseModel:
    """The model with learned cameras, and points and errors to match.

    Images that were not learned (held out) are fitted to the new points; those that see too few of
    them stay where they are. Points are triangulated from their tracks; those that cannot be are
    left out.
    """
    keys = sorted(model.images)
    number_of = {i: n for n, i in enumerate(keys)}
    poses = [learned.poses.get(i, model.images[i].cam_from_world) for i in keys]
    cameras = [learned.cameras[model.images[i].camera] for i in keys]
    seen = observations_of(model, number_of)
    trained = np.array([i in learned.poses for i in keys])
    points = triangulate(seen.where(trained[seen.image_of]), poses, cameras)
    for n in np.flatnonzero(~trained):
        mine = seen.image_of == n
        found = resect(poses[n], cameras[n], points[seen.point_of[mine]], seen.pixels[mine])
        poses[n] = poses[n] if found is None else found
    points = triangulate(seen, poses, cameras)
    errors = reprojection_errors(seen, points, poses, cameras)
    mean_errors = _mean_of_points(errors, seen)
    kept = np.isfinite(mean_errors)
    images = {
        i: replace(model.images[i], cam_from_world=pose)
        for i, pose in zip(keys, poses, strict=True)
    }
    return _with_points(
        SparseModel(dict(learned.cameras), images, model.points), points, mean_errors, kept
    )


def with_images(model: SparseModel, found: Mapping[str, tuple[Camera, Pose]]) -> SparseModel:
    """The model with more images, that see no points, by name; each with a camera of its own."""
    images, cameras = dict(model.images), dict(model.cameras)
    for name, (camera, pose) in found.items():
        k, i = max(cameras, default=0) + 1, max(images, default=0) + 1
        cameras[k] = camera
        images[i] = RegisteredImage(name, k, pose, np.zeros((0, 2)), np.zeros(0, np.int64))
    return SparseModel(cameras, images, model.points)


def observations_of(model: SparseModel, number_of: Mapping[int, int]) -> Observations:
    """All tracks of a model. number_of: what each image key is called in the result."""
    points = model.points
    pixels = np.empty((len(points.track_images), 2))
    numbers = np.empty(len(pixels), np.int64)
    for i, n in number_of.items():
        mine = points.track_images == i
        pixels[mine] = model.images[i].keypoints_px[points.track_keypoints[mine]]
        numbers[mine] = n
    rows = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    return Observations(len(points), rows, numbers, pixels)


def _mean_of_points(errors: Float64s, seen: Observations) -> Float64s:
    """Mean (J,) over each point's observations; NaN where one is."""
    counts = np.bincount(seen.point_of, minlength=seen.points)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(seen.point_of, errors, seen.points) / counts)


def _with_points(model: SparseModel, xyz: Float64s, error_px: Float64s, kept: Bools) -> SparseModel:
    """The model with its points moved to `xyz`, without those that are not kept."""
    points = model.points
    lengths = np.diff(points.track_starts)
    observed = np.repeat(kept, lengths)
    gone = points.ids[~kept]
    images = {
        i: replace(
            image, point_ids=np.where(np.isin(image.point_ids, gone), NO_POINT, image.point_ids)
        )
        for i, image in model.images.items()
    }
    moved = Points(
        ids=points.ids[kept],
        xyz_world=xyz[kept],
        rgb=points.rgb[kept],
        error_px=error_px[kept],
        track_starts=np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64),
        track_images=points.track_images[observed],
        track_keypoints=points.track_keypoints[observed],
    )
    return SparseModel(model.cameras, images, moved)
