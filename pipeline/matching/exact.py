"""Nearest descriptors of two photographs, all against all.

The products f_i . f_j of a block of rows are one matrix product, and one pass over the block keeps
what the rules need: the two nearest of each row and the nearest of each column. Descriptors are
whole numbers, so float32 holds every squared distance exactly and nothing depends on the order of
summation, the blocks or the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from pipeline.geometry.arrays import Float32s, Int64s, UInt8s, UInt32s

DESCRIPTOR_NORM = 512.0  # length of a stored RootSIFT descriptor, before rounding
_FAR = np.float32(1e9)  # above every squared distance of descriptors, 128 * 255^2
_BLOCK_ROWS = 256  # with 8192 columns 8 MB: fits the cache, and the matrix product is at full speed
_STRIP = 64


@dataclass(frozen=True)
class MatchRules:
    """What a match must fulfil.

    ratio: distance of the nearest / of the second nearest is below it. max_distance: the distance
    of the unit descriptors is below it. mutual: both hold, and each is the nearest of the other, in
    both directions.
    """

    ratio: float
    max_distance: float
    mutual: bool


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of N1 query descriptors the nearest of the other photograph.

    index: (N1,) row of the nearest, -1 for none. squared, second: (N1,) float32, squared distances
    of the nearest and the second nearest, at least 1e9 where there is none.
    """

    index: Int64s
    squared: Float32s
    second: Float32s


def match_exact(descriptors1: UInt8s, descriptors2: UInt8s, rules: MatchRules) -> UInt32s:
    """Matches (M, 2) of descriptors (N1, 128) and (N2, 128), by row of the first; none: (0, 2).

    Lowe, IJCV 2004, section 7.1, with exact nearest neighbours. Without a second nearest the ratio
    rule is met. Descriptors of zeros match nothing.
    """
    nearest2_of_1, nearest1_of_2 = nearest_exact(descriptors1, descriptors2)
    matched = passes_rules(nearest2_of_1, rules)
    if rules.mutual:
        rows = np.flatnonzero(matched)
        columns = nearest2_of_1.index[rows]
        back = nearest1_of_2.index[columns] == rows
        matched[rows] = back & passes_rules(nearest1_of_2, rules)[columns]
    rows = np.flatnonzero(matched)
    return np.column_stack([rows, nearest2_of_1.index[rows]]).astype(np.uint32)


def nearest_exact(descriptors1: UInt8s, descriptors2: UInt8s) -> tuple[Nearest, Nearest]:
    """The nearest of the second for each of the first, and the other way round.

    Of equally near ones the first counts. An empty or zero descriptor set gives index -1.
    """
    n1, n2 = len(descriptors1), len(descriptors2)
    nearest2_of_1, nearest1_of_2 = _nothing_yet(n1), _nothing_yet(n2)
    if n1 and n2:
        floats1 = descriptors1.astype(np.float32)
        columns = descriptors2.astype(np.float32).T
        norms1, norms2 = _squared_norms(descriptors1), _squared_norms(descriptors2)
        buffer = np.empty((min(_BLOCK_ROWS, n1), n2), np.float32)
        for first in range(0, n1, _BLOCK_ROWS):
            rows = slice(first, min(first + _BLOCK_ROWS, n1))
            products = buffer[: rows.stop - first]
            np.matmul(floats1[rows], columns, out=products)
            _reduce(
                products, first, norms1, norms2,
                (nearest2_of_1.index, nearest2_of_1.squared, nearest2_of_1.second),
                (nearest1_of_2.index, nearest1_of_2.squared, nearest1_of_2.second),
            )  # fmt: skip
    return nearest2_of_1, nearest1_of_2


def _nothing_yet(n: int) -> Nearest:
    return Nearest(np.full(n, -1, np.int64), np.full(n, _FAR), np.full(n, _FAR))


def passes_rules(nearest: Nearest, rules: MatchRules) -> np.ndarray:
    """Which of N1 nearest neighbours meet the ratio and the distance rule, (N1,) bool."""
    squared = nearest.squared.astype(np.float64)
    ratio_met = squared < rules.ratio**2 * nearest.second
    ratio_met |= nearest.second >= _FAR
    near = squared < (rules.max_distance * DESCRIPTOR_NORM) ** 2
    return np.asarray(ratio_met & near & (nearest.index >= 0))


def _squared_norms(descriptors: UInt8s) -> Float32s:
    """Squared norms (N,); a descriptor of zeros, which has no direction, is put far from all."""
    norms = np.einsum("nd,nd->n", descriptors, descriptors, dtype=np.float32, casting="unsafe")
    return np.where(norms > 0.0, norms, _FAR).astype(np.float32)


# fastmath: without it a minimum must respect NaN and is not vectorised; no value here is NaN.
@numba.njit(cache=True, nogil=True, fastmath=True)
def _reduce(
    products: Float32s,
    first_row: int,
    norms1: Float32s,
    norms2: Float32s,
    nearest2_of_1: tuple[Int64s, Float32s, Float32s],
    nearest1_of_2: tuple[Int64s, Float32s, Float32s],
) -> None:
    """Turn products (B, N2) into squared distances and fold them into what is known of their rows
    (1) and columns (2), each an index, a least and a second least distance.

    Strips of columns go through in branchless passes, which the compiler vectorises; only the few
    strips that bring a new nearest or second nearest are looked at one by one.
    """
    index1, squared1, second1 = nearest2_of_1
    index2, squared2, second2 = nearest1_of_2
    n2 = products.shape[1]
    for b in range(products.shape[0]):
        row, r = products[b], first_row + b
        for begin in range(0, n2, _STRIP):
            end = min(begin + _STRIP, n2)
            least, gain = _FAR, np.float32(0.0)
            for c in range(begin, end):
                distance = norms1[r] + norms2[c] - np.float32(2.0) * row[c]
                row[c] = distance
                least = min(least, distance)
                gain = max(gain, squared2[c] - distance)
                second2[c] = min(second2[c], max(squared2[c], distance))
            if gain > np.float32(0.0):
                for c in range(begin, end):
                    if row[c] < squared2[c]:
                        squared2[c] = row[c]
                        index2[c] = r
            if least < second1[r]:
                for c in range(begin, end):
                    if row[c] < squared1[r]:
                        second1[r] = squared1[r]
                        squared1[r] = row[c]
                        index1[r] = c
                    elif row[c] < second1[r]:
                        second1[r] = row[c]
