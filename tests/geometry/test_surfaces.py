"""Points on meshes and distances to them, against a slow twin and known shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.surfaces import SurfaceDistance, cover, scatter, triangle_areas


def grid(n: int, size: float = 1.0) -> tuple[Float64s, Int64s]:
    """A square of side `size` in the plane z = 0, of n x n cells."""
    x, y = np.meshgrid(np.linspace(0.0, size, n + 1), np.linspace(0.0, size, n + 1))
    vertices = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    a = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    first, second = [a, a + 1, a + n + 2], [a, a + n + 2, a + n + 1]
    return vertices, np.concatenate([np.column_stack(first), np.column_stack(second)])


def soup(seed: int, count: int) -> tuple[Float64s, Int64s]:
    """Triangles without order, slivers among them."""
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(3 * count, 3))
    vertices[2::9] = vertices[1::9] + 1e-9
    return vertices, np.arange(3 * count).reshape(-1, 3)


def twin(point: Float64s, corners: Float64s) -> float:
    """The distance to a triangle by a general optimiser, from several starts."""
    a, b, c = corners

    def squared(x: Float64s) -> float:
        return float(np.sum((a + x[0] * (b - a) + x[1] * (c - a) - point) ** 2))

    bounds = [(0.0, 1.0), (0.0, 1.0)]
    within = {"type": "ineq", "fun": lambda x: 1.0 - x[0] - x[1]}
    starts = ((0.3, 0.3), (0.05, 0.9), (0.9, 0.05))
    found = [minimize(squared, s, bounds=bounds, constraints=within, tol=1e-14) for s in starts]
    return float(np.sqrt(min(one.fun for one in found)))


@settings(derandomize=True, deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_distances_to_a_few_triangles_are_those_of_the_twin(seed: int) -> None:
    vertices, triangles = soup(seed, 5)
    points = np.random.default_rng(seed + 1).normal(size=(4, 3)) * 2.0
    found = SurfaceDistance(vertices, triangles, 50.0)(points)  # a sample each: all are near
    expected = [min(twin(point, vertices[corners]) for corners in triangles) for point in points]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_distances_to_a_finely_cut_square_are_those_to_a_square() -> None:
    """Above it the height, beside it the way to its border, whatever the samples are."""
    rng = np.random.default_rng(4)
    points = rng.uniform(-0.5, 1.5, (5000, 3))
    outside = points[:, :2] - np.clip(points[:, :2], 0.0, 1.0)
    expected = np.sqrt(np.sum(outside**2, axis=1) + points[:, 2] ** 2)
    for n, spacing in ((1, 0.05), (40, 0.05), (7, 5.0)):
        found = SurfaceDistance(*grid(n), spacing)(points)
        assert (found - expected).min() > -1e-12
        assert (found - expected).mean() < 2e-3
    found = SurfaceDistance(*grid(40), 0.05)(points)
    assert (found - expected).max() < 0.01


def test_a_cloud_is_as_near_as_its_nearest_point() -> None:
    rng = np.random.default_rng(2)
    cloud, points = rng.normal(size=(300, 3)), rng.normal(size=(50, 3))
    apart = np.linalg.norm(points[:, None] - cloud, axis=2).min(axis=1)
    np.testing.assert_allclose(SurfaceDistance(cloud, None, 1.0)(points), apart)


def test_scattered_points_lie_on_the_mesh_as_its_area_does() -> None:
    vertices, triangles = grid(3, 2.0)
    vertices = np.concatenate([vertices, vertices * 0.5 + (0.0, 0.0, 5.0)])
    both = np.concatenate([triangles, triangles + len(vertices) // 2])
    assert triangle_areas(vertices, both).sum() == pytest.approx(5.0)
    points = scatter(vertices, both, 20_000, np.random.default_rng(6))
    assert set(np.unique(points[:, 2])) == {0.0, 5.0}
    assert 0.19 < (points[:, 2] == 5.0).mean() < 0.21
    lower = points[points[:, 2] == 0.0, :2]
    cells = np.floor(2.0 * lower).astype(int) @ (1, 4)
    counts = np.bincount(cells, minlength=16) / len(lower)
    assert 0.055 < counts.min() < counts.max() < 0.07
    again = scatter(vertices, both, 20_000, np.random.default_rng(6))
    np.testing.assert_array_equal(points, again)


def test_a_cover_leaves_no_gap_and_no_triangle_out() -> None:
    vertices, triangles = grid(3, 2.0)
    tiny = np.array([[9.0, 0.0, 0.0], [9.001, 0.0, 0.0], [9.0, 0.001, 0.0]])
    both = np.concatenate([triangles, [np.arange(3) + len(vertices)]])
    samples, owners = cover(np.concatenate([vertices, tiny]), both, 0.1)
    assert set(owners) == set(range(len(both)))
    assert 400 <= len(samples) < 440
    spots = scatter(vertices, triangles, 3000, np.random.default_rng(1))
    assert SurfaceDistance(samples, None, 0.1)(spots).max() < 0.17


def test_nothing_is_scattered_on_nothing() -> None:
    empty = np.zeros((0, 3), np.int64)
    assert scatter(np.zeros((4, 3)), empty, 10, np.random.default_rng(0)).shape == (0, 3)
