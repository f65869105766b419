"""What the stage `depth` is to do: which photographs, compared with which, and the items' keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.dense_products import DepthView
from pipeline.depth.items import Neighbour
from pipeline.depth.photographs import pinhole_of
from pipeline.depth.sources import depth_range, source_images
from pipeline.depth_config import DepthConfig
from pipeline.errors import PipelineError
from pipeline.hashing import content_key
from pipeline.item_refs import ItemRef
from pipeline.products import (
    NO_POINT,
    ItemStore,
    Photo,
    PhotoIndex,
    Points,
    RegisteredImage,
    SparseModel,
)

CONFIRMING = 2  # times as many sources confirm a depth as it is found with


@dataclass(frozen=True, eq=False)
class PlannedMap:
    """A depth map to be made. sources: images of the model, the best first. depths: nearest and
    farthest to look for. agreed: its last item."""

    photo: Photo
    neighbour: Neighbour
    sources: tuple[int, ...]
    depths: tuple[float, float]
    agreed: ItemRef


@dataclass(frozen=True, eq=False)
class Plan:
    """The maps to be made, by the images of the model, and the names of those that get none."""

    maps: Mapping[int, PlannedMap]
    without: tuple[str, ...]


def plan_maps(
    photos: PhotoIndex, model: SparseModel, config: DepthConfig, version: int, store: ItemStore
) -> Plan:
    """Plan the maps of a model's images that share points with others.

    Raises PipelineError where one of them is not among the photographs.
    """
    images = sorted(model.images)
    photo_of = _photos_of(photos, model)
    sources = dict(
        zip(images, source_images(model, images, CONFIRMING * config.sources), strict=True)
    )
    ranges = {i: depth_range(model, i) for i in images}
    depths = {i: depths for i, depths in ranges.items() if depths is not None and sources[i]}
    found = sorted(depths)
    undistorted = {i: _undistorted(photo_of[i], model, i, config, version) for i in found}
    photometric = {
        i: content_key(
            "photometric",
            version,
            [(undistorted[k], _pose_of(model, k)) for k in (i, *sources[i][: config.sources])],
            depths[i],
        )
        for i in found
    }
    maps = {}
    for i in found:
        image = model.images[i]
        view = DepthView(
            image.name,
            pinhole_of(model.cameras[image.camera], config.size_px),
            image.cam_from_world,
        )
        neighbour = Neighbour(
            view,
            ItemRef(store, "undistorted", undistorted[i]),
            ItemRef(store, "photometric", photometric[i]),
        )
        agreed = content_key(
            "agreed",
            version,
            [(photometric[k], _pose_of(model, k)) for k in (i, *sources[i])],
            (config.min_views, config.max_depth_error),
        )
        maps[i] = PlannedMap(
            photo_of[i], neighbour, sources[i], depths[i], ItemRef(store, "agreed", agreed)
        )
    return Plan(maps, tuple(model.images[i].name for i in images if i not in maps))


def undistorted_model(model: SparseModel, plan: Plan) -> SparseModel:
    """The planned images of a model, from 1 in their order, with the cameras of their maps, and the
    points that two of them see."""
    number_of = np.zeros(max(model.images) + 1, np.int64)
    cameras, images = {}, {}
    points = model.points
    numbers = np.where(np.isin(points.track_images, list(plan.maps)), points.track_images, 0)
    for number, (i, planned) in enumerate(plan.maps.items(), start=1):
        number_of[i] = number
        image, view = model.images[i], planned.neighbour.view
        uv = model.cameras[image.camera].unproject(image.keypoints_px)
        pixels = view.camera.project(np.column_stack([uv, np.ones(len(uv))]))
        ids = np.where(np.isfinite(pixels).all(axis=1), image.point_ids, NO_POINT)
        images[number] = RegisteredImage(
            image.name, number, image.cam_from_world, np.nan_to_num(pixels, nan=-1.0), ids
        )
        cameras[number] = view.camera
    kept = number_of[numbers] > 0
    rows = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    lengths = np.bincount(rows[kept], minlength=len(points))
    stay = lengths >= 2
    kept &= stay[rows]
    for number, image in images.items():
        known = np.isin(image.point_ids, points.ids[stay])
        images[number] = replace(image, point_ids=np.where(known, image.point_ids, NO_POINT))
    cloud = Points(
        points.ids[stay],
        points.xyz_world[stay],
        points.rgb[stay],
        points.error_px[stay],
        np.concatenate([[0], np.cumsum(lengths[stay])]),
        number_of[numbers][kept],
        points.track_keypoints[kept],
    )
    return SparseModel(cameras, images, cloud)


def _undistorted(
    photo: Photo, model: SparseModel, i: int, config: DepthConfig, version: int
) -> str:
    camera = model.cameras[model.images[i].camera]
    hashes = (photo.content_hash, photo.mask_hash)
    return content_key(
        "undistorted", version, hashes, camera.opencv_params.tolist(), config.size_px
    )


def _pose_of(model: SparseModel, i: int) -> Sequence[object]:
    pose = model.images[i].cam_from_world
    return pose.rotation.tolist(), pose.translation.tolist()


def _photos_of(photos: PhotoIndex, model: SparseModel) -> dict[int, Photo]:
    by_name = {photo.name: photo for photo in photos.photos}
    missing = [image.name for image in model.images.values() if image.name not in by_name]
    if missing:
        raise PipelineError(
            "Photograph missing",
            f"{missing[0]} has a pose, but is not among the photographs.",
            "Start the same command again.",
        )
    return {i: by_name[image.name] for i, image in model.images.items()}
