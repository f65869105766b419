"""What signals do to a client that follows a run: the run is another process and goes on."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tui.failures import INTERRUPTED

_LEAVING = (signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"
_Handler = Callable[[int, FrameType | None], None]


@contextmanager
def stopping_on_interrupt(
    stop: Callable[[], None], *, no_detach: bool, last_words: str = ""
) -> Iterator[None]:
    """Ctrl-C calls `stop`, in a thread of its own; once more, and this process ends at once.

    The end of the terminal or of the session ends this process only. no_detach: the run is not to
    outlive this process, so these call `stop` too, and this process goes on waiting. last_words:
    said on stdout by a process that Ctrl-C ends at once.
    """
    asking: list[threading.Thread] = []

    def ask() -> None:
        # Beside the main thread, which may be held up by a terminal that takes no more output.
        asking.append(threading.Thread(target=stop, daemon=True))
        asking[0].start()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not asking:
            ask()
            _say("Stopping after the step at hand; once more to leave at once.")
            return
        asking[0].join(1.0)
        _say("The run goes on stopping.")
        _write_at_once(1, last_words.encode())
        _leave(INTERRUPTED)

    def forward(number: int, frame: FrameType | None) -> None:
        if not asking:
            ask()

    others = forward if no_detach else _end_by
    with _handlers({signal.SIGINT: interrupt, **dict.fromkeys(_LEAVING, others)}):
        yield


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """The end of the terminal or of the session ends this process at once, with a clean terminal;
    Ctrl-C raises KeyboardInterrupt as ever."""
    with _handlers(dict.fromkeys(_LEAVING, _end_by)):
        yield


def _end_by(number: int, frame: FrameType | None) -> None:
    """End as the signal itself would, but with the cursor shown."""
    _show_cursor()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _leave(code: int) -> None:
    _show_cursor()
    os._exit(code)


def _say(text: str) -> None:
    # Not through sys.stderr: the signal may have come in the middle of its own write.
    _write_at_once(2, f"\n{text}\n".encode())


def _show_cursor() -> None:
    if sys.stdout.isatty():
        _write_at_once(1, _SHOW_CURSOR)


def _write_at_once(descriptor: int, text: bytes) -> None:
    """Write if there is somebody who takes it now; a stalled terminal must not hold us."""
    try:
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, text)
    except OSError:
        return  # nobody is there any more


@contextmanager
def _handlers(wanted: Mapping[signal.Signals, _Handler]) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {}
    try:
        for number, handler in wanted.items():
            # What is ignored stays so: under nohup the end of the terminal is no reason to end.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
