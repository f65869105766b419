"""Small screens above the others: a question, and a terminal that is too small."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen

from tui.dashboard.widgets import Prose, Quiet

LEAST_SIZE = (60, 18)


class Confirm(ModalScreen[bool]):
    """A question that is answered with y or n. question, hint: plain text."""

    CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical { width: 56; max-width: 90%; height: auto; padding: 1 2;
        background: $surface; }
    Confirm Prose { margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str, hint: str = "") -> None:
        super().__init__()
        self._question, self._hint = question, hint

    def compose(self) -> ComposeResult:
        """The question, what it means, and the keys."""
        with Vertical():
            for text in (self._question, self._hint, "y yes   n no"):
                if text:
                    line = Prose()
                    yield line
                    line.show(text)

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


class TooSmall(ModalScreen[None]):
    """Says that the terminal is too small; goes away by itself when it is not: see `fit`."""

    CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Quiet { width: auto; text-align: center; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,escape", "app.detach", "Leave")]

    def compose(self) -> ComposeResult:
        """The sizes."""
        yield Quiet()

    def show_size(self, width: int, height: int) -> None:
        """Say how large the terminal is and has to be."""
        least = "x".join(map(str, LEAST_SIZE))
        self.query_one(Quiet).show(
            f"Terminal too small\n{width}x{height}, {least} needed\nq leaves"
        )


def is_too_small(width: int, height: int) -> bool:
    """Whether there is no room in so many cells."""
    return width < LEAST_SIZE[0] or height < LEAST_SIZE[1]


def fit(app: App[Any], size: Size) -> None:
    """Say that the terminal is too small where it is, and go on as soon as there is room. The app
    has an action `detach`."""
    small = is_too_small(size.width, size.height)
    shown = isinstance(app.screen, TooSmall)
    if small and not shown:
        app.push_screen(TooSmall())
    elif shown and not small:
        app.pop_screen()

    def say() -> None:
        if isinstance(app.screen, TooSmall):
            app.screen.show_size(size.width, size.height)

    if small:
        app.call_after_refresh(say)
