"""The kd-tree beside exact matching."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import UInt8s, UInt32s
from pipeline.matching.exact import MatchRules, match_exact, nearest_exact
from pipeline.matching.kdtree import build_kdtree, match_kdtree, nearest_kdtree
from tests.matching.descriptor_sets import overlapping_sets, random_descriptors

RULES = MatchRules(ratio=0.8, max_distance=0.7, mutual=True)
UNLIMITED = 10**9


def by_trees(first: UInt8s, second: UInt8s, rules: MatchRules, buckets: int) -> UInt32s:
    trees = (build_kdtree(first), build_kdtree(second))
    return match_kdtree(first, second, trees, rules, buckets)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 120), st.integers(0, 200), st.sampled_from([0.8, 1.0]), st.booleans())
def test_all_buckets_give_the_exact_matches(n1: int, n2: int, ratio: float, mutual: bool) -> None:
    rng = np.random.default_rng(n1 + 200 * n2)
    first, second = overlapping_sets(n1, n2, min(n1, n2) // 2, rng)
    rules = MatchRules(ratio, 0.9, mutual)
    result = by_trees(first, second, rules, UNLIMITED)
    assert np.array_equal(result, match_exact(first, second, rules))


@pytest.mark.parametrize("leaf_size", [1, 7, 1000])
def test_all_buckets_give_the_exact_distances(leaf_size: int) -> None:
    """Few different values cut one dimension several times: the bounds must not add up twice."""
    rng = np.random.default_rng(0)
    points = np.zeros((500, 128), np.uint8)
    points[:, :3] = rng.integers(1, 60, (500, 3))
    queries = np.zeros((200, 128), np.uint8)
    queries[:, :3] = rng.integers(1, 60, (200, 3))
    found = nearest_kdtree(queries, build_kdtree(points, leaf_size), UNLIMITED)
    exact, _ = nearest_exact(queries, points)
    assert np.array_equal(found.squared, exact.squared)
    assert np.array_equal(found.second, exact.second)


def test_every_descriptor_is_in_one_leaf_on_its_side_of_every_split() -> None:
    descriptors = random_descriptors(333, np.random.default_rng(1))
    descriptors[5] = 0
    tree = build_kdtree(descriptors, leaf_size=8)
    assert sorted(tree.rows.tolist()) == [n for n in range(333) if n != 5]
    assert np.array_equal(tree.descriptors, descriptors[tree.rows])

    def check(node: int) -> list[int]:
        first, second = int(tree.firsts[node]), int(tree.seconds[node])
        if tree.dimensions[node] < 0:
            assert 1 <= second - first <= 8
            return list(range(first, second))
        below, above = check(first), check(second)
        values = tree.descriptors[:, tree.dimensions[node]]
        assert values[below].max() <= tree.splits[node] <= values[above].min()
        assert abs(len(below) - len(above)) <= 1
        return below + above

    assert check(0) == list(range(332))


def test_more_buckets_find_more() -> None:
    rng = np.random.default_rng(2)
    first, second = overlapping_sets(1500, 1500, 700, rng)
    exact = {tuple(match) for match in match_exact(first, second, RULES).tolist()}
    shares = []
    for buckets in (1, 20, 200):
        found = {tuple(match) for match in by_trees(first, second, RULES, buckets).tolist()}
        shares.append(len(found & exact) / len(exact))
    assert shares[0] <= shares[1] <= shares[2]
    assert shares[0] < 1.0 and 0.85 <= shares[2] <= 1.0


def test_identical_and_zero_descriptors() -> None:
    same = np.repeat(random_descriptors(1, np.random.default_rng(3)), 100, axis=0)
    assert not len(by_trees(same, same, MatchRules(1.0, 2.0, True), UNLIMITED))
    zeros = np.zeros((20, 128), np.uint8)
    assert not len(by_trees(zeros, same, RULES, 200)) and not len(by_trees(same, zeros, RULES, 200))
    assert by_trees(zeros[:0], zeros[:0], RULES, 200).shape == (0, 2)
    one = same[:1]
    assert by_trees(one, one, RULES, 1).tolist() == [[0, 0]]


def test_two_runs_agree() -> None:
    first, second = overlapping_sets(400, 500, 200, np.random.default_rng(4))
    assert np.array_equal(by_trees(first, second, RULES, 30), by_trees(first, second, RULES, 30))
