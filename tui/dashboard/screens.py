"""The screens that a key opens, and what they have in common.

To add one: a subclass of `DashboardScreen` in a module of its own, and a line in `SCREENS` under
the name that `keys.py` opens. A key without a screen is not offered.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, cast

from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui.dashboard.early_keys import EarlyKeys
from tui.dashboard.key_line import KeyLine
from tui.dashboard.keys import SCREEN_KEYS
from tui.dashboard.model import Model

if TYPE_CHECKING:
    from tui.dashboard.app import DashboardApp

# By name: module and class. Imported when first opened.
SCREENS: dict[str, str] = {
    "help": "tui.dashboard.help_screen:HelpScreen",
    "log": "tui.dashboard.log_screen:LogScreen",
    "report": "tui.dashboard.report_screen:ReportScreen",
    "photographs": "tui.dashboard.photographs:PhotographsScreen",
    "parameters": "tui.dashboard.parameters:ParametersScreen",
}


def screen_class(name: str) -> type[DashboardScreen] | None:
    """The screen of a name, or None where there is none."""
    target = SCREENS.get(name)
    if target is None:
        return None
    module, _, attribute = target.partition(":")
    found: type[DashboardScreen] = getattr(import_module(module), attribute)
    return found


def import_screens() -> None:
    """Import all screens, in a thread: whoever opens one then need not wait for it."""
    for name in SCREENS:
        screen_class(name)


class DashboardScreen(Screen[None]):
    """A screen of a run. It draws itself from the model in `show`, and asks for changes through the
    app's `give` alone.

    NAME: that of its line in `SCREENS`. READS: it calls `has_read` when it has first read what its
    keys are about; they wait for that.
    """

    NAME: ClassVar[str] = ""
    READS: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=True)]

    def __init__(self) -> None:
        super().__init__()
        self.early = EarlyKeys(SCREEN_KEYS[self.NAME] if self.READS else ())

    @property
    def dashboard(self) -> DashboardApp:
        """The app, by its own type."""
        return cast("DashboardApp", self.app)

    def compose(self) -> ComposeResult:
        """The content, then the keys."""
        yield from self.content()
        yield KeyLine()

    def content(self) -> ComposeResult:
        """The widgets of the screen."""
        raise NotImplementedError

    def show(self, model: Model) -> None:
        """Something is new: at most four times a second, and once a second for the clock."""

    def on_mount(self) -> None:
        """Show what is known already."""
        self.call_after_refresh(self.show_now)

    def on_unmount(self) -> None:
        """Let the lines that were drawn go: this cache of Textual's keeps them for each widget
        there ever was, and Python's collector would look at them all, again and again."""
        StylesCache.get_inner_outer.cache_clear()

    def on_screen_resume(self) -> None:
        """Show what came while another screen was on top."""
        self.show_now()

    def show_now(self) -> None:
        """Show the model as it is."""
        # While the app ends, its timers may come when the widgets are gone already.
        if self.is_mounted and self.is_running and self.children:
            self.show(self.dashboard.model)

    def has_read(self) -> None:
        """Let the keys act that came before; not on what lies above this screen by now."""
        if self.early.is_reading:
            self.early.end(dropping=not self.is_current)
            self.app.post_message(EarlyKeys.Next(self.early))

    def action_leave(self) -> None:
        """Back to the run."""
        self.dismiss()
