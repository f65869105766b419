"""Tells what holds an event loop for longer than it may.

asyncio's own debug mode takes the time on the wall. On a machine with other work that is mostly the
time until a processor is free, which says nothing of the loop; the kernel knows how long that was.
"""

from __future__ import annotations

import os
import sys
import time
from asyncio import Handle
from pathlib import Path

MOST_S = 0.05
HELD = "the event loop was held for"


def watch() -> None:
    """From now on, tell on stderr of everything that holds a loop of this thread too long, be it by
    computing or by waiting for anything but a processor."""
    statistics = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    run = Handle._run

    def off_processor_s() -> float:
        """How long this thread has waited for a processor so far."""
        return int(os.pread(statistics, 100, 0).split()[1]) / 1e9

    def watched(handle: Handle) -> None:
        begin, off_before_s = time.monotonic(), off_processor_s()
        run(handle)
        seconds = time.monotonic() - begin
        if seconds > MOST_S:
            seconds -= off_processor_s() - off_before_s
            if seconds > MOST_S:
                callback = getattr(handle, "_callback", None)
                by = getattr(callback, "__self__", handle)  # the task, where it is one
                sys.stderr.write(f"{HELD} {seconds:.3f} s by {by!r}\n")

    Handle._run = watched  # type: ignore[method-assign, assignment]


def held(log: Path) -> list[str]:
    """What a log tells of an event loop that was held."""
    return [line for line in log.read_text().splitlines() if HELD in line]
