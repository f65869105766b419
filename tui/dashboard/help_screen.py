"""The help: every key that does something here, and what it does, from the one table of keys."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tui.dashboard.key_line import KeyLine
from tui.dashboard.keys import (
    APP_KEYS,
    GROUPS,
    OPENING_KEYS,
    OPENING_LIST_KEYS,
    SCREEN_KEYS,
    Key,
)
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
        offered = filter(self.dashboard.offers, keys)
        width = where.content_size.width
        return keys_text(title, offered, width, readonly=self.dashboard.readonly)


class OpeningHelp(ModalScreen[None]):
    """The keys of the opening; the keys that lie below do nothing meanwhile."""

    CSS = """
    OpeningHelp { background: $background; }
    OpeningHelp VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1", "dismiss", "Back", key_display="Esc"),
        Binding("q", "app.detach", "Leave"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._keys = Prose()

    def compose(self) -> ComposeResult:
        """The table of keys, which scrolls where it has to."""
        with VerticalScroll(can_focus=True):
            yield self._keys
        yield KeyLine()

    def on_resize(self) -> None:
        """Break the lines anew."""
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        width = self._keys.content_size.width
        keys = keys_text("Recent runs and folders", (*OPENING_KEYS, *OPENING_LIST_KEYS), width)
        self._keys.show(keys)


def keys_text(title: str, keys: Iterable[Key], width: int, *, readonly: bool = False) -> Text:
    """A table of keys in so many cells. readonly: those that steer are off."""
    room = max(_LEAST_CELLS, width - _KEY_CELLS)
    lines = [Text(title, style="bold")]
    for key in keys:
        off = key.steers and readonly
        words = wrap(key.help + (" Off: --readonly." if off else ""), room)
        for number, part in enumerate(words):
            shown = "" if number else f"  {key.all_shown}"
            line = Text.assemble((f"{shown:<{_KEY_CELLS}}", "dim" if off else "cyan"))
            lines.append(line.append(part, style="dim" if off else ""))
    return Text("\n").join(lines)
