"""The one container for everything binary that browsers get.

Little-endian: the magic `BFB1`; uint32 length of the header; the header, JSON in UTF-8 padded with
spaces, `{"kind": ..., ..., "buffers": [{"name", "dtype", "shape", "offset", "bytes"}]}`; the
buffers. Offsets count from the end of the header. Header and buffers end at multiples of eight
bytes, so that a browser looks at the numbers where they lie.

Without numpy: the process that serves browsers has none.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAGIC = b"BFB1"
ALIGN = 8
ITEM_BYTES: Mapping[str, int] = {"u8": 1, "u16": 2, "i32": 4, "u32": 4, "f16": 2, "f32": 4}
_PREFIX = struct.Struct("<4sI")


@dataclass(frozen=True)
class Buffer:
    """Numbers of one kind. dtype: see `ITEM_BYTES`. data: them, row by row, contiguous."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    def __post_init__(self) -> None:
        size = len(self.data) if isinstance(self.data, bytes) else self.data.nbytes
        expected = math.prod(self.shape) * ITEM_BYTES[self.dtype]
        if size != expected:
            raise ValueError(f"{self.name}: {size} bytes, {expected} expected")

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def pack(kind: str, fields: Mapping[str, Any], buffers: Sequence[Buffer]) -> bytes:
    """A whole container. fields: of the header, beside kind and buffers."""
    return b"".join((head(kind, fields, buffers), *_padded(buffers)))


def head(kind: str, fields: Mapping[str, Any], buffers: Sequence[Buffer]) -> bytes:
    """All of a container before its buffers, which follow, each padded to a multiple of eight."""
    entries, offset = [], 0
    for buffer in buffers:
        entries.append(
            {
                "name": buffer.name,
                "dtype": buffer.dtype,
                "shape": list(buffer.shape),
                "offset": offset,
                "bytes": buffer.size,
            }
        )
        offset += buffer.size + -buffer.size % ALIGN
    content = {"kind": kind, **fields, "buffers": entries}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + _PREFIX.size) % ALIGN)
    return _PREFIX.pack(MAGIC, len(text)) + text


def read_head(data: bytes | memoryview) -> tuple[dict[str, Any], int]:
    """The header of a container, and where its buffers begin.

    Raises ValueError for what is no container, or not all of a header.
    """
    if len(data) < _PREFIX.size:
        raise ValueError(f"{len(data)} bytes are no container")
    magic, length = _PREFIX.unpack_from(data)
    start = _PREFIX.size + length
    if magic != MAGIC or len(data) < start:
        raise ValueError("not a container, or not all of its header")
    header = json.loads(bytes(data[_PREFIX.size : start]))
    if not isinstance(header, dict) or "buffers" not in header:
        raise ValueError("a header without buffers")
    return header, start


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """The header of a whole container, and the bytes of each buffer. Raises ValueError for what is
    no container, or not all of one."""
    header, start = read_head(data)
    found = {}
    for entry in header["buffers"]:
        begin = start + entry["offset"]
        part = memoryview(data)[begin : begin + entry["bytes"]]
        if part.nbytes != entry["bytes"]:
            raise ValueError(f"{entry['name']} is not all there")
        found[entry["name"]] = part
    return header, found


def _padded(buffers: Sequence[Buffer]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for buffer in buffers:
        parts += [buffer.data, bytes(-buffer.size % ALIGN)]
    return parts
