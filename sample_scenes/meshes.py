"""Building blocks of the scenes: textured meshes made of regular grids of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
UvRect = tuple[float, float, float, float]

WHOLE: UvRect = (0.0, 0.0, 1.0, 1.0)

# Face of a box: its outward normal, the direction of u (right) and the direction up, seen from
# outside.
_FACES: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]] = {
    "+x": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "+y": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "-y": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "+z": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "-z": ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
}


@dataclass(frozen=True)
class Part:
    """A mesh of one material.

    `vertices` and `normals` (V,3) in metres and unit length; `uv` (V,2) with (0,0) the top-left
    corner of the material's picture; `triangles` (T,3), counter-clockwise seen from outside.
    """

    vertices: Floats
    normals: Floats
    uv: Floats
    triangles: NDArray[np.int64]
    material: str

    def moved(self, rotation: Floats, offset: ArrayLike) -> Part:
        """The part turned by `rotation` (3,3) about the origin, then shifted by `offset` (3,)."""
        return Part(
            self.vertices @ rotation.T + np.asarray(offset, dtype=np.float64),
            self.normals @ rotation.T,
            self.uv,
            self.triangles,
            self.material,
        )


def move_all(parts: Sequence[Part], rotation: Floats, offset: ArrayLike) -> list[Part]:
    """`Part.moved` for a whole object."""
    return [part.moved(rotation, offset) for part in parts]


def rotation_about(axis: str, angle_deg: float) -> Floats:
    """The right-handed rotation (3,3) about the axis "x", "y" or "z"."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = cos
    rotation[first, second], rotation[second, first] = -sin, sin
    return rotation


def sheet(points: Floats, material: str, uv: UvRect = WHOLE, closed: bool = False) -> Part:
    """A smooth surface through a grid of points (rows, columns, 3).

    Columns run along u, rows along v (downwards); the outside is where rows run down and columns
    run right. `closed` says that the last column lies on the first one.
    """
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, d, c], axis=1), np.stack([a, c, b], axis=1)])
    u, v = np.meshgrid(np.linspace(uv[0], uv[2], columns), np.linspace(uv[1], uv[3], rows))
    vertices = points.reshape(-1, 3).astype(np.float64)
    normals = vertex_normals(vertices, triangles)
    if closed:
        grid = normals.reshape(rows, columns, 3)
        seam = _unit(grid[:, 0] + grid[:, -1])
        grid[:, 0], grid[:, -1] = seam, seam
    uv_grid = np.stack([u.ravel(), v.ravel()], axis=1)
    return Part(vertices, normals, uv_grid, triangles, material)


def vertex_normals(vertices: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Area-weighted unit normals (V,3) of a mesh."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return _unit(normals)


def quad(
    corner: ArrayLike,
    right: ArrayLike,
    down: ArrayLike,
    material: str,
    step: float,
    uv: UvRect = WHOLE,
) -> Part:
    """A flat parallelogram from its top-left corner (3,), cut into cells of about `step` metres."""
    origin, along, below = (np.asarray(x, dtype=np.float64) for x in (corner, right, down))
    columns = 2 + int(np.linalg.norm(along) / step)
    rows = 2 + int(np.linalg.norm(below) / step)
    u = np.linspace(0.0, 1.0, columns)[None, :, None]
    v = np.linspace(0.0, 1.0, rows)[:, None, None]
    return sheet(origin + u * along + v * below, material, uv)


def box(
    size: ArrayLike,
    material: str | Mapping[str, str],
    *,
    radius: float = 0.0,
    step: float = 0.05,
    uv: Mapping[str, UvRect] | None = None,
    skip: Sequence[str] = (),
) -> list[Part]:
    """A box about the origin with rounded edges, one part per face.

    `size` (3,) and `radius` in metres. `material` is one name, or a name per face ("+x", ..., with
    "" for the others); `uv` likewise gives a face its piece of the picture.
    """
    half = np.asarray(size, dtype=np.float64) / 2.0
    parts = []
    for face, axes in _FACES.items():
        if face in skip:
            continue
        normal, right, up = (np.asarray(axis, dtype=np.float64) for axis in axes)
        name = material if isinstance(material, str) else material.get(face, material.get("", ""))
        length_u, length_v = float(abs(right) @ half), float(abs(up) @ half)
        u = _rounded_lines(length_u, radius, step)
        v = -_rounded_lines(length_v, radius, step)
        grid = u[None, :, None] * right + v[:, None, None] * up + normal * float(abs(normal) @ half)
        rect = (uv or {}).get(face, WHOLE)
        part = sheet(grid, name, rect)
        u_share = (u / length_u + 1.0) / 2.0 * (rect[2] - rect[0]) + rect[0]
        v_share = (1.0 - v / length_v) / 2.0 * (rect[3] - rect[1]) + rect[1]
        uv_grid = np.stack(np.meshgrid(u_share, v_share), axis=-1).reshape(-1, 2)
        inner = np.clip(part.vertices, radius - half, half - radius)
        normals = _unit(part.vertices - inner) if radius > 0.0 else part.normals
        vertices = inner + radius * normals if radius > 0.0 else part.vertices
        parts.append(Part(vertices, normals, uv_grid, part.triangles, name))
    return parts


def lathe(
    profile: ArrayLike, material: str, segments: int = 48, uv: UvRect = WHOLE, turns: float = 1.0
) -> Part:
    """A surface of revolution about z from a profile (n,2) of (radius, height), top to bottom.

    A point given twice makes a sharp edge. u runs `turns` times round, seen from above
    counter-clockwise from -x.
    """
    line = np.asarray(profile, dtype=np.float64)
    angle = np.linspace(-np.pi, np.pi, segments + 1)
    points = np.stack(
        [
            line[:, :1] * np.cos(angle),
            line[:, :1] * np.sin(angle),
            np.broadcast_to(line[:, 1:], (len(line), segments + 1)),
        ],
        axis=-1,
    )
    rect = (uv[0], uv[1], uv[0] + (uv[2] - uv[0]) * turns, uv[3])
    part = sheet(points, material, rect, closed=True)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    share = np.concatenate([[0.0], np.cumsum(steps)]) / max(float(np.sum(steps)), 1e-12)
    v = np.repeat(uv[1] + share * (uv[3] - uv[1]), segments + 1)
    return Part(
        part.vertices,
        part.normals,
        np.stack([part.uv[:, 0], v], axis=1),
        part.triangles,
        material,
    )


def tube(
    path: ArrayLike,
    radius: float | ArrayLike,
    material: str,
    segments: int = 14,
    uv: UvRect = WHOLE,
) -> Part:
    """A round bar along a path (n,3); `radius` in metres, one or one per point."""
    line = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(line),))
    tangent = _unit(np.gradient(line, axis=0))
    helper = np.eye(3)[int(np.argmin(np.abs(tangent).max(axis=0)))]
    angle = np.linspace(0.0, 2.0 * np.pi, segments + 1)
    rings = []
    side = _unit(np.cross(tangent[0], helper))
    for point, direction, size in zip(line, tangent, radii, strict=True):
        side = _unit(side - direction * float(side @ direction))
        other = np.cross(side, direction)
        rings.append(
            point + size * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other)
        )
    return sheet(np.stack(rings), material, uv, closed=True)


def _rounded_lines(half: float, radius: float, step: float) -> Floats:
    """Grid lines from -half to half, with extra ones where the edges are rounded."""
    inner = half - radius
    middle = np.linspace(-inner, inner, 2 + int(2.0 * inner / step))
    if radius <= 0.0:
        return middle
    arc = radius * np.tan(np.linspace(0.0, np.pi / 4.0, 4)[1:])
    return np.concatenate([-inner - arc[::-1], middle, inner + arc])


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))
