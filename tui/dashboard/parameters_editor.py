"""The two fields to type in on the parameters' screen: a value in its row, and a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class ValueEditor(Input):
    """A value, in the place of the one in the table. Up and down go through the choices."""

    DEFAULT_CSS = """
    ValueEditor { height: 1; border: none; padding: 0; background: $primary 40%;
        text-style: bold; }
    ValueEditor:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "Choice before", show=False),
        Binding("down", "choose(1)", "Next choice", show=False),
        Binding("tab", "submit", "Keep", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="editor")
        self.cursor_blink = False  # each blink costs bytes on the wire
        self.display = False
        self._choices: Sequence[str] = ()

    def open(self, text: str, choices: Sequence[str]) -> None:
        """Begin with a text, all of it selected: what is typed takes its place."""
        self._choices = choices
        self.display = True
        with self.prevent(Input.Changed):
            self.value = text
        self.screen.set_focus(self)  # at once, not after the next keys
        self.action_select_all()

    def close(self) -> None:
        """Hide."""
        self.display = False

    def action_choose(self, by: int) -> None:
        """The next choice, or the one before."""
        if self._choices:
            known = self.value in self._choices
            at = self._choices.index(self.value) + by if known else 0
            self.value = self._choices[at % len(self._choices)]
            self.action_select_all()


class SearchField(Input):
    """Words to look for; shown while there are some, or while they are typed."""

    DEFAULT_CSS = """
    SearchField { height: 1; border: none; padding: 0 1; background: $boost; }
    SearchField:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,tab", "submit", "To the list", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="search", placeholder="name, help or unit; Enter: to the list")
        self.cursor_blink = False
        self.display = False

    def open(self) -> None:
        """Type."""
        self.display = True
        self.screen.set_focus(self)  # at once, not after the next keys

    def close(self) -> None:
        """Look for nothing."""
        self.display = False
        self.value = ""
