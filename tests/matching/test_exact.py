"""Exact matching beside a twin in plain numpy, and its degenerate cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import UInt8s
from pipeline.matching.exact import MatchRules, match_exact, nearest_exact
from tests.matching.descriptor_sets import noisy, overlapping_sets, random_descriptors

RULES = MatchRules(ratio=0.8, max_distance=0.7, mutual=True)


def one_way(distances: np.ndarray, rules: MatchRules) -> dict[int, int]:
    """For each row that meets the rules, its column."""
    found = {}
    for row, of_row in enumerate(distances):
        order = np.argsort(of_row, kind="stable")
        nearest = of_row[order[0]]
        second = of_row[order[1]] if len(order) > 1 else np.inf
        if nearest < rules.ratio * second and nearest < rules.max_distance:
            found[row] = int(order[0])
    return found


def match_slowly(descriptors1: UInt8s, descriptors2: UInt8s, rules: MatchRules) -> list[list[int]]:
    """The rules word by word, on all distances at once."""
    if not len(descriptors1) or not len(descriptors2):
        return []
    difference = descriptors1[:, None].astype(np.float64) - descriptors2[None]
    distances = np.linalg.norm(difference, axis=2) / 512.0
    distances[~descriptors1.any(axis=1)] = np.inf
    distances[:, ~descriptors2.any(axis=1)] = np.inf
    there, back = one_way(distances, rules), one_way(distances.T, rules)
    return [[a, b] for a, b in there.items() if not rules.mutual or back.get(b) == a]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(0, 90),
    st.integers(0, 150),
    st.sampled_from([0.6, 0.8, 1.0]),
    st.sampled_from([0.3, 0.7, 2.0]),
    st.booleans(),
)
def test_beside_the_twin(n1: int, n2: int, ratio: float, max_distance: float, mutual: bool) -> None:
    rng = np.random.default_rng(n1 + 100 * n2)
    first, second = overlapping_sets(n1, n2, min(n1, n2) // 2, rng)
    rules = MatchRules(ratio, max_distance, mutual)
    result = match_exact(first, second, rules)
    assert result.dtype == np.uint32 and result.shape[1] == 2
    assert result.tolist() == match_slowly(first, second, rules)


def test_several_blocks_give_what_one_gives() -> None:
    """More rows than a block and columns that fill no strip."""
    rng = np.random.default_rng(0)
    first, second = overlapping_sets(700, 333, 200, rng)
    result = match_exact(first, second, RULES)
    assert result.tolist() == match_slowly(first, second, RULES)
    assert 190 <= len(result) <= 200
    swapped = match_exact(second, first, RULES)[:, ::-1]
    assert sorted(swapped.tolist()) == result.tolist()


def test_squared_distances_are_exact_integers() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 256, (40, 128)).astype(np.uint8)
    second = rng.integers(0, 256, (60, 128)).astype(np.uint8)
    second[3] = 255 - first[5]
    squared = ((first[:, None].astype(np.int64) - second[None]) ** 2).sum(axis=2)
    there, back = nearest_exact(first, second)
    assert np.array_equal(there.squared, squared.min(axis=1))
    assert np.array_equal(there.second, np.sort(squared, axis=1)[:, 1])
    assert np.array_equal(back.index, squared.argmin(axis=0))
    assert np.array_equal(back.second, np.sort(squared, axis=0)[1])


@pytest.mark.parametrize(("n1", "n2"), [(0, 0), (0, 5), (5, 0)])
def test_an_empty_side_gives_no_matches(n1: int, n2: int) -> None:
    rng = np.random.default_rng(2)
    result = match_exact(random_descriptors(n1, rng), random_descriptors(n2, rng), RULES)
    assert result.shape == (0, 2) and result.dtype == np.uint32


def test_without_a_second_neighbour_the_ratio_is_met() -> None:
    rng = np.random.default_rng(3)
    one = random_descriptors(1, rng)
    assert match_exact(one, noisy(one, 3, rng), RULES).tolist() == [[0, 0]]
    assert match_exact(one, random_descriptors(1, rng), MatchRules(0.8, 0.2, True)).shape == (0, 2)


def test_identical_descriptors_are_ambiguous() -> None:
    """Nearest and second nearest are equally near: no ratio up to 1 accepts that."""
    same = np.repeat(random_descriptors(1, np.random.default_rng(4)), 6, axis=0)
    for ratio in (0.8, 1.0):
        for mutual in (True, False):
            assert not len(match_exact(same, same, MatchRules(ratio, 2.0, mutual)))


def test_zero_descriptors_match_nothing() -> None:
    rng = np.random.default_rng(5)
    zeros = np.zeros((4, 128), np.uint8)
    assert not len(match_exact(zeros, zeros, MatchRules(1.0, 2.0, False)))
    assert not len(match_exact(zeros, random_descriptors(4, rng), MatchRules(1.0, 2.0, False)))
    assert not len(match_exact(random_descriptors(4, rng), zeros, MatchRules(1.0, 2.0, False)))


def test_a_photograph_with_itself() -> None:
    descriptors = random_descriptors(300, np.random.default_rng(6))
    result = match_exact(descriptors, descriptors, RULES)
    assert np.array_equal(result, np.column_stack([np.arange(300)] * 2))
