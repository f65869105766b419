"""Which photographs share a camera, and the intrinsics that each camera starts with."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from statistics import median

import numpy as np

from pipeline.config import IngestConfig
from pipeline.errors import PipelineError
from pipeline.geometry.cameras import MODELS, Camera


@dataclass(frozen=True)
class CameraFacts:
    """What decides about the camera of one photograph.

    lens: make, model and focal length as EXIF has them, empty without make and model. focal_px: the
    focal prior from EXIF, or None.
    """

    name: str
    width: int
    height: int
    lens: tuple[str, ...] = ()
    focal_px: float | None = None


@dataclass(frozen=True, eq=False)
class CameraGroups:
    """Cameras in the order of the first photograph of each; of_photo: the camera's index for every
    photograph; words: each camera in a few words."""

    cameras: tuple[Camera, ...]
    of_photo: tuple[int, ...]
    words: tuple[str, ...]


def group_cameras(
    photos: Sequence[CameraFacts], config: IngestConfig, given: Mapping[str, Camera] | None
) -> CameraGroups:
    """Share cameras between photographs as `config.cameras` says; given intrinsics override.

    auto: one camera per (make, model, focal length, size), without EXIF per (folder, size). single:
    one for all. per-folder: one per (folder, size). per-image: one each. Photographs whose given
    cameras are equal share one. A camera without given intrinsics starts with the median focal
    prior of its photographs, else `config.default_focal` longer sides, the principal point at the
    centre, and no distortion. Raises PipelineError where `single` meets two sizes, or a given
    camera has another size than its photograph.
    """
    given = given or {}
    if config.cameras == "single":
        _require_one_size([photo for photo in photos if photo.name not in given])
    members: dict[Hashable, list[int]] = {}
    for i, photo in enumerate(photos):
        known = given.get(photo.name)
        key = _sharing_key(photo, config) if known is None else _given_key(photo, known)
        members.setdefault(key, []).append(i)
    of_photo = np.zeros(len(photos), np.int64)
    cameras, words = [], []
    for k, group in enumerate(members.values()):
        of_photo[group] = k
        first = photos[group[0]]
        if first.name in given:
            camera = replace(given[first.name], has_focal_prior=True)
            origin = "as given"
        else:
            priors = [p for p in (photos[i].focal_px for i in group) if p is not None]
            camera = _initial_camera(first, priors, config)
            origin = "from EXIF" if priors else "assumed"
        cameras.append(camera)
        words.append(_in_words(first, camera, len(group), origin))
    return CameraGroups(tuple(cameras), tuple(int(k) for k in of_photo), tuple(words))


def _sharing_key(photo: CameraFacts, config: IngestConfig) -> Hashable:
    size = (photo.width, photo.height)
    folder = PurePosixPath(photo.name).parent
    if config.cameras == "single":
        return "single"
    if config.cameras == "per-image":
        return "image", photo.name
    if config.cameras == "auto" and photo.lens:
        return "lens", photo.lens, size
    return "folder", folder, size


def _given_key(photo: CameraFacts, camera: Camera) -> Hashable:
    if (camera.width, camera.height) != (photo.width, photo.height):
        raise PipelineError(
            "Given camera of another size",
            f"the camera given for {photo.name} is for {camera.width}x{camera.height} pixels, "
            f"but the photograph has {photo.width}x{photo.height}",
            "give intrinsics for the photographs at the size (and the way up) they have here",
        )
    return "given", camera.model, camera.width, camera.height, camera.params.tobytes()


def _require_one_size(photos: Sequence[CameraFacts]) -> None:
    for photo in photos[1:]:
        first = photos[0]
        if (photo.width, photo.height) != (first.width, first.height):
            raise PipelineError(
                "One camera, two sizes",
                f"ingest.cameras is single, but {first.name} has {first.width}x{first.height} "
                f"pixels and {photo.name} has {photo.width}x{photo.height}",
                "use --cameras auto, or photographs of one size",
            )


def _initial_camera(photo: CameraFacts, priors: list[float], config: IngestConfig) -> Camera:
    model = MODELS[config.camera_model]
    longer = max(photo.width, photo.height)
    params = np.zeros(len(model.parameters))
    focal_px = median(priors) if priors else config.default_focal * longer
    params[list(model.indices_of("focal"))] = focal_px
    params[list(model.indices_of("center"))] = photo.width / 2, photo.height / 2
    return Camera(model.name, photo.width, photo.height, params, has_focal_prior=bool(priors))


def _in_words(photo: CameraFacts, camera: Camera, count: int, origin: str) -> str:
    lens = " ".join(photo.lens[:2]).strip() or "unknown make"
    photographs = "1 photograph" if count == 1 else f"{count} photographs"
    return (
        f"{photographs}: {lens}, {camera.width}x{camera.height}, {camera.model}, "
        f"focal length {camera.focal_px:.0f} px {origin}"
    )
