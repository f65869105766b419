"""Borders of meshes, and holes that are closed up to a size."""

from __future__ import annotations

import numpy as np

from pipeline.dense.holes import border_loops, close_holes
from pipeline.dense.surfaces import face_normals
from tests.dense.test_surfaces import ball


def test_a_closed_surface_has_no_border() -> None:
    xyz, faces = ball(300)
    assert border_loops(faces, len(xyz)) == []
    assert close_holes(xyz, faces, 100).count == 0


def test_small_holes_are_closed_and_large_ones_stay() -> None:
    xyz, faces = ball(1500)
    small = faces[(faces != 700).all(axis=1)]  # the triangles around one vertex are missing
    large = small[(xyz[small][..., 1] < 0.5).all(axis=1)]
    around = len(faces) - len(small)
    assert [len(loop) for loop in border_loops(small, len(xyz))] == [around]
    filling = close_holes(xyz, large, 20)
    assert (filling.count, filling.left) == (1, 1)
    assert len(filling.faces) == len(large) + around and len(filling.xyz) == len(xyz) + 1
    assert 0.05 < filling.largest < 0.3
    normals = face_normals(filling.xyz, filling.faces[len(large) :])
    assert (normals @ xyz[700] > 0).all()  # they look outwards, as those around
    assert close_holes(xyz, large, 0).count == 0


def test_borders_that_touch_in_a_vertex_are_left_alone() -> None:
    xyz, faces = ball(1500)
    ring = np.unique(faces[(faces == 700).any(axis=1)])
    other = next(v for v in ring if v != 700)
    beyond = next(v for v in np.unique(faces[(faces == other).any(axis=1)]) if v not in ring)
    torn = faces[(faces != 700).all(axis=1) & (faces != beyond).all(axis=1)]
    assert close_holes(xyz, torn, 50).count == 0
