"""A command on a terminal whose screen is known, and what it sends there, byte by byte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from tests.tui.screen_text import ScreenText

MOST_SECONDS = 60.0


class WatchedTerminal:
    """The user's end of a terminal. received: bytes so far. begun: when the command was started."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, screen: ScreenText) -> None:
        self.process = process
        self.screen = screen
        self.received = 0
        self.begun = time.perf_counter()
        self._master = master

    @property
    def text(self) -> str:
        """What the screen shows."""
        return self.screen.text

    def read(self, wait_s: float) -> bool:
        """Take what comes within some seconds, up to one piece; whether something came."""
        if not select.select([self._master], [], [], max(0.0, wait_s))[0]:
            return False
        try:
            data = os.read(self._master, 2**16)
        except OSError:  # the command has left the terminal
            return False
        self.received += len(data)
        self.screen.feed(data)
        return bool(data)

    def watch(self, seconds: float) -> int:
        """Only look for so long; the bytes that came."""
        before, last = self.received, time.perf_counter() + seconds
        while (left := last - time.perf_counter()) > 0:
            self.read(left)
        return self.received - before

    def until(self, true: Callable[[str], bool], most_s: float = MOST_SECONDS) -> float:
        """Look until something is true of the screen; the seconds that took. TimeoutError with
        what is shown where it does not come true."""
        begin = time.perf_counter()
        while not true(self.text):
            waited = time.perf_counter() - begin
            if waited > most_s:
                raise TimeoutError(self.text)
            self.read(min(0.5, most_s - waited))
        return time.perf_counter() - begin

    def until_shown(self, *words: str, most_s: float = MOST_SECONDS) -> float:
        """Look until all of these words are on the screen."""
        return self.until(lambda text: all(word in text for word in words), most_s)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Look until the command has ended; its exit code."""
        last = time.perf_counter() + MOST_SECONDS
        while self.process.poll() is None:
            if time.perf_counter() > last:
                raise TimeoutError(self.text)
            self.read(0.05)
        while self.read(0.0):
            pass
        return self.process.returncode


@contextmanager
def watched(
    command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
) -> Iterator[WatchedTerminal]:
    """Start a command on a terminal of a size (width, height); it ends with the block."""
    master, slave = pty.openpty()
    width, height = size
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    terminal = WatchedTerminal(process, master, ScreenText(width, height))
    terminal.begun = begun
    try:
        yield terminal
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(master)
