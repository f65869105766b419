"""How far a command is that counts what it has done, on stderr."""

from __future__ import annotations

import sys
import time

from tui.words import duration_in_words

SECONDS_BETWEEN_LINES = 2.0


class CountedLines:
    """Says on stderr how far it is: in one line on a terminal, else in a line now and then.

    noun: what is counted. changing: whether stderr is a terminal.
    """

    def __init__(self, noun: str, changing: bool) -> None:
        self._noun = noun
        self._changing = changing
        self._next = 0.0

    def show(self, done: int, total: int, left_s: float | None) -> None:
        """So many are done; left_s: seconds left, None while unknown."""
        now, last = time.monotonic(), done == total
        if now < self._next and not last:
            return
        self._next = now + (0.1 if self._changing else SECONDS_BETWEEN_LINES)
        left = "" if left_s is None else f"  {duration_in_words(left_s)} left"
        line = f"{done}/{total} {self._noun}{left}"
        if self._changing:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
