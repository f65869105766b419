"""Small screens above the others: a question, and a terminal that is too small."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
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
    """Says that the terminal is too small; goes away by itself when it is not."""

    CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Quiet { width: auto; text-align: center; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,escape", "app.detach", "Detach")]

    def compose(self) -> ComposeResult:
        """The sizes."""
        yield Quiet()

    def show_size(self, width: int, height: int) -> None:
        """Say how large the terminal is and has to be."""
        least = "x".join(map(str, LEAST_SIZE))
        self.query_one(Quiet).show(
            f"Terminal too small\n{width}x{height}, {least} needed\nq detaches"
        )


def is_too_small(width: int, height: int) -> bool:
    """Whether the dashboard has no room in so many cells."""
    return width < LEAST_SIZE[0] or height < LEAST_SIZE[1]
