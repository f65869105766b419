"""The largest plane of a cloud, with known noise, against a smaller one and clutter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.planes import largest_plane


def test_the_larger_of_two_noisy_planes_among_clutter() -> None:
    rng = np.random.default_rng(3)
    wall = np.column_stack([rng.uniform(-3, 3, (8000, 2)), rng.normal(0.0, 0.008, 8000)])
    floor = np.column_stack([rng.uniform(-3, 3, (3000, 2)), rng.normal(0.0, 0.002, 3000)])
    clutter = rng.uniform(-3, 3, (1500, 3))
    cloud = np.concatenate([wall, floor[:, [2, 0, 1]] + (1.0, 0.0, 0.0), clutter])
    found = largest_plane(cloud, 0.05, 0.02)
    assert found is not None
    assert abs(found.normal[2]) > 0.99999 and abs(found.offset) < 0.001
    assert 8000 <= found.points < 8200
    assert 0.0079 < found.rms < 0.0105  # the clutter near it adds a little
    again = largest_plane(cloud, 0.05, 0.02)
    assert again is not None and again.rms == found.rms


def test_a_plane_far_from_the_origin_without_noise() -> None:
    rng = np.random.default_rng(4)
    across = rng.uniform(-1, 1, (500, 2))
    cloud = np.column_stack([across, 100.0 + across @ (0.5, -0.25)])
    found = largest_plane(cloud, 0.05, 0.5)
    assert found is not None and found.points == 500
    assert found.rms == pytest.approx(0.0, abs=1e-9)


def test_the_noise_of_a_plane_leaves_out_its_relief() -> None:
    rng = np.random.default_rng(5)
    across = rng.uniform(-1, 1, (40_000, 2))
    height = np.where(across[:, 0] > 0.0, 0.02, -0.02) + rng.normal(0.0, 0.004, len(across))
    found = largest_plane(np.column_stack([across, height]), 0.1, 0.1)
    assert found is not None
    assert 0.009 < found.rms < 0.025
    assert found.noise == pytest.approx(0.0045, abs=0.0007)


def test_no_plane() -> None:
    assert largest_plane(np.zeros((2, 3)), 0.05, 0.02) is None
    assert largest_plane(np.ones((10, 3)), 0.05, 0.02) is None
