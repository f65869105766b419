"""Holes of a triangle mesh: the borders around them, and small ones closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s


@dataclass(frozen=True, eq=False)
class Filling:
    """xyz, faces: the mesh with what was added at the end. count: holes that were closed. largest:
    greatest distance between two corners of one's box. left: borders that stay, with those around
    the whole."""

    xyz: Float64s
    faces: Int64s
    count: int
    largest: float
    left: int


def border_loops(faces: Int64s, count: int) -> list[Int64s]:
    """The closed borders of a mesh of `count` vertices: rows of vertices, one after the other along
    the border, the surface to the right. Where two borders touch in a vertex they are left out."""
    begin, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    forth, back = begin * count + end, end * count + begin
    open_ = ~np.isin(forth, back)
    # Along a hole the edges of its triangles run against the border.
    begin, end = end[open_], begin[open_]
    after = np.full(count, -1, np.int64)
    after[begin] = end
    single = np.bincount(begin, minlength=count) == 1
    loops = []
    seen = np.zeros(count, np.bool_)
    for first in begin.tolist():
        loop, here = [], first
        while here >= 0 and single[here] and not seen[here]:
            seen[here] = True
            loop.append(here)
            here = int(after[here])
        if len(loop) > 2 and here == first:
            loops.append(np.array(loop, np.int64))
    return loops


def close_holes(xyz: Float64s, faces: Int64s, most_edges: int) -> Filling:
    """Close all holes with at most so many edges around, each by triangles to its middle."""
    loops = border_loops(faces, len(xyz))
    small = [loop for loop in loops if len(loop) <= most_edges]
    middles, added, largest = [], [], 0.0
    for number, loop in enumerate(small):
        corners = xyz[loop]
        middles.append(corners.mean(axis=0))
        middle = np.full(len(loop), len(xyz) + number)
        added.append(np.column_stack([loop, np.roll(loop, -1), middle]))
        largest = max(largest, float(np.linalg.norm(np.ptp(corners, axis=0))))
    if small:
        xyz = np.concatenate([xyz, np.array(middles)])
        faces = np.concatenate([faces, *added])
    return Filling(xyz, faces, len(small), largest, len(loops) - len(small))
