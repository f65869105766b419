"""A synthetic world as the products that the stage `radiance` gets: photographs and a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
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
from tests.synthetic import HEIGHT, WIDTH, SyntheticWorld, WorldSpec, make_world

SPEC = WorldSpec(images=8, points=150, noise_px=0.3)


def make_model(world: SyntheticWorld) -> SparseModel:
    """The world with its true poses and points; every keypoint sees its point."""
    truth = world.truth
    order = np.lexsort((truth.obs_images, truth.obs_points))
    points, images_of = truth.obs_points[order], truth.obs_images[order]
    rank = np.empty(len(order), np.int64)
    images = {}
    for i, pose in enumerate(world.poses):
        mine = np.flatnonzero(images_of == i)
        rank[mine] = np.arange(len(mine))
        images[i + 1] = RegisteredImage(
            f"{i:02}.png",
            int(truth.image_cameras[i]) + 1,
            pose,
            truth.obs_px[order][mine],
            points[mine] + 1,
        )
    count = len(truth.points_world)
    lengths = np.bincount(points, minlength=count)
    cloud = Points(
        ids=np.arange(1, count + 1),
        xyz_world=truth.points_world.copy(),
        rgb=np.full((count, 3), 128, np.uint8),
        error_px=np.full(count, 0.3),
        track_starts=np.concatenate([[0], np.cumsum(lengths)]),
        track_images=images_of + 1,
        track_keypoints=rank,
    )
    cameras = {k + 1: camera for k, camera in enumerate(truth.cameras)}
    return SparseModel(cameras, images, cloud)


def make_photos(folder: Path, world: SyntheticWorld) -> PhotoIndex:
    """Files with a picture for each image: soft random colours, which stand for anything."""
    photos = []
    for i, k in enumerate(world.truth.image_cameras.tolist()):
        few = np.random.default_rng(i).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        path = folder / f"{i:02}.png"
        cv2.imwrite(str(path), cv2.resize(few, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))
        photos.append(Photo(path.name, path, k, WIDTH, HEIGHT, str(i)))
    return PhotoIndex(tuple(photos), tuple(world.truth.cameras))


def make_reconstruction(model: SparseModel) -> Reconstruction:
    """The outcome of mapping with this one model."""
    names = [image.name for image in model.images.values()]
    return Reconstruction((model,), tuple(Verdict(name, True, "registered", 0) for name in names))


def moved(model: SparseModel, similarity: Similarity) -> SparseModel:
    """The same model in another world frame."""
    images = {
        i: replace(image, cam_from_world=similarity.apply_to_pose(image.cam_from_world))
        for i, image in model.images.items()
    }
    points = replace(model.points, xyz_world=similarity.apply(model.points.xyz_world))
    return SparseModel(model.cameras, images, points)


def with_poses(model: SparseModel, poses: Sequence[Pose]) -> SparseModel:
    """The same model with other poses, in the order of its images."""
    images = {
        i: replace(image, cam_from_world=pose)
        for (i, image), pose in zip(sorted(model.images.items()), poses, strict=True)
    }
    return SparseModel(model.cameras, images, model.points)


def tracks_are_whole(model: SparseModel) -> bool:
    """Whether keypoints and points of a model name each other."""
    points = model.points
    ids = np.repeat(points.ids, np.diff(points.track_starts))
    named = sum(int((image.point_ids != NO_POINT).sum()) for image in model.images.values())
    return named == len(ids) and all(
        model.images[i].point_ids[n] == j
        for i, n, j in zip(
            points.track_images.tolist(), points.track_keypoints.tolist(), ids, strict=True
        )
    )


def small_world() -> SyntheticWorld:
    """The world of most tests."""
    return make_world(SPEC)
