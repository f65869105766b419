"""What is done to triangle meshes, on an icosphere and on pieces of it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from pipeline.dense.surfaces import (
    face_normals,
    large_islands,
    longest_edges,
    smoothed,
    used_vertices,
    vertex_normals,
)
from pipeline.geometry.arrays import Float64s, Int64s


def ball(count: int = 1500) -> tuple[Float64s, Int64s]:
    """Points on the unit ball, and triangles that are counter-clockwise from outside."""
    turns = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    y = 1.0 - 2.0 * (np.arange(count) + 0.5) / count
    r = np.sqrt(1.0 - y * y)
    xyz = np.column_stack([r * np.cos(turns), y, r * np.sin(turns)])
    faces = ConvexHull(xyz).simplices.astype(np.int64)
    inwards = np.sum(face_normals(xyz, faces) * xyz[faces[:, 0]], axis=1) < 0
    faces[inwards] = faces[inwards, ::-1]
    return xyz, faces


def test_normals_look_outwards() -> None:
    xyz, faces = ball()
    normals = vertex_normals(np.concatenate([xyz, np.zeros((1, 3))]), faces)
    np.testing.assert_allclose(np.linalg.norm(normals[:-1], axis=1), 1.0)
    assert np.sum(normals[:-1] * xyz, axis=1).min() > 0.995
    np.testing.assert_array_equal(normals[-1], 0.0)  # no triangle has it


def test_smoothing_takes_noise_and_not_size() -> None:
    xyz, faces = ball()
    rough = xyz * (1.0 + np.random.default_rng(0).normal(0.0, 0.01, (len(xyz), 1)))
    radii = np.linalg.norm(smoothed(rough, faces, 5), axis=1)
    assert 0.997 < radii.mean() < 1.003
    assert 0.001 < radii.std() < 0.006 < np.linalg.norm(rough, axis=1).std()
    np.testing.assert_array_equal(smoothed(rough, faces, 0), rough)


def test_small_islands_are_told_from_large_ones() -> None:
    xyz, faces = ball()
    heights = xyz[faces][..., 1]
    upper, lower = heights.min(axis=1) > 0.1, heights.max(axis=1) < -0.9
    both = faces[upper | lower]
    large = large_islands(both, len(xyz), upper.sum())
    np.testing.assert_array_equal(large, upper[upper | lower])
    assert large_islands(both, len(xyz), lower.sum()).all()
    assert not len(large_islands(faces[:0], len(xyz), 1))


def test_edges_and_used_vertices() -> None:
    xyz = np.array([[9.0, 9, 9], [0, 0, 0], [3, 0, 0], [0, 4, 0], [8, 8, 8]])
    faces = np.array([[1, 2, 3]])
    np.testing.assert_allclose(longest_edges(xyz, faces), [5.0])
    rows, renumbered = used_vertices(faces, 5)
    assert rows.tolist() == [1, 2, 3] and renumbered.tolist() == [[0, 1, 2]]
