"""When Python's collector looks at all there is: not while somebody types."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

_REST_S = 2.0  # after the last key
_MOST_S = 60.0  # between two collections, where nobody types
_LAST_RESORT = 1000  # young collections before a full one comes by itself


class IdleCollector:
    """Makes the full collections, of 50 ms and more, in which a key would have to wait. What is
    there already when this is made is never looked at. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._typed = self._collected = clock()
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], _LAST_RESORT)

    def typed(self) -> None:
        """A key came."""
        self._typed = self._clock()

    def rest(self) -> None:
        """Collect, if it is time."""
        now = self._clock()
        is_new = self._typed > self._collected or now >= self._collected + _MOST_S
        if is_new and now >= self._typed + _REST_S:
            gc.collect()
            self._collected = now
