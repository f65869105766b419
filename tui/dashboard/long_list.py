"""A list of any length of which only the lines on the screen are ever made."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.dashboard.keys import MOVE_KEYS, OPEN_KEY, bindings
from tui.dashboard.look import MOST_NAME, safe


class LongList(ScrollView, can_focus=True):
    """Lines that a subclass makes in `line`, when they come on the screen.

    One of them is marked, and the keys move the mark. HEADER: lines at the top that stay, made by
    `header`.
    """

    DEFAULT_CSS = """
    LongList { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    HEADER: ClassVar[int] = 0
    BINDINGS: ClassVar[list[BindingType]] = bindings((*MOVE_KEYS, OPEN_KEY))

    class Moved(Message):
        """Another line is marked. number: of the line."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Opened(Message):
        """The user wants to see more of a line."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._count = 0
        self._cursor = 0

    def line(self, number: int, width: int) -> Text:
        """A line, for so many cells."""
        raise NotImplementedError

    def header(self, number: int, width: int) -> Text:
        """A line of the header."""
        raise NotImplementedError

    def header_clicked(self, x: int) -> None:
        """The user clicked on the header."""

    @property
    def count(self) -> int:
        """The number of lines."""
        return self._count

    @property
    def cursor(self) -> int:
        """The number of the marked line; 0 where there is none."""
        return self._cursor

    @property
    def columns(self) -> int:
        """The cells of a line."""
        return self.scrollable_content_region.width

    @property
    def rows(self) -> int:
        """How many lines are on the screen."""
        return max(1, self.size.height - self.HEADER)

    def set_lines(self, count: int, cursor: int = 0) -> None:
        """There are other lines now; draws those on the screen anew."""
        self._count = count
        self._cursor = max(0, min(count - 1, cursor))
        self.virtual_size = Size(self.size.width, count + self.HEADER)
        self._scroll_to_cursor()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the screen."""
        width = self.columns
        number = self.scroll_offset.y + y - self.HEADER
        if y < self.HEADER:
            text = self.header(y, width)
        elif number < self._count:
            text = self.line(number, width).copy()
            if number == self._cursor:
                text.pad_right(max(0, width - cell_len(text.plain)))
                # Colours turned round would be patches.
                text = Text(text.plain)
                text.stylize("reverse" if self.has_focus else "bold")
        else:
            return Strip.blank(width, self.rich_style)
        text.truncate(width, overflow="ellipsis")
        strip = Strip(text.render(self.app.console))
        return strip.apply_style(self.rich_style).adjust_cell_length(width, self.rich_style)

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Its bar does not know of what was scrolled before it was there."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self) -> None:
        """The same lines in another room."""
        self.virtual_size = Size(self.size.width, self._count + self.HEADER)
        self._scroll_to_cursor()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Mark a line; the marked one opens."""
        if event.y < self.HEADER:
            self.header_clicked(event.x)
            return
        number = self.scroll_offset.y + event.y - self.HEADER
        if number < self._count:
            if number == self._cursor:
                self.action_open()
            else:
                self._go(number)

    def action_move(self, by: int) -> None:
        """Up or down by lines."""
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Up or down by pages."""
        self._go(self._cursor + by * max(1, self.rows - 1))

    def action_go(self, number: int) -> None:
        """To a line; -1: the last one."""
        self._go(number if number >= 0 else self._count - 1)

    def action_open(self) -> None:
        """Open the marked line."""
        if self._count:
            self.post_message(self.Opened(self._cursor))

    def _go(self, number: int) -> None:
        number = max(0, min(self._count - 1, number))
        if number == self._cursor:
            return
        before, self._cursor = self._cursor, number
        self._scroll_to_cursor()
        for changed in (before, number):
            y = changed - self.scroll_offset.y + self.HEADER
            self.refresh(Region(0, y, self.size.width, 1))
        self.post_message(self.Moved(number))

    def _scroll_to_cursor(self) -> None:
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + self.rows:
            self.scroll_to(y=self._cursor - self.rows + 1, animate=False, force=True)


def cell(text: str, width: int) -> str:
    """Text of others in exactly so many cells. Of what is too long the middle is left out: names of
    photographs differ at their ends."""
    if len(text) > 2 * MOST_NAME:
        text = text[:MOST_NAME] + text[-MOST_NAME:]
    clean = safe(text, 2 * MOST_NAME)
    if cell_len(clean) > width > 4:
        tail = width - 1 - width // 3
        while cell_len(clean[-tail:]) > width - 1 - width // 3:
            tail -= 1
        head = set_cell_size(clean, width // 3)
        clean = f"{head}…{clean[-tail:] if tail else ''}"
    return set_cell_size(clean, width)
