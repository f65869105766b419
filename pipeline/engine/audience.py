"""Whether anybody listens to the engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


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
