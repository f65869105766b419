"""A shell in a terminal of tmux's own, as somebody has it who works on a machine far away."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MOST_SECONDS = 60.0
_BETWEEN_LOOKS_S = 0.05


def has_tmux() -> bool:
    """Whether it is installed."""
    return shutil.which("tmux") is not None


class TmuxTerminal:
    """The user's end: keys in, the screen out."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def text(self) -> str:
        """What the screen shows."""
        return self._call("capture-pane", "-p")

    def type(self, keys: str) -> None:
        """Press keys."""
        self._call("send-keys", "-l", keys)

    def until(self, true: Callable[[str], bool], most_s: float = MOST_SECONDS) -> float:
        """Look until something is true of the screen; the seconds that took. TimeoutError with
        what is shown where it does not come true."""
        begin = time.perf_counter()
        while not true(text := self.text):
            waited = time.perf_counter() - begin
            if waited > most_s:
                raise TimeoutError(text)
            time.sleep(_BETWEEN_LOOKS_S)
        return time.perf_counter() - begin

    def until_shown(self, *words: str, most_s: float = MOST_SECONDS) -> float:
        """Look until all of these words are on the screen."""
        return self.until(lambda text: all(word in text for word in words), most_s)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


@contextmanager
def tmux_shell(
    folder: Path, size: tuple[int, int], environment: Mapping[str, str]
) -> Iterator[TmuxTerminal]:
    """A shell in a terminal of a size (width, height), with a tmux server of its own that ends with
    the block. folder: for its socket; its path is to be short."""
    socket = folder / "tmux"
    width, height = size
    command = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    environment = {**environment, "PS1": "$ ", "TERM": "xterm-256color"}
    subprocess.run(
        [*command, "new-session", "-d", "-x", str(width), "-y", str(height), "sh"],
        check=True,
        env=environment,
    )
    subprocess.run([*command, "set", "-g", "status", "off"], check=True, env=environment)
    try:
        yield TmuxTerminal(socket)
    finally:
        subprocess.run([*command, "kill-server"], check=False, env=environment)
