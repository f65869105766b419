"""The command line as a process, on a real terminal or without one."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.runtime import EngineFile, find_engine
from tests.tui.fake_engine import Play

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


def environment(play: Play) -> dict[str, str]:
    """Of a command whose engine plays that run."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", **play.as_variable()}


def start(*arguments: str, play: Play = Play(), **options: Any) -> subprocess.Popen[str]:  # noqa: B008
    """Start a command without a terminal."""
    command = [sys.executable, "-m", "tests.tui.fake_cli", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, text=True, env=environment(play), **options
    )


def call(*arguments: str, play: Play = Play()) -> tuple[int, str, str]:  # noqa: B008
    """Run a command to its end: exit code, stdout, stderr."""
    process = start(*arguments, play=play)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


class Terminal:
    """A command on a terminal of its own, whose user is the test."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.shown = ""

    def read_until(self, words: str) -> None:
        """Read what is shown until the words are among it."""
        self.read(lambda: words in self.shown)
        assert words in self.shown, self.shown

    def read(self, enough: Callable[[], bool]) -> None:
        """Read what is shown until it is enough, or until nobody has the terminal open."""
        last = time.monotonic() + PATIENCE_S
        while not enough():
            assert time.monotonic() < last, self.shown
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.master, 2**16).decode(errors="replace")
                except OSError:
                    return

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        os.close(self.master)
        self.master = -1

    def end(self) -> int:
        """Read to the end of the command; its exit code."""
        self.read(lambda: False)
        return self.process.wait(PATIENCE_S)


@contextmanager
def terminal(
    *arguments: str,
    play: Play = Play(),  # noqa: B008
    module: str = "tests.tui.fake_cli",
) -> Iterator[Terminal]:
    """Start a command on a terminal of its own. module: what stands for `barfield`."""
    master, slave = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(play),
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    shown = Terminal(process, master)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if shown.master >= 0:
            os.close(shown.master)


def engine_of(root: Path) -> EngineFile:
    """The engine of a run, once there is one."""
    until(lambda: find_engine(root) is not None)
    engine = find_engine(root)
    assert engine is not None
    return engine


def steps_of(root: Path) -> int:
    """How many steps the fake engine of a run has made."""
    try:
        return int((root / "steps").read_text() or "0")
    except FileNotFoundError:
        return 0


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    last = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < last
        time.sleep(0.02)
