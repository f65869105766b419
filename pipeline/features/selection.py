"""Which keypoints of a photograph are kept when there are more than wanted.

Strength alone leaves weakly textured regions bare, and an even grid throws good keypoints away. A
share of the budget is therefore spread over the cells of a grid, strongest first within each cell,
and strength decides about the rest (in the spirit of Brown, Szeliski & Winder, CVPR 2005, section
3, and Bailo et al., Pattern Recognition Letters 2018, but in one sort, without search for radii).
"""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s

CELLS_ALONG_LONGER_SIDE = 12
SPREAD_SHARE = 0.25


def select_spread(xy_px: Float64s, strength: Float64s, longer_side_px: float, most: int) -> Int64s:
    """At most `most` of N keypoints, strong and spread over the photograph.

    xy_px: (N, 2) positions. strength: (N,), larger is better; equal ones keep their order.
    Returns the row numbers that are kept, ascending; all of them if N <= most.
    """
    n = len(xy_px)
    if n <= most:
        return np.arange(n)
    by_strength = np.argsort(-strength, kind="stable")
    cells = np.floor(xy_px[by_strength] * (CELLS_ALONG_LONGER_SIDE / longer_side_px))
    rank_in_cell = _rank_in_group(cells[:, 1] * (CELLS_ALONG_LONGER_SIDE + 1) + cells[:, 0])
    # Sorted by rank, then strength: every cell gives its strongest before any gives its second.
    in_turns = by_strength[np.argsort(rank_in_cell, kind="stable")]
    kept = np.zeros(n, np.bool_)
    kept[in_turns[: int(SPREAD_SHARE * most)]] = True
    rest = by_strength[~kept[by_strength]]
    kept[rest[: most - int(kept.sum())]] = True
    return np.flatnonzero(kept)


def first_of_location(xy_px: Float64s, scale_px: Float64s, most: int) -> Int64s:
    """Rows of the first `most` keypoints of each location; equal locations are adjacent rows.

    A location is a position with a scale. Returns row numbers, ascending.
    """
    if not len(xy_px):
        return np.zeros(0, np.int64)
    begins = np.ones(len(xy_px), np.bool_)
    begins[1:] = (np.diff(xy_px, axis=0) != 0.0).any(axis=1) | (np.diff(scale_px) != 0.0)
    rows = np.arange(len(xy_px))
    place = rows - np.maximum.accumulate(np.where(begins, rows, 0))
    return np.flatnonzero(place < most)


def _rank_in_group(group: Float64s) -> Int64s:
    """Of each of N rows, how many earlier rows are in the same group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(begins, len(group)))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(begins, sizes)
    return rank
