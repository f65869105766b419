"""Triangle meshes as OBJ (Wavefront), with a material file and a texture where there is one.

OBJ knows no axes and no unit: vertices stay in the model's world. Colours of vertices are an
extension of it, three numbers from 0 to 1 behind the coordinates, as MeshLab, CloudCompare and
Blender read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.formats.files import read_bytes
from pipeline.formats.triangle_mesh import TriangleMesh

_ROWS = 1 << 16
_MATERIAL = "photographs"


def write_obj(path: Path, mesh: TriangleMesh) -> None:
    """Write a mesh as an OBJ file; with a texture also `<name>.mtl` and `texture.png` (or .jpg)
    beside it. Source: Wavefront, "Object Files (.obj)", appendix B1.

    The texture takes the place of the vertices' colours. Raises ValueError for coordinates that are
    not finite.
    """
    if not np.isfinite(mesh.xyz).all():
        raise ValueError("an OBJ file holds finite coordinates only")
    texture = mesh.texture
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("# barfield\n")
        if texture is not None:
            material = path.with_suffix(".mtl")
            picture = f"texture{'.png' if texture.media_type == 'image/png' else '.jpg'}"
            path.with_name(picture).write_bytes(texture.image)
            material.write_text(_material(picture), encoding="ascii")
            file.write(f"mtllib {material.name}\n")
        if mesh.rgb is not None and texture is None:
            vertices = np.hstack([mesh.xyz, mesh.rgb / 255.0])
            file.writelines(_lines("v %.9g %.9g %.9g %.6g %.6g %.6g\n", vertices))
        else:
            file.writelines(_lines("v %.9g %.9g %.9g\n", mesh.xyz))
        if texture is not None:  # OBJ counts v upwards from the bottom
            file.writelines(_lines("vt %.9g %.9g\n", texture.uv * (1.0, -1.0) + (0.0, 1.0)))
        if mesh.normals is not None:
            file.writelines(_lines("vn %.9g %.9g %.9g\n", mesh.normals))
        if texture is not None:
            file.write(f"usemtl {_MATERIAL}\n")
        file.writelines(_faces(mesh))


def read_obj_counts(path: Path) -> tuple[int, int]:
    """How many vertices and faces an OBJ file has. Raises PipelineError naming a file that is
    missing or cannot be read."""
    kinds = Counter(line[:2] for line in read_bytes(path).splitlines())
    return kinds[b"v "], kinds[b"f "]


def _faces(mesh: TriangleMesh) -> Iterator[str]:
    """The lines of the triangles; a corner is `v`, `v/vt`, `v//vn` or `v/vt/vn`, from 1."""
    columns, corner = [mesh.faces], "%d"
    if mesh.texture is not None:
        columns, corner = [*columns, mesh.texture.faces], "%d/%d"
    if mesh.normals is not None:
        columns.append(mesh.faces)
        corner += "/%d" if mesh.texture is not None else "//%d"
    rows = np.stack(columns, axis=2).reshape(-1, 3 * len(columns)) + 1
    return _lines(f"f {corner} {corner} {corner}\n", rows)


def _lines(line: str, rows: np.ndarray) -> Iterator[str]:
    """Rows (N, K) formatted by a line for K numbers, many lines at a time."""
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        yield (line * len(part)) % tuple(part.ravel().tolist())


def _material(picture: str) -> str:
    """A material that shows the picture as it is: the light is in it already."""
    return f"newmtl {_MATERIAL}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture}\n"
