"""The help: every key that does something here, and what it does, from the one table of keys."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.dashboard.keys import APP_KEYS, GROUPS, SCREEN_KEYS, Key
from tui.dashboard.model import Model
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.widgets import Prose

_WIDE_CELLS = 110
_KEY_CELLS = 13
_LEAST_CELLS = 20
_BACK = Key("escape", "leave", "Back", "Back to the run, step by step.")


class HelpScreen(DashboardScreen):
    """The keys of the screen below, then those that work everywhere, by what they are for."""

    NAME: ClassVar[str] = "help"
    CSS = """
    HelpScreen VerticalScroll { layout: vertical; padding: 0 1; scrollbar-size-vertical: 1; }
    HelpScreen Prose { margin: 0 0 1 0; }
    HelpScreen.-wide VerticalScroll { layout: horizontal; }
    HelpScreen.-wide Prose { width: 1fr; margin: 0 2 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._here, self._everywhere = Prose(), Prose()

    def content(self) -> ComposeResult:
        """Beside each other where there is room; they scroll where they have to."""
        with VerticalScroll(can_focus=True):
            yield self._here
            yield self._everywhere

    def on_resize(self) -> None:
        """One or two columns."""
        self.set_class(self.app.size.width >= _WIDE_CELLS, "-wide")
        self.call_after_refresh(self.show_now)

    def show(self, model: Model) -> None:
        """The table of keys."""
        name = self.dashboard.screen_below(self).NAME
        here, everywhere = self._here, self._everywhere
        back = () if name == "run" else (_BACK,)
        here.show(self._group("On this screen", (*SCREEN_KEYS[name], *back), here))
        groups = [
            self._group(group, (key for key in APP_KEYS if key.group == group), everywhere)
            for group in GROUPS
        ]
        end = Text("The run goes on when you leave. Esc goes back.", style="dim")
        everywhere.show(Text("\n").join([*groups, end]))

    def _group(self, title: str, keys: Iterable[Key], where: Prose) -> Text:
        room = max(_LEAST_CELLS, where.content_size.width - _KEY_CELLS)
        lines = [Text(title, style="bold")]
        for key in filter(self.dashboard.offers, keys):
            off = key.steers and self.dashboard.readonly
            words = wrap(key.help + (" Off: --readonly." if off else ""), room)
            for number, part in enumerate(words):
                shown = "" if number else f"  {key.all_shown}"
                line = Text.assemble((f"{shown:<{_KEY_CELLS}}", "dim" if off else "cyan"))
                lines.append(line.append(part, style="dim" if off else ""))
        return Text("\n").join(lines)
