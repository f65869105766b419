"""A run's photographs beside an exported model: linked or copied as they are, or made anew.

What a program reads must look as the model says, so a photograph that is stored turned (EXIF) is
written upright, one that a camera model cannot describe is written undistorted, and one of a kind
that the program does not open is written as PNG.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from pipeline.errors import DiskFull, PipelineError
from pipeline.export_request import Listener
from pipeline.exports.pinhole import Undistorter
from pipeline.formats.posed import photo_size
from pipeline.geometry.arrays import UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.photos.reading import read_rgb
from pipeline.products import Photo

_QUALITY = 95
_SAME_KIND = {".jpeg": ".jpg", ".tiff": ".tif"}
_JPEG_PARAMETERS = [
    cv2.IMWRITE_JPEG_QUALITY, _QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Placed:
    """A photograph and what becomes of it.

    name: of the new file, relative to the folder. camera: with which the model sees it. pinhole:
    the camera that it is to be undistorted to, or None.
    """

    photo: Photo
    name: str
    camera: Camera
    pinhole: Camera | None = None

    @property
    def stays(self) -> bool:
        """Whether the file can be taken as it is."""
        upright = not self.photo.exif.get("orientation")
        kinds = {_kind(Path(self.name)), _kind(self.photo.path)}
        return self.pinhole is None and upright and len(kinds) == 1


@dataclass
class PlacedCounts:
    """How many photographs were hard links, copies and made anew, and the bytes of the last two."""

    linked: int = 0
    copied: int = 0
    written: int = 0
    bytes: int = field(default=0)


def check_photographs(photos: Mapping[str, Photo], wanted: Mapping[str, Camera]) -> None:
    """Raises PipelineError where photographs of a model, by name with their cameras, are gone, or
    are not those any more that it was made from."""
    missing = [name for name in wanted if name not in photos or not photos[name].path.is_file()]
    if missing:
        first = photos[missing[0]].path if missing[0] in photos else missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PipelineError(
            "Photographs gone",
            f"{first}{more} cannot be found; {len(missing)} of {len(wanted)} are missing.",
            "Put them back where they were; ply, glb, obj and tum are exported without them.",
        )
    for name, camera in wanted.items():
        size = photo_size(photos[name].path)
        if size != (camera.width, camera.height):
            found = "cannot be read" if size is None else f"has {size[0]} x {size[1]} pixels"
            raise PipelineError(
                "Photograph changed",
                f"{photos[name].path} {found}; the model was made from {camera.width} x "
                f"{camera.height}.",
                "Put the photograph back as it was, or run again.",
            )


def place_photographs(placed: list[Placed], folder: Path, tell: Listener) -> PlacedCounts:
    """Put photographs into a folder, with the folders of their names; what was done.

    tell: called after each. Raises PipelineError where the disk has not room for those that cannot
    be hard links, and for a photograph that cannot be read; OSError where writing fails.
    """
    counts = PlacedCounts()
    undistorter: tuple[Camera, Camera, Undistorter] | None = None
    anew = [one for one in placed if not one.stays]
    _check_room(folder.parent, sum(_bytes_anew(one) for one in anew))
    checked = False
    # Photographs of one camera one after the other, since its sampling maps are large.
    for done, one in enumerate(sorted(placed, key=lambda one: id(one.camera)), start=1):
        target = folder / one.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if one.stays:
            source = one.photo.path.resolve()  # a link to a link would be one
            if _link(source, target):
                counts.linked += 1
            else:
                if not checked:
                    stay = (one.photo.path.stat().st_size for one in placed if one.stays)
                    _check_room(folder.parent, sum(stay))
                    checked = True
                shutil.copyfile(source, target)
                counts.copied += 1
                counts.bytes += target.stat().st_size
        else:
            pixels = read_rgb(one.photo)
            if one.pinhole is not None:
                if undistorter is None or undistorter[:2] != (one.camera, one.pinhole):
                    undistorter = (one.camera, one.pinhole, Undistorter(one.camera, one.pinhole))
                pixels = undistorter[2](pixels)
            _write(target, pixels)
            counts.written += 1
            counts.bytes += target.stat().st_size
        tell(done, len(placed))
    return counts


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return _SAME_KIND.get(suffix, suffix)


def _link(source: Path, target: Path) -> bool:
    """Hard-link a file; False where the file systems, or their rules, do not allow it."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True


def _write(path: Path, pixels: UInt8s) -> None:
    parameters = _JPEG_PARAMETERS if _kind(path) == ".jpg" else []
    done, data = cv2.imencode(
        path.suffix.lower(), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters
    )
    if not done:
        raise OSError(errno.EINVAL, "the picture cannot be encoded", str(path))
    path.write_bytes(data.tobytes())


def _bytes_anew(one: Placed) -> int:
    """A cautious guess of what a photograph that is made anew takes."""
    pixels = one.photo.width * one.photo.height
    return pixels if _kind(Path(one.name)) == ".jpg" else 3 * pixels


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise DiskFull(
            "No space left",
            f"Photographs of up to {wanted / 1e6:.0f} MB would go to {folder}, which has "
            f"{free / 1e6:.0f} MB free.",
            "Free some space, or choose a folder on the photographs' own disk with --out: there "
            "those that need no change are hard links.",
        )
