"""COLMAP's sparse model folder: cameras, images, points3D, and since COLMAP 3.12 rigs, frames.

Binary and text models are read, with rigs and frames or without them: an image's own pose is in
its file either way. We write one trivial rig per camera and one frame per image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.formats.colmap_binary import (
    cameras_as_binary,
    frames_as_binary,
    images_as_binary,
    points_as_binary,
    read_cameras_binary,
    read_images_binary,
    read_points_binary,
    rigs_as_binary,
)
from pipeline.formats.colmap_parts import assemble
from pipeline.formats.colmap_text import read_cameras_text, read_images_text, read_points_text
from pipeline.geometry.cameras import Camera
from pipeline.products import RegisteredImage, SparseModel


def write_model(model: SparseModel, folder: Path) -> None:
    """Write a model as COLMAP's five binary files into a folder, which is made if it is not there.

    Files of these names are replaced; making the whole appear at once is the caller's. Raises
    PipelineError for a photo name that holds a NUL character.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "cameras.bin": cameras_as_binary(model.cameras),
        "images.bin": images_as_binary(model.images),
        "points3D.bin": points_as_binary(model.points),
        "rigs.bin": rigs_as_binary(model.cameras),
        "frames.bin": frames_as_binary(model),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def is_model(folder: Path) -> bool:
    """Whether a folder holds the cameras and images of a COLMAP model, binary or text."""
    return _suffix(folder) is not None


def read_model(folder: Path) -> SparseModel:
    """Read a COLMAP model, binary or text (binary where both are there).

    Raises PipelineError naming the file that is missing, truncated or garbled, and for a camera
    model that is not one of ours.
    """
    cameras, images = read_cameras_and_images(folder)
    if _suffix(folder) == ".bin":
        points = read_points_binary(folder / "points3D.bin")
    else:
        points = read_points_text(folder / "points3D.txt")
    return assemble(folder, cameras, images, points)


def read_cameras_and_images(
    folder: Path,
) -> tuple[Mapping[int, Camera], Mapping[int, RegisteredImage]]:
    """Cameras and images of a COLMAP model by id, without its points. Raises as `read_model`."""
    suffix = _suffix(folder)
    if suffix is None:
        raise PipelineError(
            "No COLMAP model",
            f"{folder} holds neither cameras.bin and images.bin nor cameras.txt and images.txt",
            "Give the folder that holds them, often sparse/0.",
        )
    if suffix == ".bin":
        cameras = read_cameras_binary(folder / "cameras.bin")
        return cameras, read_images_binary(folder / "images.bin", set(cameras))
    cameras = read_cameras_text(folder / "cameras.txt")
    return cameras, read_images_text(folder / "images.txt", set(cameras))


def _suffix(folder: Path) -> str | None:
    for suffix in (".bin", ".txt"):
        if all((folder / f"{name}{suffix}").is_file() for name in ("cameras", "images")):
            return suffix
    return None
