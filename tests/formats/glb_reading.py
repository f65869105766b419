"""A small GLB reader, written from glTF's specification and not from our writer."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Glb:
    """The JSON chunk and the binary chunk of a file."""

    content: dict[str, Any]
    binary: bytes

    @property
    def primitive(self) -> dict[str, Any]:
        """The only primitive."""
        ((primitive,),) = (mesh["primitives"] for mesh in self.content["meshes"])
        assert isinstance(primitive, dict)
        return primitive

    def accessor(self, number: int) -> np.ndarray:
        """The values of an accessor, (N, K); normalised integers as numbers from 0 to 1."""
        entry = self.content["accessors"][number]
        dtype, width = np.dtype(_TYPES[entry["componentType"]]), _WIDTHS[entry["type"]]
        assert self.content["bufferViews"][entry["bufferView"]]["byteOffset"] % 4 == 0
        data = self.view(entry["bufferView"])
        assert len(data) == entry["count"] * width * dtype.itemsize
        assert (width * dtype.itemsize) % 4 == 0, "vertices begin at multiples of four bytes"
        values = np.frombuffer(data, dtype).reshape(-1, width)
        return values / np.iinfo(dtype).max if entry.get("normalized") else values

    def view(self, number: int) -> bytes:
        """The bytes of a buffer view."""
        view = self.content["bufferViews"][number]
        return self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]

    def attribute(self, name: str) -> np.ndarray:
        """An attribute of the primitive."""
        return self.accessor(self.primitive["attributes"][name])


def read_glb(path: Path) -> Glb:
    """Take a file apart, with all lengths checked."""
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    json_length, json_kind = struct.unpack_from("<I4s", data, 12)
    assert json_kind == b"JSON" and json_length % 4 == 0
    content = json.loads(data[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack_from("<I4s", data, 20 + json_length)
    assert binary_kind == b"BIN\0" and binary_length % 4 == 0
    binary = data[28 + json_length :]
    assert len(binary) == binary_length == content["buffers"][0]["byteLength"]
    return Glb(content, binary)
