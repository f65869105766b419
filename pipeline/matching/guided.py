"""More matches for a pair whose epipolar geometry is known.

Each keypoint is compared only with the keypoints near its epipolar line, as COLMAP's guided
matching does. That is both cheaper than comparing all with all and finds matches that the ratio
test refuses when the whole image competes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from pipeline.geometry.arrays import Float32s, Float64s, Int32s, Int64s, UInt32s
from pipeline.products import Features

_CELL_PX = 32.0
_UNIT = 512.0  # length of a stored RootSIFT descriptor


@dataclass(frozen=True)
class GuidedRules:
    """What a guided match must fulfil.

    band_px: most Sampson distance. ratio: nearest to second nearest distance within the band.
    max_distance: most distance of the unit descriptors.
    """

    band_px: float
    ratio: float
    max_distance: float


def match_along_lines(
    features1: Features, features2: Features, F: Float64s, rules: GuidedRules
) -> UInt32s:
    """Mutually nearest keypoints (M, 2) within a band about the epipolar lines of F.

    A keypoint without a second candidate in its band is compared with `max_distance` instead.
    """
    if not len(features1.keypoints) or not len(features2.keypoints):
        return np.zeros((0, 2), np.uint32)
    if _mostly_flat(F, features1.keypoints):
        # The kernel is quicker on steep lines, so the axes of both pictures change places.
        swap = [1, 0, 2, 3]
        features1 = Features(features1.keypoints[:, swap], features1.descriptors)
        features2 = Features(features2.keypoints[:, swap], features2.descriptors)
        F = F[np.ix_(swap[:3], swap[:3])]
    # Both sides in spatial order: neighbouring keypoints meet the same candidates in the cache.
    cells1, cells2 = _cells_of(features1.keypoints), _cells_of(features2.keypoints)
    nearest2_of_1, nearest1_of_2 = _nearest_in_band(
        features1.keypoints[cells1.members, :2].astype(np.float64),
        features2.keypoints[cells2.members, :2].astype(np.float64),
        features1.descriptors[cells1.members].astype(np.int16),
        features2.descriptors[cells2.members].astype(np.int16),
        np.ascontiguousarray(F / np.linalg.norm(F)),
        cells2.starts,
        cells2.columns,
        np.array([rules.band_px, rules.ratio, (rules.max_distance * _UNIT) ** 2]),
    )
    n1 = np.flatnonzero(nearest2_of_1 >= 0)
    n1 = n1[nearest1_of_2[nearest2_of_1[n1]] == n1]
    matches = np.column_stack([cells1.members[n1], cells2.members[nearest2_of_1[n1]]])
    return matches[np.argsort(matches[:, 0])].astype(np.uint32)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Keypoints sorted into square cells, row by row: cell c holds members[starts[c]:starts[c +
    1]].
    """

    starts: Int32s
    members: Int64s
    columns: int


def _cells_of(keypoints: Float32s) -> _Cells:
    column, row = np.floor(np.maximum(keypoints[:, :2], 0.0) / _CELL_PX).astype(np.int64).T
    columns, rows = int(column.max()) + 1, int(row.max()) + 1
    cell = row * columns + column
    counts = np.bincount(cell, minlength=columns * rows)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return _Cells(starts, np.argsort(cell, kind="stable"), columns)


def _mostly_flat(F: Float64s, keypoints: Float32s) -> bool:
    """Whether most epipolar lines in image 2 run along rather than across its rows."""
    points = keypoints[:: max(1, len(keypoints) // 100), :2]
    lines = np.column_stack([points, np.ones(len(points))]) @ F.T
    return bool(np.median(np.abs(lines[:, 0]) - np.abs(lines[:, 1])) < 0)


@numba.njit(cache=True, nogil=True, inline="always")
def _dot(a: Any, b: Any) -> Any:
    """Scalar product of two int16 descriptors, in 32-bit integers that the CPU multiplies fast."""
    total = np.int32(0)
    for d in range(128):
        total += np.int32(a[d]) * np.int32(b[d])
    return total


@numba.njit(cache=True, nogil=True)
def _nearest_in_band(
    points1: Any, points2: Any, descriptors1: Any, descriptors2: Any, F: Any, starts: Any,
    columns: int, rules: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Per keypoint its accepted nearest in the other image, or -1, in both directions."""
    band, ratio, limit = rules
    n1, n2 = len(points1), len(points2)
    rows = (len(starts) - 1) // columns
    norm2 = np.empty(n2)
    for m in range(n2):
        norm2[m] = _dot(descriptors2[m], descriptors2[m])
    best2, second2 = np.full(n2, limit), np.full(n2, limit)
    of2 = np.full(n2, -1, np.int32)
    of1 = np.full(n1, -1, np.int32)
    for n in range(n1):
        x, y = points1[n]
        a = F[0, 0] * x + F[0, 1] * y + F[0, 2]
        b = F[1, 0] * x + F[1, 1] * y + F[1, 2]
        c = F[2, 0] * x + F[2, 1] * y + F[2, 2]
        length = math.hypot(a, b)
        if length < 1e-15:
            continue
        norm1 = _dot(descriptors1[n], descriptors1[n])
        best, second, which = limit, limit, -1
        steep = abs(a) > abs(b)
        # The band measured along the axis that the line is walked across. The Sampson distance is
        # at most the distance to this line, so doubling the band misses next to nothing.
        reach = 2.0 * band * length
        margin = reach / (abs(a) if steep else abs(b))
        for walk in range(rows if steep else columns):
            low = walk * _CELL_PX
            if steep:
                u0, u1 = -(b * low + c) / a, -(b * (low + _CELL_PX) + c) / a
            else:
                u0, u1 = -(a * low + c) / b, -(a * (low + _CELL_PX) + c) / b
            across = columns if steep else rows
            first = math.floor((min(u0, u1) - margin) / _CELL_PX)
            last = math.floor((max(u0, u1) + margin) / _CELL_PX)
            first, last = max(0, first), min(across - 1, last)
            # Cells of one row lie side by side in memory: a steep line meets them in one run.
            runs = 1 if steep else last - first + 1
            for run in range(runs):
                if steep:
                    begin, end = walk * columns + first, walk * columns + last + 1
                else:
                    begin = (first + run) * columns + walk
                    end = begin + 1
                if first > last:
                    break
                for m in range(starts[begin], starts[end]):
                    u, v = points2[m]
                    algebraic = a * u + b * v + c
                    if abs(algebraic) > reach:
                        continue
                    a1 = F[0, 0] * u + F[1, 0] * v + F[2, 0]
                    b1 = F[0, 1] * u + F[1, 1] * v + F[2, 1]
                    gradient = a * a + b * b + a1 * a1 + b1 * b1
                    if algebraic * algebraic > band * band * gradient:
                        continue
                    dot = _dot(descriptors1[n], descriptors2[m])
                    distance = norm1 + norm2[m] - 2.0 * dot
                    if distance < best:
                        second, best, which = best, distance, m
                    elif distance < second:
                        second = distance
                    if distance < best2[m]:
                        second2[m], best2[m], of2[m] = best2[m], distance, n
                    elif distance < second2[m]:
                        second2[m] = distance
        if which >= 0 and best < ratio * ratio * second:
            of1[n] = which
    for m in range(n2):
        if of2[m] >= 0 and best2[m] >= ratio * ratio * second2[m]:
            of2[m] = -1
    return of1, of2
