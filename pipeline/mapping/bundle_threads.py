"""Kernels over ranges, on several threads where the work is worth it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numba
import numpy as np

from pipeline.geometry.arrays import Int64s

# A kernel needs some 0.1 us per observation; below this a second thread costs more than it saves.
_MIN_OBSERVATIONS = 10_000
_CHUNKS_PER_THREAD = 4


class Crew:
    """Threads for kernels that release the GIL. Use it in a `with` statement."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def over(self, cuts: Int64s, kernel: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Run ``kernel(first, last, *arguments)`` for the ranges between cuts; results in order."""
        bounds = cuts.tolist()
        ranges = list(itertools.pairwise(bounds))
        if len(ranges) == 1:
            return [kernel(*ranges[0], *arguments)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="bundle")
        waiting = [self._pool.submit(kernel, *r, *arguments) for r in ranges]
        return [future.result() for future in waiting]

    def cuts(self, starts: Int64s) -> Int64s:
        """Cut things into ranges of about equal work; thing x has observations
        ``starts[x]:starts[x + 1]``."""
        things, work = len(starts) - 1, int(starts[-1] - starts[0])
        if self.threads == 1 or work < _MIN_OBSERVATIONS:
            return np.array([0, things])
        levels = starts[0] + work * np.arange(1, _CHUNKS_PER_THREAD * self.threads) / (
            _CHUNKS_PER_THREAD * self.threads
        )
        inner = np.searchsorted(starts, levels)
        return np.unique(np.concatenate([[0], inner, [things]]))


class Cuts(NamedTuple):
    """Where the work is cut: points, points with the held ones as one more, images, pose slots,
    camera slots."""

    points: Int64s
    points_and_held: Int64s
    images: Int64s
    poses: Int64s
    cameras: Int64s


def default_threads() -> int:
    """numba's number of threads: the usable processors, or what NUMBA_NUM_THREADS says."""
    return int(numba.config.NUMBA_NUM_THREADS)


@dataclass(eq=False)
class Clock:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, phase: str) -> None:
        """What passed since the last lap belongs to this phase."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now
