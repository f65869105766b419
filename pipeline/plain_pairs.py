"""Pairs and their two-view geometries, read without numpy from where the stages keep them.

The files are those of `pipeline.codecs`: `matches/index.arrays` and `matches/geometries.arrays`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

from pipeline.plain_arrays import NoArrays, PlainArrays

PAIR_KINDS = (
    "undefined", "degenerate", "calibrated", "uncalibrated", "planar", "panoramic",
    "planar or panoramic", "watermark", "multiple",
)  # fmt: skip
"""`products.PairKind` in words, by its numbers."""


def row_of(arrays: PlainArrays, i1: int, i2: int) -> int | None:
    """The row of a pair: they are sorted."""
    if not arrays.is_of("indices", "<i8", 2):
        raise NoArrays("pairs of another kind were stored")
    numbers = arrays.numbers("indices")
    row = bisect_left(
        range(len(numbers) // 2), (i1, i2), key=lambda p: tuple(numbers[2 * p : 2 * p + 2])
    )
    found = row < len(numbers) // 2 and tuple(numbers[2 * row : 2 * row + 2]) == (i1, i2)
    return row if found else None


def geometry(arrays: PlainArrays, row: int) -> tuple[dict[str, Any], bytes]:
    """The fields of a verified pair, and its inliers."""
    counts = arrays.numbers("inlier_counts", 0, row + 1)
    last = sum(counts)
    inliers = arrays.rows("inliers", last - counts[-1], last)
    (kind,) = arrays.numbers("kinds", row, row + 1)
    (angle,) = arrays.numbers("angles_deg", row, row + 1)
    about: dict[str, Any] = {
        "kind": PAIR_KINDS[kind] if 0 <= kind < len(PAIR_KINDS) else "",
        "reason": arrays.texts("reasons")[row],
        "angle_deg": angle if math.isfinite(angle) else None,
    }
    for name in ("F", "E", "H"):
        values = list(arrays.numbers(name, row, row + 1))
        about[name] = values if all(map(math.isfinite, values)) else None
    return about, inliers
