"""Masks: pictures beside the photographs whose black pixels are ignored."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.item_refs import FileRef
from pipeline.photos.reading import UnreadablePhoto, decode, read_header
from pipeline.products import Photo

Size = tuple[int, int]


def mask_folder(setting: str, root: Path) -> Path | None:
    """The folder that the setting `ingest.masks` names, relative to the photo folder; None for "".

    Raises PipelineError where there is no such folder.
    """
    if not setting:
        return None
    folder = root / setting
    if not folder.is_dir():
        raise PipelineError(
            "Mask folder missing",
            f"ingest.masks: {folder} is not a folder",
            "give an absolute path, or one relative to the photo folder",
        )
    return folder


def find_mask(folder: Path, name: str) -> Path | None:
    """The mask of a photograph: NAME.EXT.png, else NAME.png, below the mask folder, as COLMAP has
    it; None where there is neither."""
    candidates = (folder / f"{name}.png", folder / PurePosixPath(name).with_suffix(".png"))
    return next((path for path in candidates if path.is_file()), None)


def mask_bytes(mask: FileRef, name: str, photo_size: Size) -> bytes:
    """The mask file's bytes, once its header agrees with the photograph `name`.

    photo_size: (width, height), upright. Raises PipelineError where the file cannot be read or has
    another size, upright too.
    """
    try:
        data = mask.read_bytes()
        header = read_header(data)
    except OSError as error:
        raise _broken(mask.path, f"it cannot be read: {error.strerror}") from error
    except UnreadablePhoto as error:
        raise _broken(mask.path, error.reason) from error
    if (header.width, header.height) != photo_size:
        raise PipelineError(
            "Mask of the wrong size",
            f"{mask.path} has {header.width}x{header.height} pixels, "
            f"but {name} has {photo_size[0]}x{photo_size[1]}",
            "a mask covers the upright photograph pixel for pixel; scale or turn it, or remove it",
        )
    return data


def read_mask(photo: Photo, file: FileRef | None = None) -> UInt8s | None:
    """The mask of a photograph, (height, width) uint8: 0 where it is to be ignored, else 255.

    file: where its bytes are, if not at its path. None for a photograph without a mask. Raises
    PipelineError where the file cannot be read or has another size than the photograph.
    """
    if photo.mask is None:
        return None
    data = mask_bytes(file or FileRef(photo.mask), photo.name, (photo.width, photo.height))
    try:
        grey = decode(data, read_header(data), grey=True)
    except UnreadablePhoto as error:
        raise _broken(photo.mask, error.reason) from error
    return np.where(grey > 0, 255, 0).astype(np.uint8)


def _broken(mask: Path, reason: str) -> PipelineError:
    return PipelineError("Mask unreadable", f"{mask}: {reason}", "replace or remove the mask")
