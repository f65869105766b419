"""Whether anybody listens to the engine, and how long it waits for somebody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long the engine stays after the end of its run when nobody listens any more, in seconds.

    failed_s: long enough to try again from a terminal that is still open.
    """

    done_s: float = 1.0
    failed_s: float = 600.0


class Audience:
    """Counts the clients that are waiting for news, and how long ago the last one was heard."""

    def __init__(self) -> None:
        self._listening = 0
        self._heard = time.monotonic()

    def touch(self) -> None:
        """Somebody was here just now."""
        self._heard = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody is here for the time of the block."""
        self._listening += 1
        try:
            yield
        finally:
            self._listening -= 1
            self.touch()

    def quiet_s(self) -> float:
        """Seconds since anybody was here; 0 while somebody is."""
        return 0.0 if self._listening else time.monotonic() - self._heard
