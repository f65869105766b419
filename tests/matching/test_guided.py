"""Guided matching against a twin of a few lines."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.epipolar import sampson_errors
from pipeline.matching.guided import GuidedRules, match_along_lines
from pipeline.products import Features

RULES = GuidedRules(band_px=4.0, ratio=0.8, max_distance=0.7)


def _features(points: Float64s, descriptors: Float64s) -> Features:
    norms = np.linalg.norm(descriptors, axis=1, keepdims=True)
    keypoints = np.zeros((len(points), 4), np.float32)
    keypoints[:, :2] = points
    return Features(
        keypoints, np.clip(np.round(512 * descriptors / norms), 0, 255).astype(np.uint8)
    )


def _pair(seed: int, count: int = 200) -> tuple[Features, Features, Float64s]:
    """Half of the keypoints show the same points, moved along slanted lines."""
    rng = np.random.default_rng(seed)
    F = np.array([[0.0, 0.0, -0.3], [0.0, 0.0, 1.0], [0.3, -1.0, 0.0]])  # shift along (1, 0.3)
    a = rng.uniform(5, 600, (count, 2))
    b = rng.uniform(5, 600, (count, 2))
    half = count // 2
    b[:half] = a[:half] + rng.uniform(0, 80, (half, 1)) * (1.0, 0.3) + rng.normal(0, 0.5, (half, 2))
    first = rng.exponential(1.0, (count, 128))
    second = rng.exponential(1.0, (count, 128))
    second[:half] = first[:half] + 0.2 * rng.exponential(1.0, (half, 128))
    return _features(a, first), _features(b, second), F


def _twin(first: Features, second: Features, F: Float64s) -> set[tuple[int, int]]:
    """Every pair within the band, nearest in both directions, ratio against the next or the
    limit.
    """
    a, b = (f.descriptors.astype(np.float64) / 512 for f in (first, second))
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    for n in range(len(a)):
        repeated = np.repeat(first.keypoints[n : n + 1, :2].astype(float), len(b), axis=0)
        errors = sampson_errors(F, repeated, second.keypoints[:, :2].astype(float))
        distance[n, errors > RULES.band_px] = np.inf

    def accepted(row: Float64s) -> int:
        order = np.argsort(row)
        best, second_best = row[order[0]], min(row[order[1]], RULES.max_distance)
        limit = min(RULES.max_distance, RULES.ratio * second_best)
        return int(order[0]) if best < limit else -1

    of_a = [accepted(row) for row in distance]
    of_b = [accepted(row) for row in distance.T]
    return {(n, m) for n, m in enumerate(of_a) if m >= 0 and of_b[m] == n}


def test_agrees_with_the_twin() -> None:
    for seed in range(3):
        first, second, F = _pair(seed)
        found = {(int(n), int(m)) for n, m in match_along_lines(first, second, F, RULES)}
        expected = _twin(first, second, F)
        assert 80 <= len(expected) <= 110
        assert found == expected


def test_steep_lines_are_walked_too() -> None:
    first, second, F = _pair(7)
    swap = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = [Features(f.keypoints[:, [1, 0, 2, 3]], f.descriptors) for f in (first, second)]
    straight = match_along_lines(first, second, F, RULES)
    assert np.array_equal(match_along_lines(turned[0], turned[1], swap @ F @ swap, RULES), straight)


def test_no_keypoints_no_matches() -> None:
    first, _, F = _pair(0)
    none = Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    assert match_along_lines(first, none, F, RULES).shape == (0, 2)
    assert match_along_lines(none, first, F, RULES).shape == (0, 2)
