"""Reads the image for planar alignment."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.photos.reading import UnreadablePhoto, read_header, read_reduced


def read_image(path: Path, most_px: int) -> UInt8s:
    """The picture as (H, W, 3) RGB, upright, scaled down to `most_px` on its longer side.

    A grey picture is repeated in all channels, and transparency is dropped. Raises PipelineError
    naming the file that cannot be read as a picture.
    """
    try:
        data = path.read_bytes()
        return read_reduced(data, read_header(data), most_px)
    except OSError as error:
        raise PipelineError(
            "Image unreadable", f"{path}: {error.strerror}.", "Check its path and permissions."
        ) from error
    except UnreadablePhoto as error:
        raise PipelineError(
            "Image unreadable",
            f"{path}: {error.reason}.",
            "Take a JPEG, PNG, TIFF or WebP picture.",
        ) from error
