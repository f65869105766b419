"""A run as its user has it: started, watched, changed, left, looked at again at its end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import Protocol

_HUMAN_S = 0.3
ERROR = "mapping.max_reprojection_error_px"


class Terminal(Protocol):
    """A terminal with a shell, whose user types and looks."""

    @property
    def text(self) -> str: ...

    def type(self, keys: str) -> None: ...

    def until(self, true: Callable[[str], bool], most_s: float = ...) -> float: ...

    def until_shown(self, *words: str, most_s: float = ...) -> float: ...


def is_line(*words: str) -> Callable[[str], bool]:
    """Whether a line of the screen has all of these words."""
    return lambda text: any(all(word in line for word in words) for line in text.splitlines())


def visit(
    terminal: Terminal,
    barfield: Sequence[str],
    options: Sequence[str],
    run: str,
    *,
    most_s: float,
    pauses: bool,
) -> list[tuple[str, float]]:
    """Go through a run by the keys; what was done, and the seconds until the screen told it.

    barfield: the command. options: of `barfield run`. most_s: the longest that a stage may take.
    pauses: pause before the change, because mapping is soon over. Raises TimeoutError with the
    screen where it does not show what it should.
    """
    took: list[tuple[str, float]] = []

    def step(name: str, keys: str, true: Callable[[str], bool], longest_s: float = most_s) -> None:
        terminal.type(keys)
        took.append((name, terminal.until(true, longest_s)))

    def command(*arguments: str) -> str:
        return shlex.join([*barfield, *arguments]) + "\r"

    step("run opens the dashboard", command("run", *options), is_line("q Detach"))
    step("mapping runs", "", is_line("▶ mapping", "running"))
    if pauses:
        step("Space pauses it", " ", is_line("mapping", "paused"))
    step("p shows the parameters", "p", is_line("Parameters", "revision 0"))
    step("/ finds one", "/", is_line("name, help or unit"))
    step("typing finds it", "max_reprojection_error", is_line(f"{ERROR} = 4"))
    terminal.type("\r")
    time.sleep(_HUMAN_S)  # the next key is for the list
    terminal.type("e")
    time.sleep(_HUMAN_S)
    step("a value is a draft", "3\r", is_line("4 -> 3"))
    step("a applies it", "a", is_line("Parameters", "revision 1"))
    step("l tells of it", "l", is_line("max_reprojection_error_px is 3.0", "was 4.0, by"))
    if pauses:
        terminal.type(" ")
    step("it takes effect", "", is_line("was 4.0 from"))
    step("q leaves, the run goes on", "q", is_line("goes on", "barfield attach"))
    step("attach comes back", command("attach", run), is_line("q Detach"))
    step("mapping is done", "", is_line("mapping", "done"))
    step("the run is done", "l", is_line("run done"))
    step("q leaves what is done", "q", is_line("photographs registered"))
    return took
