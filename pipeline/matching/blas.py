"""The number of threads that a matrix product takes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

_OPENBLAS_PREFIXES = ("scipy_openblas", "openblas")
_OPENBLAS_SUFFIXES = ("64_", "")


@contextmanager
def single_threaded_blas() -> Iterator[bool]:
    """Within it, matrix products of this process run on the calling thread alone.

    Pairs are compared side by side, and OpenBLAS lets only one caller at a time use its threads.
    Yields whether the BLAS of numpy is an OpenBLAS, whose number can be set at run time; another
    BLAS keeps its own number, which changes the speed and not the result.
    """
    # The extension module links to the BLAS, so the loader finds the BLAS's symbols through it.
    library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    for prefix in _OPENBLAS_PREFIXES:
        for suffix in _OPENBLAS_SUFFIXES:
            if hasattr(library, f"{prefix}_set_num_threads{suffix}"):
                set_threads = getattr(library, f"{prefix}_set_num_threads{suffix}")
                before = int(getattr(library, f"{prefix}_get_num_threads{suffix}")())
                set_threads(1)
                try:
                    yield True
                finally:
                    set_threads(before)
                return
    yield False
