"""Poses and intrinsics from whatever a user has: behind --poses, --intrinsics and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import is_model, read_cameras_and_images
from pipeline.formats.colmap_parts import checked_camera
from pipeline.formats.colmap_text import read_cameras_text
from pipeline.formats.files import malformed, read_json_object
from pipeline.formats.ground_truth import read_ground_truth
from pipeline.formats.llff import names_for_rows, read_llff
from pipeline.formats.posed import (
    PosedPhotos,
    camera_at_size,
    ensure_unique,
    match_names,
    photo_names_in,
)
from pipeline.formats.transforms import read_transforms
from pipeline.geometry.cameras import Camera

__all__ = [
    "PosedPhotos",
    "camera_at_size",
    "match_names",
    "read_intrinsics",
    "read_posed_photos",
]

_KNOWN = (
    "a COLMAP model folder, transforms.json, poses_bounds.npy, ground_truth.json, a scene folder "
    "that holds one of them, or a run directory"
)
_RUN_FILE = "run.toml"


def read_posed_photos(path: Path, photo_names: Sequence[str] | None = None) -> PosedPhotos:
    """Read poses and intrinsics from a file or folder of any format that we know.

    path: a COLMAP model folder, transforms.json, poses_bounds.npy, ground_truth.json, a scene
    folder with one of them, or a run directory (its sparse/refined where there is one, else its
    sparse/0). photo_names: result entries are then named so, those for other photographs are left
    out; names match exactly, else by a base name that is unique. poses_bounds.npy names no
    photographs: they are those in images/ beside it, else photo_names. Raises PipelineError where
    nothing is recognised, the file is malformed, or it has no pose for any of the names.
    """
    posed = _read(_locate(path), photo_names)
    if photo_names is None:
        return posed
    matched = match_names(photo_names, posed.cam_from_world)
    if not matched:
        raise _no_photo_matches(path, posed.cam_from_world, photo_names)
    return posed.named(matched)


def read_intrinsics(path: Path, photo_names: Sequence[str]) -> Mapping[str, Camera]:
    """Read intrinsics for photographs, in the size they are given for (`camera_at_size` fits them).

    path: as for `read_posed_photos`; or a cameras.txt of one camera or a JSON object
    {"model", "params", "width", "height"}, which then holds for every photograph. The result may
    lack photographs that the file does not name. Raises PipelineError as `read_posed_photos`, and
    where the file has no intrinsics for any of the photographs.
    """
    shared = _single_camera(path)
    if shared is not None:
        shared = replace(shared, has_focal_prior=True)
        return dict.fromkeys(photo_names, shared)
    posed = read_posed_photos(path, photo_names)
    if not posed.intrinsics:
        raise PipelineError(
            "No intrinsics",
            f"{path} has poses of these photographs, but no usable intrinsics",
            "Formats without an image size need the photographs in images/ beside the file.",
        )
    return {
        name: replace(camera, has_focal_prior=True) for name, camera in posed.intrinsics.items()
    }


def _single_camera(path: Path) -> Camera | None:
    """The camera of a file that holds one and names no photographs; None for other files."""
    if path.name == "cameras.txt" and path.is_file():
        cameras = read_cameras_text(path)
        if len(cameras) != 1:
            raise PipelineError(
                "Which camera?",
                f"{path} holds {len(cameras)} cameras and does not say whose they are",
                "Give the folder of the whole COLMAP model, or a file with one camera.",
            )
        return next(iter(cameras.values()))
    if path.suffix == ".json" and path.is_file():
        content = read_json_object(path)
        if "model" in content and "params" in content:
            return _camera_from_json(path, content)
    return None


def _camera_from_json(path: Path, content: Mapping[str, Any]) -> Camera:
    unknown = set(content) - {"model", "params", "width", "height"}
    if unknown:
        raise malformed(
            path, f"unknown key {min(unknown)!r}", "The keys are model, params, width and height."
        )
    width, height = content.get("width"), content.get("height")
    if not (type(width) is int and type(height) is int):
        raise malformed(path, f"width and height are {width!r} and {height!r}")
    try:
        params = np.array(content["params"], dtype=np.float64)
    except (TypeError, ValueError):
        raise malformed(path, "params is not a list of numbers") from None
    return checked_camera(path, str(content["model"]), (width, height), params)


def _locate(path: Path) -> Path:
    """The file or model folder that a path means."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise PipelineError("File not found", f"{path} does not exist", f"Give {_KNOWN}.")
    if (path / _RUN_FILE).is_file():
        for name in ("refined", "0"):
            if is_model(path / "sparse" / name):
                return path / "sparse" / name
        raise PipelineError(
            "No sparse model yet",
            f"the run {path} has no sparse/0",
            "Run it until mapping is done; its report says why photographs were not registered.",
        )
    if is_model(path):
        return path
    if (path / "ground_truth.json").is_file():
        return path / "ground_truth.json"
    for folder in ("sparse/0", "sparse", "colmap/sparse/0"):
        if is_model(path / folder):
            return path / folder
    for name in ("transforms.json", "poses_bounds.npy"):
        if (path / name).is_file():
            return path / name
    others = sorted(path.glob("transforms_*.json"))
    if len(others) == 1:
        return others[0]
    if others:
        names = ", ".join(other.name for other in others)
        raise PipelineError("Which file?", f"{path} holds {names}", "Give one of these files.")
    raise PipelineError("No poses found", f"nothing in {path} is known", f"Give {_KNOWN}.")


def _read(path: Path, photo_names: Sequence[str] | None) -> PosedPhotos:
    if path.is_dir():
        return _read_colmap(path)
    if path.suffix == ".npy":
        return _read_llff(path, photo_names)
    if path.suffix == ".json":
        read: Callable[[Path], PosedPhotos] = (
            read_transforms if "frames" in read_json_object(path) else read_ground_truth
        )
        return read(path)
    if is_model(path.parent) and path.stem in ("cameras", "images", "points3D"):
        return _read_colmap(path.parent)
    raise PipelineError("Unknown format", f"{path} is of no format we know", f"Give {_KNOWN}.")


def _read_colmap(folder: Path) -> PosedPhotos:
    cameras, images = read_cameras_and_images(folder)
    ensure_unique(folder, [image.name for image in images.values()])
    return PosedPhotos(
        {image.name: image.cam_from_world for image in images.values()},
        {image.name: cameras[image.camera] for image in images.values()},
    )


def _read_llff(path: Path, photo_names: Sequence[str] | None) -> PosedPhotos:
    llff = read_llff(path)
    beside = photo_names_in(path.parent / "images")
    names = names_for_rows(path, len(llff.cameras), beside or list(photo_names or ()))
    return PosedPhotos(
        dict(zip(names, llff.cam_from_world, strict=True)),
        dict(zip(names, llff.cameras, strict=True)),
    )


def _no_photo_matches(
    path: Path, present: Iterable[str], photo_names: Sequence[str]
) -> PipelineError:
    example = next(iter(present), "none at all")
    wanted = photo_names[0] if photo_names else "none at all"
    return PipelineError(
        "No photograph matches",
        f"{path} names photographs such as {example}, the photographs here are such as {wanted}",
        "Check that the file belongs to these photographs; names or base names must agree.",
    )
