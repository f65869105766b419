"""The table of the parameters: rows with a cursor, of which only what is seen is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.dashboard.keys import MOVE_KEYS, SECTION_KEYS, bindings
from tui.dashboard.look import Look


@dataclass(frozen=True)
class Row:
    """A line of the table. name: of its parameter; "" for a heading, which the cursor passes."""

    name: str
    text: Text


class ParametersTable(ScrollView, can_focus=True):
    """Rows, and a cursor that the keys move."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"parameters--cursor"}
    DEFAULT_CSS = """
    ParametersTable .parameters--cursor { background: $panel; }
    ParametersTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    # Priority: in step with the keys of the screen, which are carried out at once.
    BINDINGS: ClassVar[list[BindingType]] = bindings((*MOVE_KEYS, *SECTION_KEYS), priority=True)

    class Moved(Message):
        """The cursor is at another parameter."""

    class Chosen(Message):
        """A parameter is to be edited."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._rows: list[Row] = []
        self.cursor = -1  # of _rows; -1 where there is none

    @property
    def selected(self) -> str:
        """The parameter at the cursor; "" where there is none."""
        return self._rows[self.cursor].name if 0 <= self.cursor < len(self._rows) else ""

    @property
    def cursor_line(self) -> int:
        """The line of the widget that the cursor is on."""
        return self.cursor - self.scroll_offset.y

    def show(self, rows: Sequence[Row], selected: str = "") -> None:
        """Show these rows; the cursor stays at its parameter, or goes to `selected`."""
        wanted = selected or self.selected
        before, cursor = self._rows, self.cursor
        self._rows = list(rows)
        names = [row.name for row in rows]
        first = next((i for i, name in enumerate(names) if name), -1)
        self.cursor = names.index(wanted) if wanted and wanted in names else first
        if len(before) != len(rows):
            self.virtual_size = Size(self.size.width, len(rows))
        for y in range(max(len(before), len(rows))):
            old, new = (some[y] if y < len(some) else None for some in (before, self._rows))
            moved = cursor != self.cursor and y in (cursor, self.cursor)
            if moved or old is None or new is None or _differ(old.text, new.text):
                self.refresh_line(y)
        if cursor != self.cursor:
            # Later, because there is nothing to scroll before.
            self.call_after_refresh(self._reveal, at_top=cursor < 0)

    @property
    def columns(self) -> int:
        """The cells of a line."""
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        """A line of what is seen."""
        width, at = self.columns, y + self.scroll_offset.y
        if at >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[at]
        text = Text(no_wrap=True)
        here = at == self.cursor
        text.append(self._look.sign("started") if here else " ", style="bold cyan")
        text.append_text(row.text)
        text.truncate(width, overflow="ellipsis")
        if here:
            text.pad_right(max(0, width - text.cell_len))
            # Reverse shows without colours, too.
            text.stylize("bold" if self._look.color else "bold reverse")
        strip = Strip(text.render(self.app.console))
        base = self.rich_style
        if here and self._look.color:
            base += self.get_component_rich_style("parameters--cursor")
        return strip.apply_style(base).adjust_cell_length(width, base)

    def action_move(self, by: int) -> None:
        """To the next parameter above or below."""
        at = self.cursor + by
        while 0 <= at < len(self._rows):
            if self._rows[at].name:
                self._go(at)
                return
            at += by
        if by < 0:
            self.scroll_to(y=0, animate=False)  # the heading of the first

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self._go_near(self.cursor + by * max(1, self.size.height - 1), by)

    def action_go(self, number: int) -> None:
        """To the first parameter; -1: to the last."""
        first = number >= 0
        self._go_near(0 if first else len(self._rows) - 1, -1 if first else 1)

    def action_section(self, by: int) -> None:
        """To the first parameter of the next stage, or of the one before."""
        stages = [row.name.partition(".")[0] for row in self._rows]
        starts = [i for i, stage in enumerate(stages) if stage and (i == 0 or not stages[i - 1])]
        here = max((k for k, start in enumerate(starts) if start <= self.cursor), default=0)
        if starts:
            self._go(starts[(here + by) % len(starts)])
            self._reveal(at_top=True)

    def on_click(self, event: events.Click) -> None:
        """A click selects; a second one on the same line edits."""
        at = event.y + self.scroll_offset.y
        if 0 <= at < len(self._rows) and self._rows[at].name:
            if at == self.cursor:
                self.post_message(self.Chosen())
            self._go(at)

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Its bar does not know of what was scrolled before it was there."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self._rows))
        self._reveal()

    def _go_near(self, at: int, by: int) -> None:
        """To a row, or to the nearest parameter in the direction of `by`, else against it."""
        if not self._rows:
            return
        at = max(0, min(len(self._rows) - 1, at))
        around = [*range(at, len(self._rows))], [*range(at, -1, -1)]
        ways = around if by > 0 else around[::-1]
        found = next((i for way in ways for i in way if self._rows[i].name), -1)
        if found >= 0:
            self._go(found)

    def _go(self, at: int) -> None:
        before, self.cursor = self.cursor, at
        for y in (before, at):
            self.refresh_line(y)
        self._reveal()
        if before != at:
            self.post_message(self.Moved())

    def _reveal(self, *, at_top: bool = False) -> None:
        """Scroll until the cursor is in sight, with the heading above it; at_top: that comes first,
        so that what follows is in sight, too."""
        top, height = round(self.scroll_offset.y), self.size.height
        above = self.cursor - (self.cursor > 0 and not self._rows[self.cursor - 1].name)
        if self.cursor < 0 or height <= 0:
            return
        if at_top:
            while above > 0 and self._rows[above].name:
                above -= 1
            above = max(above, self.cursor - height + 1)
            self.scroll_to(y=above, animate=False, immediate=True, force=True)
        elif above < top:
            self.scroll_to(y=above, animate=False, immediate=True, force=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True, force=True)


def _differ(old: Text, new: Text) -> bool:
    return old != new or old.spans != new.spans
