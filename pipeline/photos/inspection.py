"""Looking at one photograph, in a worker: everything that ingest needs of it, from one decoding."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2

from pipeline.photos.exif import Exif
from pipeline.photos.masks import mask_bytes
from pipeline.photos.reading import UnreadablePhoto, read_header, read_reduced
from pipeline.products import RefusedPhoto

THUMBNAIL_QUALITY = 85


@dataclass(frozen=True)
class Inspection:
    """One photograph to look at. mask: its mask file, if it has one."""

    name: str
    path: Path
    mask: Path | None
    thumbnail_px: int


@dataclass(frozen=True)
class Inspected:
    """A usable photograph. width, height: upright. thumbnail: JPEG bytes. sharpness: variance of
    the Laplacian of the thumbnail in grey levels."""

    name: str
    path: Path
    mask: Path | None
    width: int
    height: int
    content_hash: str
    mask_hash: str
    exif: Exif
    thumbnail: bytes
    sharpness: float


def inspect(task: Inspection) -> Inspected | RefusedPhoto:
    """Read one file once: hash, EXIF, size, thumbnail, sharpness.

    Returns a RefusedPhoto with the reason for a file that cannot be used. Raises PipelineError for
    a mask that cannot be used, which is never put aside: the user wants those pixels ignored.
    """
    try:
        data = task.path.read_bytes()
        header = read_header(data)
        small = read_reduced(data, header, task.thumbnail_px)
    except OSError as error:
        return RefusedPhoto(task.name, f"it cannot be read: {error.strerror}")
    except UnreadablePhoto as error:
        return RefusedPhoto(task.name, error.reason)
    mask_hash = ""
    if task.mask is not None:
        mask = mask_bytes(task.mask, task.name, (header.width, header.height))
        mask_hash = hashlib.sha256(mask).hexdigest()
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    quality = (cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)[1]
    return Inspected(
        name=task.name,
        path=task.path,
        mask=task.mask,
        width=header.width,
        height=header.height,
        content_hash=hashlib.sha256(data).hexdigest(),
        mask_hash=mask_hash,
        exif=header.exif,
        thumbnail=encoded.tobytes(),
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
    )
