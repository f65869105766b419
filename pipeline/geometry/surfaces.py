"""Triangle meshes as surfaces: points spread over them, and distances to them.

A mesh is vertices (V, 3) float64 and triangles (T, 3) int64, the rows of their corners.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pipeline.geometry.arrays import Float64s, Int64s

_NEIGHBOURS = 6
_CHUNK = 20_000
# Steps of the R2 sequence (Roberts 2018), which covers the unit square evenly.
_R2 = np.array([0.7548776662466927, 0.5698402909980532])


def triangle_areas(vertices: Float64s, triangles: Int64s) -> Float64s:
    """The areas (T,) of a mesh's triangles, in squared units."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2.0)


def scatter(
    vertices: Float64s, triangles: Int64s, count: int, rng: np.random.Generator
) -> Float64s:
    """Random points (count, 3) on a mesh, as many on each part as its area has a share.

    Source: Osada et al., "Shape distributions", ACM TOG 2002, section 4.1. (0, 3) for a mesh
    without area.
    """
    areas = triangle_areas(vertices, triangles)
    if not areas.sum() > 0.0:
        return np.zeros((0, 3))
    chosen = rng.choice(len(triangles), count, p=areas / areas.sum())
    return _on_triangles(vertices, triangles[chosen], rng.random((count, 2)))


def cover(vertices: Float64s, triangles: Int64s, spacing: float) -> tuple[Float64s, Int64s]:
    """Points (S, 3) spread evenly over a mesh, and the triangle (S,) of each.

    Every triangle has at least one, and one for every `spacing` squared of its area.
    """
    counts = np.ceil(triangle_areas(vertices, triangles) / spacing**2).astype(np.int64)
    counts = np.maximum(counts, 1)
    owners = np.repeat(np.arange(len(triangles)), counts)
    numbers = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    square = (0.5 + (numbers[:, None] + 1) * _R2) % 1.0
    square[counts[owners] == 1] = 1.0 / 3.0
    return _on_triangles(vertices, triangles[owners], square), owners


class SurfaceDistance:
    """Distances of points to a mesh, or to a cloud where there are no triangles.

    spacing: of the samples on the mesh through which near triangles are found. The distance to the
    triangles of the 6 nearest samples is exact. So a distance is never too small, is too large by
    less than the gap between samples, about `spacing`, and only where a surface bends or ends
    within it and none of its samples is among the nearest. To a cloud it is that to its nearest
    point.
    """

    def __init__(self, vertices: Float64s, triangles: Int64s | None, spacing: float) -> None:
        self._vertices, self._triangles = vertices, triangles
        if triangles is None:
            self._tree = cKDTree(vertices)
        else:
            samples, self._owners = cover(vertices, triangles, spacing)
            self._tree = cKDTree(samples)

    def __call__(self, points: Float64s) -> Float64s:
        """Distances (N,) of points (N, 3)."""
        if self._triangles is None:
            return np.asarray(self._tree.query(points)[0])
        found = np.empty(len(points))
        near = min(_NEIGHBOURS, len(self._owners))
        for start in range(0, len(points), _CHUNK):
            some = points[start : start + _CHUNK]
            samples = self._tree.query(some, np.arange(1, near + 1))[1]
            corners = self._vertices[self._triangles[self._owners[samples]]]
            apart = _to_triangles(np.repeat(some, near, axis=0), corners.reshape(-1, 3, 3))
            found[start : start + _CHUNK] = apart.reshape(-1, near).min(axis=1)
        return found


def _on_triangles(vertices: Float64s, triangles: Int64s, square: Float64s) -> Float64s:
    """Points on triangles (N, 3) from points (N, 2) of the unit square, evenly by area."""
    u, v = square.T
    over = u + v > 1.0
    u, v = np.where(over, 1.0 - u, u), np.where(over, 1.0 - v, v)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return np.asarray(a + u[:, None] * (b - a) + v[:, None] * (c - a))


def _to_triangles(points: Float64s, corners: Float64s) -> Float64s:
    """Distances (N,) of points (N, 3) each to its own triangle (N, 3, 3).

    Source: Eberly, "Distance between point and triangle in 3D": the foot on the plane where it lies
    within, else the nearest of the three edges.
    """
    edges = np.roll(corners, -1, axis=1) - corners
    normals = np.cross(edges[:, 0], edges[:, 1])
    squared = np.einsum("na,na->n", normals, normals)
    to_point = points[:, None] - corners
    sides = np.einsum("nka,nka->nk", np.cross(edges, to_point), normals[:, None])
    flat = squared > 0.0
    inside = flat & (sides >= 0.0).all(axis=1)
    height = np.abs(np.einsum("na,na->n", to_point[:, 0], normals))
    length = np.einsum("nka,nka->nk", edges, edges)
    share = np.einsum("nka,nka->nk", to_point, edges) / np.where(length > 0.0, length, 1.0)
    away = to_point - np.clip(share, 0.0, 1.0)[..., None] * edges
    to_edges = np.sqrt(np.einsum("nka,nka->nk", away, away).min(axis=1))
    on_plane = height / np.sqrt(np.where(flat, squared, 1.0))
    return np.asarray(np.where(inside, on_plane, to_edges))
