"""The help: every key and what it does, from the one table of keys."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.dashboard.keys import GROUPS, Key, keys_of
from tui.dashboard.model import Model
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.widgets import Prose


class HelpScreen(DashboardScreen):
    """Every key, grouped by what it is for."""

    NAME: ClassVar[str] = "help"
    CSS = "HelpScreen Prose { padding: 0 1; }"

    def content(self) -> ComposeResult:
        """One text that scrolls where it has to."""
        with VerticalScroll(can_focus=True):
            yield Prose()

    def show(self, model: Model) -> None:
        """The table of keys."""
        text = Text()
        for group in GROUPS:
            text.append(f"{group}\n", style="bold")
            for key in filter(self.dashboard.offers, keys_of(group)):
                text.append_text(_row(key, off=key.steers and self.dashboard.readonly))
        text.append("\nThe run goes on when you leave. Esc goes back.", style="dim")
        self.query_one(Prose).show(text)


def _row(key: Key, *, off: bool) -> Text:
    row = Text(f"  {key.shown:<9}", style="dim" if off else "cyan")
    row.append(key.help + (" Off: --readonly." if off else "") + "\n", style="dim" if off else "")
    return row
