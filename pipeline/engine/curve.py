"""A metric over a whole run in bounded memory."""

from __future__ import annotations

import math
from array import array

from pipeline.engine.messages import Bucket

MOST_BUCKETS = 4096


class Curve:
    """Smallest, largest and last value of neighbouring steps.

    As many values as it takes share a bucket: where the buckets are all used, each takes up its
    neighbour. Steps do not fall within a curve: a smaller step says that the stage went back to a
    checkpoint or began anew, and what came after that step is dropped.
    """

    def __init__(self) -> None:
        self._first, self._last = array("q"), array("q")
        # Infinities the wrong way round: no number so far.
        self._low, self._high = array("d"), array("d")
        self._value = array("d")
        self._per_bucket = 1
        self._room = 0  # of the newest bucket

    def add(self, step: int, value: float) -> None:
        """Add the next value; one that is no number leaves a gap."""
        if self._last and step < self._last[-1]:
            self._go_back(step)
        if self._room == 0:
            self._begin_bucket(step)
        self._room -= 1
        self._last[-1] = step
        self._value[-1] = value
        if math.isfinite(value):
            self._low[-1] = min(self._low[-1], value)
            self._high[-1] = max(self._high[-1], value)

    def buckets(self, most: int) -> tuple[Bucket, ...]:
        """The curve in at most that many buckets, oldest first."""
        size = max(1, math.ceil(len(self._first) / most))
        return tuple(
            Bucket(
                first_step=self._first[begin],
                last_step=self._last[min(begin + size, len(self._last)) - 1],
                low=_number(min(self._low[begin : begin + size])),
                high=_number(max(self._high[begin : begin + size])),
                last=_number(self._value[min(begin + size, len(self._value)) - 1]),
            )
            for begin in range(0, len(self._first), size)
        )

    def _begin_bucket(self, step: int) -> None:
        if len(self._first) >= MOST_BUCKETS:
            self._halve()
        self._first.append(step)
        self._last.append(step)
        self._low.append(math.inf)
        self._high.append(-math.inf)
        self._value.append(math.nan)
        self._room = self._per_bucket

    def _halve(self) -> None:
        self._first = self._first[::2]
        self._last = self._last[1::2]
        self._value = self._value[1::2]
        self._low = array("d", map(min, self._low[::2], self._low[1::2]))
        self._high = array("d", map(max, self._high[::2], self._high[1::2]))
        self._per_bucket *= 2

    def _go_back(self, step: int) -> None:
        """Drop the buckets from a step on; of one that reaches over it, the begin stays."""
        while self._first and self._first[-1] >= step:
            for column in (self._first, self._last, self._low, self._high, self._value):
                column.pop()
        if self._last:
            self._last[-1] = min(self._last[-1], step - 1)
        self._room = 0


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
