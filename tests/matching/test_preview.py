"""What a preview says, and which pairs it sends to full comparison."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.matching.preview import (
    BEST_PAIRS,
    ENOUGH_CLEAR_PAIRS,
    LONELY_PAIRS,
    PreviewCounts,
    PreviewVerdict,
    pairs_worth_all,
)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (PreviewCounts(8192, 8192, 1024, 7), PreviewVerdict.REFUSED),
        (PreviewCounts(8192, 8192, 1024, 8), PreviewVerdict.DOUBTFUL),
        (PreviewCounts(8192, 8192, 1024, 31), PreviewVerdict.DOUBTFUL),
        (PreviewCounts(8192, 8192, 1024, 32), PreviewVerdict.CLEAR),
        (PreviewCounts(8192, 512, 1024, 16), PreviewVerdict.CLEAR),
        (PreviewCounts(1024, 900, 1024, 0), PreviewVerdict.COMPLETE),
        (PreviewCounts(8192, 0, 1024, 0), PreviewVerdict.REFUSED),
    ],
)
def test_verdicts(counts: PreviewCounts, verdict: PreviewVerdict) -> None:
    assert counts.verdict is verdict
    complete = verdict is PreviewVerdict.COMPLETE
    assert counts.reason == (
        "" if complete else f"{counts.matches} matches among the 1024 largest keypoints"
    )


def star(matches: list[int]) -> tuple[np.ndarray, list[PreviewCounts]]:
    """Photograph 0 paired with one other per entry; the others' second photograph is far better."""
    n = len(matches)
    spokes = [(0, i + 1) for i in range(n)]
    others = [(i + 1, n + 1 + k) for i in range(n) for k in range(BEST_PAIRS)]
    counts = [*matches, *([900] * len(others))]
    return np.array(spokes + others), [PreviewCounts(8192, 8192, 1024, m) for m in counts]


CLEAR = [100] * ENOUGH_CLEAR_PAIRS


def test_the_best_doubtful_pairs_of_a_photograph_are_compared_in_full() -> None:
    worth = pairs_worth_all(*star(CLEAR + [30 - n for n in range(BEST_PAIRS + 4)]))
    assert worth.nonzero()[0].tolist() == list(range(ENOUGH_CLEAR_PAIRS, BEST_PAIRS))


def test_clear_pairs_take_the_places_of_doubtful_ones() -> None:
    assert not pairs_worth_all(*star([100] * BEST_PAIRS + [20, 20])).any()


def test_a_lonely_photograph_is_compared_in_full_up_to_a_bound() -> None:
    worth = pairs_worth_all(*star([100, 5, 4, 20, 1, 0]))
    assert worth.nonzero()[0].tolist() == [1, 2, 3, 4, 5]
    assert pairs_worth_all(*star([3] * (LONELY_PAIRS + 20))).sum() == LONELY_PAIRS
    assert not pairs_worth_all(*star([*CLEAR, 3, 0])).any()


def test_no_pairs_at_all() -> None:
    assert pairs_worth_all(np.zeros((0, 2), np.int64), []).shape == (0,)
