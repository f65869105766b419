"""Looking at one photograph, in a worker: everything that ingest needs of it, from one decoding.

What was seen is kept as an item, so that an interrupted ingest does not look again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.array_files import strings_as_array, strings_from_array
from pipeline.hashing import content_key
from pipeline.item_refs import FileRef
from pipeline.photos.exif import Exif
from pipeline.photos.masks import mask_bytes
from pipeline.photos.reading import UnreadablePhoto, read_header, read_reduced
from pipeline.products import RefusedPhoto

THUMBNAIL_QUALITY = 85
_FACTS = ("width", "height", "content_hash", "mask_hash", "sharpness")


@dataclass(frozen=True)
class Inspection:
    """One photograph to look at. mask: its mask file, if it has one."""

    name: str
    path: Path
    mask: Path | None
    thumbnail_px: int

    def key(self, version: int) -> str | None:
        """Key of the item that holds what was seen; None where a file cannot be reached.

        version: of the stage. A file counts as unchanged by its size, times and inode.
        """
        files = [self.path] if self.mask is None else [self.path, self.mask]
        try:
            states = [file.stat() for file in files]
        except OSError:
            return None
        seen = [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for s in states]
        return content_key("inspections", version, files, seen, self.name, self.thumbnail_px)


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

    def as_item(self) -> dict[str, np.ndarray]:
        """The arrays of the stored item."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return {
            "facts": strings_as_array([json.dumps({**facts, "exif": asdict(self.exif)})]),
            "thumbnail": np.frombuffer(self.thumbnail, np.uint8),
        }

    @staticmethod
    def of_item(task: Inspection, item: Mapping[str, np.ndarray]) -> Inspected:
        """What was seen, from its item."""
        facts = json.loads(strings_from_array(item["facts"])[0])
        exif = Exif(**facts.pop("exif"))
        thumbnail = item["thumbnail"].tobytes()
        return Inspected(task.name, task.path, task.mask, exif=exif, thumbnail=thumbnail, **facts)


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
        mask = mask_bytes(FileRef(task.mask), task.name, (header.width, header.height))
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
