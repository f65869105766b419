"""Tetrahedra fill the hull; walks through them cross what a slow search finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay, QhullError

from pipeline.dense.tetrahedra import Tetrahedra


def some() -> Tetrahedra:
    return Tetrahedra(np.random.default_rng(0).uniform(-1, 1, (200, 3)))


def test_facets_look_outwards_and_know_each_other() -> None:
    tetrahedra = some()
    middles = tetrahedra.xyz[tetrahedra.cells].mean(axis=1)
    heights = np.einsum("tfa,ta->tf", tetrahedra.normals, middles)
    assert (heights < tetrahedra.offsets).all()
    cells, facets = tetrahedra.across()
    inner = cells >= 0
    assert 0.9 < inner.mean() < 1.0
    np.testing.assert_allclose(
        tetrahedra.normals[cells[inner], facets[inner]], -tetrahedra.normals[inner], atol=1e-9
    )


def test_walks_cross_what_a_slow_search_finds() -> None:
    tetrahedra = some()
    rng = np.random.default_rng(1)
    begin, end = rng.uniform(-0.4, 0.4, (30, 3)), rng.uniform(-0.4, 0.4, (30, 3))
    end[:5] *= 10.0  # outside
    delaunay = Delaunay(tetrahedra.xyz)
    cells = delaunay.find_simplex(begin).astype(np.int64)
    assert (cells >= 0).all()
    steps = list(tetrahedra.walk(begin, end, cells))
    held = np.sort(steps[-1].cells)
    inside = delaunay.find_simplex(end)
    np.testing.assert_array_equal(held, np.sort(inside[inside >= 0]))
    assert 20 <= len(held) <= 25 and (steps[-1].facets == -1).all()
    crossed = sum(len(step.cells) for step in steps[:-1])
    along = np.linspace(0.0, 1.0, 20_001)
    slow = 0
    for a, b in zip(begin, end, strict=True):
        passed = delaunay.find_simplex(a + along[:, None] * (b - a))
        slow += int(np.count_nonzero(np.diff(passed)))
    assert 0.97 * crossed <= slow <= crossed  # a small one may lie between two samples


def test_directions_go_into_the_tetrahedra_that_a_slow_search_finds() -> None:
    tetrahedra = some()
    rng = np.random.default_rng(2)
    inner = np.flatnonzero(np.abs(tetrahedra.xyz).max(axis=1) < 0.6)
    points, directions = np.repeat(inner, 20), rng.normal(size=(20 * len(inner), 3))
    found = tetrahedra.around(points, directions)
    near = tetrahedra.xyz[points] + 1e-7 * directions
    np.testing.assert_array_equal(found, Delaunay(tetrahedra.xyz).find_simplex(near))
    alone = Tetrahedra(np.concatenate([tetrahedra.xyz, tetrahedra.xyz[:1]]))  # one point twice
    twins = alone.around(np.array([0, 200]), np.zeros((2, 3)))
    assert (twins == -1).sum() == 1


def test_a_walk_that_does_not_take_place_crosses_nothing() -> None:
    steps = list(some().walk(np.zeros((2, 3)), np.ones((2, 3)), np.full(2, -1)))
    assert sum(len(step.cells) for step in steps) == 0


@pytest.mark.parametrize(
    ("height", "quality"), [(5.0, 1 - 12 / 13), (1.0, 1.0), (0.2, 1 + 12 / 13)]
)
def test_a_facet_is_the_likelier_the_taller_its_tetrahedron(height: float, quality: float) -> None:
    turns = 2 * np.pi * np.arange(3) / 3
    ring = np.column_stack([np.cos(turns), np.sin(turns), np.zeros(3)])
    alone = Tetrahedra(np.concatenate([ring, [[0.0, 0.0, height]]]))
    below = int(np.argmax(-alone.normals[0, :, 2]))
    assert alone.facet_quality()[0, below] == pytest.approx(quality)  # beyond it is a plane


def test_points_on_a_plane_have_no_tetrahedra() -> None:
    flat = np.random.default_rng(0).uniform(size=(50, 3)) * (1.0, 1.0, 0.0)
    with pytest.raises(QhullError):
        Tetrahedra(flat)
