"""Tells what holds an event loop for longer than it may.

asyncio's own debug mode takes the time on the wall. On a machine with other work that is mostly the
time until a processor is free, which says nothing of the loop; the kernel knows how long that was.
The start of a process is excused for the same reason: it lasts until another process has run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from asyncio import Handle
from pathlib import Path
from typing import Any

MOST_S = 0.05
HELD = "the event loop was held for"


def watch() -> None:
    """From now on, tell on stderr of everything that holds a loop of this thread too long, be it by
    computing or by waiting for anything but a processor."""
    statistics = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    run, start_process = Handle._run, subprocess.Popen.__init__
    starting_s = 0.0

    def excused_s() -> float:
        """How long this thread has waited so far without a fault of its own."""
        return starting_s + int(os.pread(statistics, 100, 0).split()[1]) / 1e9

    def watched(handle: Handle) -> None:
        begin, before_s = time.monotonic(), excused_s()
        run(handle)
        seconds = time.monotonic() - begin
        if seconds > MOST_S:
            seconds -= excused_s() - before_s
            if seconds > MOST_S:
                callback = getattr(handle, "_callback", None)
                by = getattr(callback, "__self__", handle)  # the task, where it is one
                sys.stderr.write(f"{HELD} {seconds:.3f} s by {by!r}\n")

    def timed(process: Any, *arguments: Any, **options: Any) -> None:
        nonlocal starting_s
        begin = time.monotonic()
        try:
            start_process(process, *arguments, **options)
        finally:
            starting_s += time.monotonic() - begin

    handles, processes = (Handle, "_run", watched), (subprocess.Popen, "__init__", timed)
    for owner, name, replacement in (handles, processes):
        setattr(owner, name, replacement)


def held(log: Path) -> list[str]:
    """What a log tells of an event loop that was held."""
    return [line for line in log.read_text().splitlines() if HELD in line]
