"""Widgets that all panels and screens share."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.dashboard.look import safe
from tui.dashboard.model import Picture
from tui.dashboard.pictures import half_blocks


class Quiet(Widget):
    """Text of which only the lines that differ from what is there go to the terminal.

    WRAPS: long lines are wrapped; otherwise they are cut at the edge.
    """

    DEFAULT_CSS = "Quiet { width: 1fr; height: auto; }"
    WRAPS: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._text = Text()
        self._lines: list[Text] = []

    def show(self, text: Text | str) -> None:
        """Show this. A string is plain text, whatever it holds."""
        self._text = text if isinstance(text, Text) else Text(text)
        if self._text.style:
            # Rich leaves the style of the whole out where no part has one.
            self._text.stylize_before(self._text.style)
        self._replace(self._broken(self.content_size.width))

    @property
    def shown(self) -> str:
        """What is shown, without its colours."""
        return self._text.plain

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The cells of the longest line."""
        lines = self._text.plain.split("\n")
        return max((cell_len(line) for line in lines), default=0)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of lines."""
        return len(self._broken(width))

    def render_line(self, y: int) -> Strip:
        """A line of the text."""
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[y].copy()
        line.truncate(width, overflow="ellipsis")
        strip = Strip(line.render(self.app.console))
        return strip.apply_style(self.rich_style).adjust_cell_length(width, self.rich_style)

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._lines = self._broken(self.content_size.width)
        self.refresh()

    def _broken(self, width: int) -> list[Text]:
        if not self.WRAPS or width <= 0:
            return list(self._text.split("\n", allow_blank=False))
        return list(self._text.wrap(self.app.console, width, overflow="fold"))

    def _replace(self, lines: list[Text]) -> None:
        """Send what is different."""
        before, self._lines = self._lines, lines
        if len(before) != len(lines) and self.styles.auto_dimensions:
            self.refresh(layout=True)
            return
        width = self.content_size.width
        none = Text()
        for y in range(max(len(before), len(lines))):
            old = before[y] if y < len(before) else none
            new = lines[y] if y < len(lines) else none
            if old != new or old.spans != new.spans:
                self.refresh(Region(0, y, width, 1))


class Prose(Quiet):
    """Text that is wrapped."""

    WRAPS = True


class Line(Quiet):
    """One line that is cut at the edge."""

    DEFAULT_CSS = "Line { height: 1; }"


def picture_text(picture: Picture | None, width: int, height: int) -> Text:
    """A picture in half-blocks with its caption below; words where there is none.

    width, height: cells it may take, caption included.
    """
    if picture is None:
        return Text("no picture yet", style="dim")
    drawn = half_blocks(picture.data, width, height - 1)
    if drawn is None:
        return Text(f"{safe(picture.file, 60)} is no picture", style="dim", overflow="ellipsis")
    text = drawn.copy()
    text.append("\n" + safe(picture.caption or picture.file, max(1, width)), style="dim")
    return text
