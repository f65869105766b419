"""Triangle meshes as arrays: their parts, their normals, smoothing, and what is left of them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pipeline.geometry.arrays import Bools, Float64s, Int64s

_SHRINK, _GROW = 0.5, -0.53  # Taubin's lambda and mu


def face_normals(xyz: Float64s, faces: Int64s) -> Float64s:
    """(F, 3) normals of triangles, twice as long as their areas; to where the corners run
    counter-clockwise."""
    a, b, c = (xyz[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(xyz: Float64s, faces: Int64s) -> Float64s:
    """(V, 3) unit normals, the mean of those of the triangles around by area; 0 where there are
    none."""
    of_faces = face_normals(xyz, faces)
    normals = np.empty_like(xyz)
    corners = faces.ravel()
    for axis in range(3):
        weights = np.repeat(of_faces[:, axis], 3)
        normals[:, axis] = np.bincount(corners, weights, len(xyz))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(lengths > 0, lengths, 1.0))


def longest_edges(xyz: Float64s, faces: Int64s) -> Float64s:
    """(F,) length of each triangle's longest edge."""
    corners = xyz[faces]
    return np.asarray(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1))


def neighbours_of(faces: Int64s, count: int) -> csr_array:
    """Which of `count` vertices share an edge: (V, V) of ones, symmetric."""
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    begin, end = np.concatenate([a, b]), np.concatenate([b, a])
    graph = csr_array((np.ones(len(begin)), (begin, end)), (count, count))
    graph.sum_duplicates()
    graph.data[:] = 1.0
    return graph


def smoothed(xyz: Float64s, faces: Int64s, times: int) -> Float64s:
    """The vertices (V, 3) smoothed (Taubin, SIGGRAPH 1995: "A signal processing approach to fair
    surface design"), which does not shrink the surface."""
    graph = neighbours_of(faces, len(xyz))
    degrees = np.diff(graph.indptr)[:, None]
    for factor in (_SHRINK, _GROW) * times:
        moved = graph @ xyz / np.maximum(degrees, 1) - xyz
        xyz = np.where(degrees > 0, xyz + factor * moved, xyz)
    return xyz


def large_islands(faces: Int64s, count: int, least: int) -> Bools:
    """(F,) whether a triangle belongs to a part of at least so many connected triangles."""
    if not len(faces):
        return np.zeros(0, np.bool_)
    _, island = connected_components(neighbours_of(faces, count), directed=False)
    of_faces = island[faces[:, 0]]
    return np.asarray(np.bincount(of_faces)[of_faces] >= least)


def used_vertices(faces: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Rows (U,) of the vertices that triangles use, and the triangles (F, 3) as rows of these."""
    used = np.zeros(count, np.bool_)
    used[faces] = True
    row = np.cumsum(used) - 1
    return np.flatnonzero(used), row[faces]
