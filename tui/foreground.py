"""Runs the method in this process and shows what it does; Ctrl-C stops it cleanly."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline import commands
from pipeline.errors import PipelineError, Stopped
from tui.failures import INTERRUPTED
from tui.progress import progress_display
from tui.report_view import show_summary

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_in_foreground(request: commands.RunRequest) -> dict[str, Any]:
    """Run, show progress, then the outcome in a few lines; the report.

    Raises PipelineError where the run failed or no model came out, and Stopped (after a word about
    it) where the user stopped it. A second signal ends the process at once.
    """
    stop = threading.Event()
    try:
        with _stopping_on_signals(stop), progress_display(sys.stdout) as display:
            report = commands.run(request, (display,), stop)
    except Stopped:
        sys.stderr.write("Stopped. What was finished is kept: the same command continues.\n")
        raise
    show_summary(report, request.out)
    if report["complete"] and not report["models"]:
        raise PipelineError(
            "No model came out",
            f"none of the {report['images']} photographs could be registered",
            f"barfield report {request.out} says why, photograph by photograph.",
        )
    return report


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` at the first signal that asks for the end, leave at once at the second."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        # Not through sys.stderr: the signal may have come in the middle of its own write.
        os.write(2, b"\nStopping after the step at hand; once more to leave at once.\n")

    # What is ignored stays so: under nohup the end of the terminal is no reason to stop.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
