"""The log: what happened, and what the stages print, as it comes."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from tui.dashboard.keys import LEAVE, LOG_KEYS, bindings, hint
from tui.dashboard.log_lines import LEVELS, LogLines, PrintedLines
from tui.dashboard.long_list import LongList, cell
from tui.dashboard.look import LEVEL_STYLES, safe
from tui.dashboard.model import Model
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.widgets import Line, Prose

_STAGE_CELLS = 13
_SECONDS_BETWEEN_LOOKS = 0.5
_WORDS = {"info": "all levels", "warning": "warnings and errors", "error": "errors alone"}
_STYLES = {**LEVEL_STYLES, "info": ""}
_SIGNS = {"info": " ", "warning": "W", "error": "E"}


class LogList(LongList):
    """The lines that pass the filter; of a long one the rest stands below the list."""

    def __init__(self, lines: LogLines, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = lines
        self.words = ""

    def line(self, number: int, width: int) -> Text:
        """When, which stage, what."""
        entry = self._lines.shown[number]
        text = Text(no_wrap=True)
        text.append(f"{clock_time(entry.time):<9}", style="dim")
        text.append(cell(entry.stage, _STAGE_CELLS), style="cyan")
        text.append(f"{_SIGNS[entry.level]} ", style=_STYLES[entry.level])
        text.append(safe(entry.text, max(1, width)), style=_STYLES[entry.level])
        if self.words:
            text.highlight_words([self.words], "black on yellow", case_sensitive=False)
        return text

    def update(self, dropped: int, follow: bool) -> None:
        """There are other lines. dropped: so many are gone at the top. follow: show the last."""
        count = len(self._lines.shown)
        if not follow and dropped:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False, force=True)
        self.set_lines(count, count - 1 if follow else self.cursor - dropped)


class LogScreen(DashboardScreen):
    """Lines with level and stage. It follows what comes until the user moves up."""

    NAME: ClassVar[str] = "log"
    READS: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LOG_KEYS), LEAVE]
    CSS = """
    LogScreen #line { height: 2; }
    LogScreen #search { display: none; height: 1; border: none; padding: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = LogLines()
        self._printed = PrintedLines(self.dashboard.link.root)
        self._reading = False
        self._looked_at = self._drawn_at = -math.inf
        self._waits = False  # something new is not drawn yet
        self._dropped = 0  # as it was drawn
        self._follow = True
        # Held, not looked up: news may come when the screen has been taken apart already.
        self._head = Line(id="head")
        self._list = LogList(self._lines, id="list")
        self._whole = Prose(id="line")
        self._search = Input(placeholder="words to look for", id="search", compact=True)

    def content(self) -> ComposeResult:
        """What passes the filter; the marked line as a whole; the search."""
        yield self._head
        yield self._list
        yield self._whole
        yield self._search
        keys = Line(id="keys")
        yield keys
        keys.show(Text(hint(LOG_KEYS), style="dim"))

    def on_mount(self) -> None:
        """The keys go to the list."""
        self._list.focus()

    def show(self, model: Model) -> None:
        """Take what is new, and draw it; many lines a second are drawn together."""
        self._waits |= self._lines.take_events(model)
        now = self.dashboard.clock()
        if not self._reading and now >= self._looked_at + _SECONDS_BETWEEN_LOOKS:
            self._reading = True
            names = tuple(stage.name for stage in model.stages)
            read = partial(self._read, names, first=self._looked_at == -math.inf)
            self._looked_at = now
            self.run_worker(read, thread=True, group="log")
        if self._waits and now >= self._drawn_at + self.dashboard.look.panel_s:
            self._draw()

    def on_long_list_moved(self, message: LongList.Moved) -> None:
        """Whoever moves up wants to read; at the end it follows again."""
        message.stop()
        self._set_follow(message.number >= self._list.count - 1)
        self._show_line()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the newest line with the words."""
        self._list.words = event.value.strip()
        self._search.display = bool(self._list.words)
        self._list.focus()
        self._list.refresh()
        if self._list.words:
            self._go(self._list.count - 1, -1)

    def action_leave(self) -> None:
        """From the search to the list, back to the run."""
        if self._search.display:
            self._search.display = False
            self._search.value = self._list.words = ""
            self._list.focus()
            self._list.refresh()
        else:
            self.dismiss()

    def action_follow(self) -> None:
        """Follow, or stay."""
        self._set_follow(not self._follow)
        self._draw()

    def action_level(self) -> None:
        """The next level as the lowest."""
        least = LEVELS[(LEVELS.index(self._lines.least) + 1) % len(LEVELS)]
        self._select(least=least)

    def action_stage(self, by: int) -> None:
        """The next stage alone, or all."""
        known = [stage.name for stage in self.dashboard.model.stages]
        names = ["", *(name for name in known if name in self._lines.stages)]
        names += [name for name in self._lines.stages if name not in names]
        at = names.index(self._lines.stage) if self._lines.stage in names else 0
        self._select(stage=names[(at + by) % len(names)])

    def action_search(self) -> None:
        """Type words to look for."""
        self._search.display = True
        self._search.focus()

    def action_next(self, by: int) -> None:
        """The next line with the words, or the one before."""
        if self._list.words:
            self._go(self._list.cursor + by, by)

    def _select(self, least: str | None = None, stage: str | None = None) -> None:
        level = self._lines.least if least is None else next(x for x in LEVELS if x == least)
        self._lines.select(level, self._lines.stage if stage is None else stage)
        self._set_follow(True)
        self._draw()

    def _go(self, start: int, by: int) -> None:
        found = self._lines.find(self._list.words, start, by)
        if found is None:
            self.dashboard.say(f"No line with {safe(self._list.words, 40)} there.")
        else:
            self._list.action_go(found)

    def _read(self, stages: tuple[str, ...], first: bool) -> None:
        try:
            lines = self._printed.read(stages)
        finally:
            self._reading = False
        if lines:
            self.app.call_from_thread(self._take, lines, first)

    def _take(self, lines: list[tuple[float, str, str]], old: bool) -> None:
        self._waits |= self._lines.take_printed(lines, old)
        if old and self.is_mounted:
            self._draw()

    def _set_follow(self, on: bool) -> None:
        self._follow = on
        self._show_head()

    def _draw(self) -> None:
        self._waits = False
        self._drawn_at = self.dashboard.clock()
        self._list.update(self._lines.dropped - self._dropped, self._follow)
        self._dropped = self._lines.dropped
        self._show_head()
        self._show_line()
        self.has_read()

    def _show_head(self) -> None:
        lines = self._lines
        text = Text.assemble(("Log", "bold"), f"  {_WORDS[lines.least]}")
        text.append(f"  {lines.stage or 'all stages'}", style="cyan" if lines.stage else "")
        follow = self._follow
        words, style = ("  following", "green") if follow else ("  stays, f follows", "yellow")
        text.append(words, style)
        text.append(f"  {len(lines.shown)} of {len(lines)} lines", style="dim")
        if lines.lost:
            text.append(f"  {lines.lost} came too fast", style="yellow")
        self._head.show(text)

    def _show_line(self) -> None:
        shown, at = self._lines.shown, self._list.cursor
        if at >= len(shown):
            self._whole.show(Text("Nothing here yet.", style="dim"))
            return
        entry = shown[at]
        self._whole.show(Text(f"{entry.level}: {safe(entry.text, 1000)}", _STYLES[entry.level]))


def clock_time(seconds: float | None) -> str:
    """Hours, minutes and seconds where the user is; "" where the time is not known."""
    if seconds is None or not 0 <= seconds < 2**40:
        return ""
    return time.strftime("%H:%M:%S", time.localtime(seconds))
