"""Spreading keypoints and limiting orientations."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.selection import SPREAD_SHARE, first_of_location, select_spread


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 300), st.integers(1, 200), st.integers(0, 5))
def test_keeps_as_many_as_wanted_each_once(n: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = select_spread(rng.uniform(0, 640, (n, 2)), rng.uniform(size=n), 640.0, most)
    assert len(kept) == min(n, most)
    assert np.all(np.diff(kept) > 0) and np.all((kept >= 0) & (kept < max(n, 1)))


def test_the_strongest_are_always_kept() -> None:
    rng = np.random.default_rng(1)
    xy, strength = rng.uniform(0, 640, (1000, 2)), rng.uniform(size=1000)
    kept = select_spread(xy, strength, 640.0, 200)
    strongest = np.argsort(-strength)[: int((1 - SPREAD_SHARE) * 200)]
    assert set(strongest) <= set(kept)


def test_a_weak_corner_keeps_its_share() -> None:
    """All strong keypoints on the left, weak ones on the right: strength alone keeps none there."""
    rng = np.random.default_rng(2)
    left = rng.uniform((0, 0), (320, 480), (900, 2))
    right = rng.uniform((480, 0), (640, 480), (100, 2))
    strength = np.concatenate([np.full(900, 2.0), np.full(100, 1.0)])
    kept = select_spread(np.vstack([left, right]), strength, 640.0, 400)
    assert 20 <= np.count_nonzero(kept >= 900) <= 60


def test_first_of_location_counts_by_position_and_scale() -> None:
    xy = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    scale = np.array([1.0, 1.0, 1.0, 2.0, 2.0])
    assert first_of_location(xy, scale, 2).tolist() == [0, 1, 3, 4]
    assert first_of_location(xy, scale, 1).tolist() == [0, 3, 4]
    assert len(first_of_location(xy[:0], scale[:0], 2)) == 0
