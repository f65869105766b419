"""Threads of the libraries in processes that run items side by side."""

from __future__ import annotations

from collections.abc import Mapping


def thread_limits(threads: int) -> Mapping[str, str]:
    """Environment of a process that runs items side by side, on so many threads.

    BLAS and OpenMP would fight the items for the cores, so they get one thread each. Libraries read
    this once, when they are first imported: it has to be there before.
    """
    single = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(single, "1"), "NUMBA_NUM_THREADS": str(threads)}
