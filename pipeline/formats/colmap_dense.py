"""COLMAP's dense workspace: maps of depth and normals beside undistorted photographs.

A map is one line of text, ``width&height&channels&``, and float32 values, little-endian, in the
order column, row, channel with the column running fastest. A consistency graph is a row of int32:
for every pixel that has one its column, row, number of images, and their indices.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float32s

IMAGES, SPARSE, STEREO = "images", "sparse", "stereo"
DEPTH, NORMALS, CONFIDENCE = "depth_maps", "normal_maps", "confidence_maps"
"""Folders below `stereo`; the last one is our own, in the same form."""
GRAPHS = "consistency_graphs"
GEOMETRIC, PHOTOMETRIC = "geometric", "photometric"

_HEADER = re.compile(rb"(\d+)&(\d+)&(\d+)&")
_LONGEST_HEADER = 64


def map_path(workspace: Path, kind: str, name: str, check: str = GEOMETRIC) -> Path:
    """Where the map of a photograph lies. kind: DEPTH, NORMALS, CONFIDENCE or GRAPHS."""
    return workspace / STEREO / kind / PurePosixPath(f"{name}.{check}.bin")


def write_map(path: Path, values: Float32s) -> None:
    """Write a map (H, W) or (H, W, C); its folder is made if it is not there."""
    planes = values if values.ndim == 3 else values[..., None]
    height, width, channels = planes.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(f"{width}&{height}&{channels}&".encode("ascii"))
        file.write(np.ascontiguousarray(planes.transpose(2, 0, 1), "<f4").tobytes())


def read_map(path: Path) -> Float32s:
    """The map (H, W), or (H, W, C) where it has more than one channel.

    Raises PipelineError naming a file that is missing, truncated or no map.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PipelineError("Cannot read", f"{path}: {error.strerror or error}.") from error
    try:
        width, height, channels, values = content.split(b"&", 3)
        shape = (int(channels), int(height), int(width))
        planes = np.frombuffer(values, "<f4").reshape(shape).transpose(1, 2, 0)
    except ValueError as error:
        raise PipelineError(
            "Damaged file", f"{path} is no map of a dense workspace.", "Make it anew."
        ) from error
    found = np.ascontiguousarray(planes, np.float32)
    return found[..., 0] if shape[0] == 1 else found


def is_whole(path: Path) -> bool:
    """Whether a file has the size that a map of its header has; its values are not looked at.
    Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    header = _HEADER.match(start)
    if header is None:
        return False
    width, height, channels = (int(number) for number in header.groups())
    return path.stat().st_size == header.end() + 4 * width * height * channels
