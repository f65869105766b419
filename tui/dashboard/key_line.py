"""The keys of a screen at its foot, in one widget.

Textual's own footer has a widget for each key and makes them all anew whenever the focus moves:
that was most of what opening a screen cost, and keys had to wait for it.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen

from tui.dashboard.widgets import Line


class KeyLine(Line):
    """What the footer tells of the keys that do something now, as many as there is room for; a
    click presses one."""

    DEFAULT_CSS = """
    KeyLine { dock: bottom; width: 1fr; color: $footer-foreground; background: $footer-background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[tuple[int, str]] = []  # behind which cell a key's words end, and the key

    def on_mount(self) -> None:
        """Follow what the screen offers."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_keys())

    def on_unmount(self) -> None:
        """Let go of the app, which would keep this with its whole screen."""
        self.app.theme_changed_signal.unsubscribe(self)

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        for end, key in self._ends:
            if event.x < end:
                self.app.simulate_key(key)
                return

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self._show_keys()

    def _show_keys(self) -> None:
        text, self._ends = Text(no_wrap=True), []
        style = f"bold {self.app.theme_variables['footer-key-foreground']}"
        for binding in self._fitting(self._offered()):
            text.append(f" {self.app.get_key_display(binding)} ", style)
            text.append(f"{binding.description} ")
            self._ends.append((cell_len(text.plain), binding.key))
        if text != self._text or text.spans != self._text.spans:
            self.show(text)

    def on_resize(self) -> None:
        """Tell of as many keys as there is room for."""
        self._show_keys()

    def _fitting(self, offered: list[Binding]) -> list[Binding]:
        """Those that there is room for: the last one, which leaves, and of the others the first."""
        if not offered or not self.size.width:
            return offered
        *others, last = offered
        room = self.size.width - self._cells(last)
        shown = []
        for binding in others:
            room -= self._cells(binding)
            if room < 0:
                break
            shown.append(binding)
        return [*shown, last]

    def _cells(self, binding: Binding) -> int:
        return cell_len(f" {self.app.get_key_display(binding)} {binding.description} ")

    def _offered(self) -> list[Binding]:
        """The bindings to tell of, one for each action."""
        active = self.screen.active_bindings.values()
        return list({
            entry.binding.action: entry.binding
            for entry in reversed(active)
            if entry.binding.show and entry.enabled
        }.values())[::-1]  # fmt: skip
