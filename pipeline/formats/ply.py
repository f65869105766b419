"""Point clouds as PLY files (Stanford polygon format 1.0, binary little-endian)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.formats.files import malformed, read_bytes
from pipeline.geometry.arrays import Float32s, UInt8s

_TYPES = {
    "char": "<i1", "int8": "<i1", "uchar": "<u1", "uint8": "<u1", "short": "<i2", "int16": "<i2",
    "ushort": "<u2", "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
_XYZ, _NORMAL, _RGB = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")
_END_OF_HEADER = b"end_header\n"


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points with optional colours and normals.

    xyz: (N, 3) float32. rgb: (N, 3) uint8 or None. normals: (N, 3) float32 or None.
    """

    xyz: Float32s
    rgb: UInt8s | None = None
    normals: Float32s | None = None

    def __post_init__(self) -> None:
        shape = (len(self.xyz), 3)
        given = [a for a in (self.xyz, self.rgb, self.normals) if a is not None]
        if any(array.shape != shape for array in given):
            raise ValueError(f"(N, 3) arrays needed, not {[array.shape for array in given]}")


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Write a cloud as binary little-endian PLY: x y z, then normals and colours where present."""
    groups: list[tuple[tuple[str, str, str], str, np.ndarray]] = [(_XYZ, "float", cloud.xyz)]
    if cloud.normals is not None:
        groups.append((_NORMAL, "float", cloud.normals))
    if cloud.rgb is not None:
        groups.append((_RGB, "uchar", cloud.rgb))
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud.xyz)}"]
    header += [f"property {kind} {name}" for names, kind, _ in groups for name in names]
    layout = np.dtype([(names[0], _TYPES[kind], 3) for names, kind, _ in groups])
    vertices = np.empty(len(cloud.xyz), layout)
    for names, _, values in groups:
        vertices[names[0]] = values
    with path.open("wb") as file:
        file.write("\n".join(header).encode("ascii") + b"\n" + _END_OF_HEADER)
        file.write(vertices.tobytes())


def read_ply(path: Path) -> PointCloud:
    """Read the vertices of a binary little-endian PLY; other properties and elements are passed by.

    Raises PipelineError naming a file that is missing, truncated, or PLY of another kind.
    """
    data = read_bytes(path)
    end = data.find(_END_OF_HEADER)
    if not data.startswith(b"ply") or end < 0:
        raise malformed(path, "not a PLY file")
    n, layout = _vertex_layout(path, data[:end].decode("ascii", "replace").splitlines())
    if not set(_XYZ) <= set(layout.names or ()):
        raise malformed(path, "its vertices have no x, y, z")
    start = end + len(_END_OF_HEADER)
    if len(data) - start < n * layout.itemsize:
        raise malformed(path, f"{n} vertices announced, but the file ends before")
    vertices = np.frombuffer(data, layout, n, start)

    def columns(names: tuple[str, ...], dtype: type) -> np.ndarray | None:
        if not set(names) <= set(layout.names or ()):
            return None
        return np.stack([vertices[name] for name in names], axis=1).astype(dtype)

    xyz = columns(_XYZ, np.float32)
    assert xyz is not None
    return PointCloud(xyz, columns(_RGB, np.uint8), columns(_NORMAL, np.float32))


def _vertex_layout(path: Path, header: list[str]) -> tuple[int, np.dtype[np.void]]:
    """Number and record layout of the vertices, which must be the first element."""
    count: int | None = None
    fields: list[tuple[str, str]] = []
    for line in header[1:]:
        match line.split():
            case ["format", kind, _] if kind != "binary_little_endian":
                raise malformed(
                    path, f"a PLY of format {kind}", "Save it as binary little-endian PLY."
                )
            case ["element", "vertex", number] if count is None and number.isdigit():
                count = int(number)
            case ["element", *_]:
                break
            case ["property", kind, name] if count is not None and kind in _TYPES:
                fields.append((name, _TYPES[kind]))
            case ["property", *_]:
                raise malformed(path, f"the header line {line!r} is not understood")
    if count is None:
        raise malformed(path, "its first element is not a number of vertices")
    try:
        return count, np.dtype(fields)
    except ValueError as error:
        raise malformed(path, f"in the header: {error}") from None
