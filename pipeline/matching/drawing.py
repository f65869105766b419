"""What people see of the pairs while they are matched and verified.

Counted pair by pair as they are done, so that a sketch costs the same however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from pipeline.geometry.arrays import Int64s
from pipeline.matching.pair_tasks import PairFit
from pipeline.products import Pair, TwoViewGeometry
from pipeline.sketches import MOST_CELLS, Bars, MatchingSketch, Matrix, VerificationSketch

_RATIO_PARTS = 50
_SIZES = 24  # powers of two: no pair has more matches than the last one


class PairMatrix:
    """A number for each pair of photographs, in at most MOST_CELLS cells a side."""

    def __init__(self, photographs: int) -> None:
        self._photographs = photographs
        self._side = min(MOST_CELLS, photographs)
        self._sums = np.zeros((self._side, self._side))
        self._pairs = np.zeros((self._side, self._side), np.int64)

    def add(self, i1: int, i2: int, value: float, pairs: int = 1) -> None:
        """Add a value to a pair's cell; pairs: 0 where the pair was counted before."""
        row, column = (i * self._side // self._photographs for i in (i1, i2))
        for place in {(row, column), (column, row)}:
            self._sums[place] += value
            self._pairs[place] += pairs

    def matrix(self) -> Matrix:
        """The mean of each cell."""
        means = np.round(self._sums / np.maximum(self._pairs, 1), 1).tolist()
        cells = (
            tuple(mean if pairs else None for mean, pairs in zip(*row, strict=True))
            for row in zip(means, self._pairs.tolist(), strict=True)
        )
        return Matrix(photographs=self._photographs, cells=tuple(cells))


class MatchCounts:
    """Matches of the pairs so far; a pair that is compared again counts with its latest number."""

    def __init__(self, photographs: int, indices: Int64s) -> None:
        """indices: (P, 2) of the pairs."""
        self._matrix = PairMatrix(photographs)
        self._indices = indices
        self._matches = np.full(len(indices), -1, np.int64)
        self._sizes = [0] * _SIZES

    def count(self, p: int, matches: int) -> None:
        """Pair p was compared."""
        i1, i2 = self._indices[p].tolist()
        before = int(self._matches[p])
        if before >= 0:
            self._sizes[_size_of(before)] -= 1
        self._matrix.add(i1, i2, matches - max(before, 0), pairs=int(before < 0))
        self._sizes[_size_of(matches)] += 1
        self._matches[p] = matches

    def sketch(self) -> MatchingSketch:
        """What there is so far."""
        pairs = sum(self._sizes)
        return MatchingSketch(
            pairs=pairs,
            matched=pairs - self._sizes[0],
            matrix=self._matrix.matrix(),
            sizes=tuple(self._sizes),
        )


def _size_of(matches: int) -> int:
    return min(matches.bit_length(), _SIZES - 1)


class Outcomes:
    """Outcome of the pairs so far: inliers of their epipolar geometry, then their kind."""

    def __init__(self, photographs: int) -> None:
        self._matrix = PairMatrix(photographs)
        self._ratios = [0] * _RATIO_PARTS
        self._kinds: Counter[str] = Counter()

    def count_fits(self, fits: Iterable[tuple[Pair, PairFit]]) -> None:
        """Pairs went through the first pass."""
        for (i1, i2), found in fits:
            inliers = 0 if found.fit is None else int(found.fit.inliers.sum())
            ratio = inliers / max(1, len(found.matches))
            self._ratios[min(_RATIO_PARTS - 1, int(ratio * _RATIO_PARTS))] += 1
            self._matrix.add(i1, i2, inliers)

    def count_kinds(self, geometries: Iterable[TwoViewGeometry]) -> None:
        """Pairs went through the second pass."""
        self._kinds.update(g.kind.name.lower() if g.verified else "refused" for g in geometries)

    def sketch(self) -> VerificationSketch:
        """What there is so far."""
        return VerificationSketch(
            inlier_ratios=Bars(low=0.0, high=1.0, counts=tuple(self._ratios)),
            kinds=dict(self._kinds),
            matrix=self._matrix.matrix(),
        )
