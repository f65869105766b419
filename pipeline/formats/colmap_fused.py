"""COLMAP's `fused.ply.vis`: which images see each point of a fused cloud.

A number of points (uint64), then for each the number of its images and their indices (uint32),
little-endian; images are numbered from 0 in the order of their ids.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from pipeline.formats.files import malformed, read_bytes
from pipeline.geometry.arrays import Int64s, UInt32s

_COUNT = struct.Struct("<Q")


def write_visibility(path: Path, starts: Int64s, images: UInt32s) -> None:
    """Write what sees each of N points: ``images[starts[n]:starts[n + 1]]``, starts: (N + 1,)."""
    count = len(starts) - 1
    words = np.empty(count + len(images), "<u4")
    heads = starts[:-1] + np.arange(count)
    words[heads] = np.diff(starts)
    others = np.ones(len(words), np.bool_)
    others[heads] = False
    words[others] = images
    path.write_bytes(_COUNT.pack(count) + words.tobytes())


def read_visibility(path: Path) -> tuple[Int64s, UInt32s]:
    """Inverse of :func:`write_visibility`. Raises PipelineError naming a file that is missing or
    not whole."""
    data = read_bytes(path)
    if len(data) < _COUNT.size or len(data) % 4:
        raise malformed(path, "no file of visibility")
    (count,) = _COUNT.unpack_from(data)
    words = np.frombuffer(data, "<u4", offset=_COUNT.size).astype(np.uint32, copy=False)
    numbers = words.data  # of which Python takes one out faster than of an array
    sizes: list[int] = []
    heads: list[int] = []
    at = 0
    while len(sizes) < count and at < len(words):
        size = numbers[at]
        sizes.append(size)
        heads.append(at)
        at += 1 + size
    if len(sizes) != count or at != len(words):
        raise malformed(path, f"{count} points announced, which it does not hold")
    others = np.ones(len(words), np.bool_)
    others[heads] = False
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return starts, words[others]
