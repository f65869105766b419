"""How often a screen is drawn: at once after a key, and never too often for a slow line."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_FRAMES_A_SECOND = 15
_AT_ONCE = 3
_PERIOD_S = 1.0 / (MOST_FRAMES_A_SECOND - _AT_ONCE)


class FramePace:
    """Lets a few frames pass one upon the other, as a key needs them that opens a screen, and many
    only evenly: no second has more than `MOST_FRAMES_A_SECOND`. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock()

    def may_draw(self) -> bool:
        """Whether a frame may be drawn now."""
        return self._clock() >= self._due - (_AT_ONCE - 1) * _PERIOD_S

    def drawn(self) -> None:
        """A frame was drawn."""
        self._due = max(self._due, self._clock()) + _PERIOD_S
