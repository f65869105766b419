"""Triangle meshes as PLY files (binary little-endian): vertices as `ply` has them, then faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.formats.files import malformed, read_bytes
from pipeline.formats.ply import PointCloud, read_ply, write_ply
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import Int64s

_INDEX_TYPES = {"int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4"}
_COUNT_TYPES = ("uchar", "uint8", "char", "int8")
_END_OF_HEADER = b"end_header\n"


def write_ply_mesh(path: Path, mesh: TriangleMesh) -> None:
    """Write a mesh as binary little-endian PLY, without its texture, which PLY cannot hold."""
    write_ply(path, PointCloud(mesh.xyz, mesh.rgb, mesh.normals))
    header, _, vertices = path.read_bytes().partition(_END_OF_HEADER)
    element = f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\n"
    faces = np.empty(len(mesh.faces), np.dtype([("count", "<u1"), ("rows", "<i4", 3)]))
    faces["count"], faces["rows"] = 3, mesh.faces
    path.write_bytes(header + element.encode("ascii") + _END_OF_HEADER + vertices + faces.tobytes())


def read_ply_mesh(path: Path) -> TriangleMesh:
    """Read a mesh of triangles with vertex colours and normals where present, as ours and those of
    open3d and COLMAP are.

    Raises PipelineError naming a file that is missing or truncated, and for faces that are no
    triangles.
    """
    cloud = read_ply(path)
    data = read_bytes(path)
    end = data.find(_END_OF_HEADER) + len(_END_OF_HEADER)
    count, kind = _face_layout(path, data[:end].decode("ascii", "replace").splitlines())
    layout = np.dtype([("count", "<u1"), ("rows", kind, 3)])
    size = count * layout.itemsize
    if len(data) - end < size:
        raise malformed(path, f"{count} triangles announced, but the file ends before")
    faces = np.frombuffer(data, layout, count, len(data) - size)  # the last element
    if (faces["count"] != 3).any():
        raise malformed(path, "its faces are not all triangles", "Triangulate the mesh first.")
    rows: Int64s = faces["rows"].astype(np.int64)
    try:
        return TriangleMesh(cloud.xyz, rows, cloud.rgb, cloud.normals)
    except ValueError as error:
        raise malformed(path, str(error)) from None


def _face_layout(path: Path, header: list[str]) -> tuple[int, str]:
    """Number of faces, and the type of their indices; faces must be all that follows vertices."""
    elements = [line.split() for line in header if line.startswith("element ")]
    if [element[1] for element in elements] != ["vertex", "face"]:
        raise malformed(path, "a mesh has vertices and then faces, and nothing else")
    properties = header[header.index(" ".join(elements[1])) + 1 :]
    match [line.split() for line in properties if line.startswith("property ")]:
        case [["property", "list", number, index, "vertex_indices" | "vertex_index"]] if (
            number in _COUNT_TYPES and index in _INDEX_TYPES
        ):
            return int(elements[1][2]), _INDEX_TYPES[index]
    raise malformed(path, "its faces are not lists of vertex indices alone")
