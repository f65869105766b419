"""Tells people why a stage stands still while numba compiles its functions.

That happens once on every machine, and again after an update: what is compiled is kept beside the
sources, or where `NUMBA_CACHE_DIR` says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.events import Progress, Record

if TYPE_CHECKING:
    from pipeline.stage import Stage

COMPILING = "compiling for this machine (once)"


class StageTeller:
    """Passes on what is told of a stage; while its functions are compiled, its progress says so.

    Compiling stops the thread that does it, and often all others: the stage itself cannot tell.
    """

    def __init__(self, pass_on: Callable[[Record], None]) -> None:
        """pass_on: gets the records, from whatever thread, one after the other."""
        self._pass_on = pass_on
        self._lock = threading.Lock()
        self._progress = Progress(0, None, "")
        self._compiling = 0  # one function compiles those that it calls

    def tell(self, record: Record) -> None:
        """Pass on a record."""
        with self._lock:
            if isinstance(record, Progress):
                self._progress = record
                record = self._current()
            self._pass_on(record)

    @contextmanager
    def listening(self, stage: Stage) -> Iterator[None]:
        """Look what is compiled within the block, if it is a stage that has compiled functions."""
        if not getattr(stage, "compiles", False):
            yield
            return
        # Such a stage imports numba in any case; for the others it would be half a second.
        from numba.core.event import install_listener

        with install_listener("numba:compile", _listener(self._note)):
            yield

    def _note(self, change: int) -> None:
        with self._lock:
            before, self._compiling = self._compiling, self._compiling + change
            if not (before and self._compiling):
                self._pass_on(self._current())

    def _current(self) -> Progress:
        return replace(self._progress, doing=COMPILING) if self._compiling else self._progress


def _listener(note: Callable[[int], None]) -> Any:
    """A listener of numba's that notes beginnings as 1 and ends as -1."""
    from numba.core.event import Event, Listener

    class Compilations(Listener):  # type: ignore[misc]
        def on_start(self, event: Event) -> None:
            note(1)

        def on_end(self, event: Event) -> None:
            note(-1)

    return Compilations()
