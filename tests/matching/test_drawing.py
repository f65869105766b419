"""What people see of pairs: the matrix in few cells, and counts that stay right."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Int64s
from pipeline.matching.drawing import MatchCounts, Outcomes, PairMatrix
from pipeline.matching.pair_tasks import PairFit
from pipeline.matching.two_view import EpipolarFit, refused
from pipeline.products import PairKind, TwoViewGeometry
from pipeline.sketches import MOST_CELLS, encode_sketch


def all_pairs(photographs: int) -> Int64s:
    """(P, 2)"""
    return np.stack(np.triu_indices(photographs, k=1), axis=1).astype(np.int64)


def test_few_photographs_have_a_cell_for_each_pair() -> None:
    matrix = PairMatrix(3)
    matrix.add(0, 1, 40)
    matrix.add(1, 2, 0)
    assert matrix.matrix().cells == ((None, 40, None), (40, None, 0), (None, 0, None))
    assert PairMatrix(0).matrix().cells == ()


def test_many_photographs_share_cells_that_hold_the_mean() -> None:
    matrix = PairMatrix(10 * MOST_CELLS)
    for i1, i2 in all_pairs(20):
        matrix.add(int(i1), int(i2), 100 if i2 < 10 else 10)
    cells = matrix.matrix().cells
    assert len(cells) == len(cells[0]) == MOST_CELLS
    assert cells[0][0] == 100 and cells[0][1] == cells[1][0] == cells[1][1] == 10
    assert cells[2][2] is None


def test_a_pair_compared_again_counts_once() -> None:
    counts = MatchCounts(3, all_pairs(3))
    for p, matches in ((0, 3), (1, 0), (0, 700)):
        counts.count(p, matches)
    drawn = counts.sketch()
    assert (drawn.pairs, drawn.matched, sum(drawn.sizes)) == (2, 1, 2)
    assert drawn.matrix.cells[0][1] == 700 and drawn.matrix.cells[0][2] == 0
    assert drawn.sizes[0] == 1 and drawn.sizes[10] == 1  # 512 to 1023
    assert len(encode_sketch(drawn)) < 1000


def test_outcomes_are_ratios_and_kinds() -> None:
    outcomes = Outcomes(3)
    inliers = np.array([True, True, True, False])
    matches = np.zeros((4, 2), np.uint32)
    nothing = PairFit(np.zeros((0, 2), np.uint32), None)
    fits = [((0, 1), PairFit(matches, EpipolarFit(np.eye(3), inliers))), ((0, 2), nothing)]
    outcomes.count_fits(fits)
    stands = TwoViewGeometry(PairKind.PLANAR, matches)
    outcomes.count_kinds([stands, refused(PairKind.DEGENERATE, "no F")])
    drawn = outcomes.sketch()
    counts = drawn.inlier_ratios.counts
    assert counts[0] == 1 and counts[int(0.75 * len(counts))] == 1 and sum(counts) == 2
    assert drawn.kinds == {"planar": 1, "refused": 1}
    assert drawn.matrix.cells[0][1] == 3 and drawn.matrix.cells[1][2] is None
