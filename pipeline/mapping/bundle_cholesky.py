"""Cholesky factorisation of the reduced camera system, within its envelope.

Where images see only what their neighbours in the order of the images see, as along a walk, the
matrix is a band of blocks with a border of shared intrinsics. The factor stays within it (George
and Liu, "Computer Solution of Large Sparse Positive Definite Systems", 1981, chapter 4).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotrs

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mapping.bundle_kernels import Structure

_PANEL = 192
# Below this size, or with a fuller envelope, LAPACK on the whole matrix is faster.
_MIN_SIZE, _MAX_FILL = 600, 0.5


class _Panel(NamedTuple):
    """Rows first..last of the factor: the lower triangle (B, B) of their diagonal block, and what
    lies right of it, (B, W), in these columns (W,)."""

    first: int
    last: int
    triangle: Float64s
    right: Float64s
    columns: Int64s


def envelope(structure: Structure) -> Int64s:
    """Per pose slot, where its row of the upper factor ends (a pose slot, exclusive), (F,)."""
    poses = len(structure.slot_images)
    ends = np.arange(1, poses + 1)
    with_point = structure.obs_points < len(structure.slot_points)
    seen = np.flatnonzero((structure.obs_slots >= 0) & with_point)
    # The observations of a point are sorted by pose: the last one is the farthest.
    farthest = structure.obs_slots[structure.pose_ends[structure.obs_points[seen]] - 1] + 1
    np.maximum.at(ends, structure.obs_slots[seen], farthest)
    return np.asarray(np.maximum.accumulate(ends))


def solve_positive_definite(upper: Float64s, right: Float64s, ends: Int64s) -> Float64s | None:
    """Solve a symmetric positive definite system; None if it is not definite.

    upper: (S, S), of which the upper triangle is read and overwritten. right: (S,) or (S, M).
    ends: (F,) from `envelope`; parameters after the poses are coupled with everything.
    """
    size, poses = len(upper), 6 * len(ends)
    if right.size == 0:
        return right.copy()
    filled = float(np.sum(ends - np.arange(len(ends)))) * 36.0 + (size - poses) * size
    if size < _MIN_SIZE or filled > _MAX_FILL * 0.5 * size * size:
        # The transpose is in the column order that LAPACK wants: nothing is copied.
        factor, info = dpotrf(upper.T, lower=1, clean=0, overwrite_a=1)
        return None if info else np.asarray(dpotrs(factor, right, lower=1)[0])
    panels = _factor(upper, ends)
    return None if panels is None else _substitute(panels, right)


def _factor(upper: Float64s, ends: Int64s) -> list[_Panel] | None:
    size, poses = len(upper), 6 * len(ends)
    panels = []
    for first in range(0, size, _PANEL):
        last = min(first + _PANEL, size)
        triangle, info = dpotrf(upper[first:last, first:last].T, lower=1)
        if info:
            return None
        # Up to the envelope of the panel's last pose, then the border.
        end = max(last, 6 * int(ends[(last - 1) // 6])) if last <= poses else last
        border = max(end, poses)
        rows = upper[first:last]
        block = np.concatenate([rows[:, last:end], rows[:, border:]], axis=1)
        columns = np.concatenate([np.arange(last, end), np.arange(border, size)])
        block = np.asarray(dtrsm(1.0, triangle, block, lower=1)) if len(columns) else block
        product = block.T @ block
        band = end - last
        upper[last:end, last:end] -= product[:band, :band]
        upper[last:end, border:] -= product[:band, band:]
        upper[border:, border:] -= product[band:, band:]
        panels.append(_Panel(first, last, triangle, block, columns))
    return panels


def _substitute(panels: list[_Panel], right: Float64s) -> Float64s:
    solution = right.reshape(len(right), -1).copy()
    for panel in panels:
        rows = slice(panel.first, panel.last)
        solution[rows] = dtrsm(1.0, panel.triangle, solution[rows], lower=1)
        solution[panel.columns] -= panel.right.T @ solution[rows]
    for panel in reversed(panels):
        rows = slice(panel.first, panel.last)
        rest = solution[rows] - panel.right @ solution[panel.columns]
        solution[rows] = dtrsm(1.0, panel.triangle, rest, lower=1, trans_a=1)
    return solution.reshape(right.shape)
