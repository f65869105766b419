"""What all panels have in common: they draw themselves from the model, for the room they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from pipeline.engine.messages import StageView
from tui.dashboard.look import Look, safe
from tui.dashboard.model import Model, Picture, Series
from tui.dashboard.plots import PlotStyle, line_plot, number
from tui.dashboard.widgets import Quiet, picture_text

LEAST_PLOT_ROWS, MOST_PLOT_ROWS = 4, 16
Drawer = Callable[[PlotStyle], Text]  # a plot for the room that a style gives


class Panel(Horizontal):
    """Shows one stage in columns. A subclass draws into `column(i)` in `draw`.

    COLUMNS: their widths as CSS; COLUMN: what they are made of. FIGURES_CELLS: the least room of
    the first of several, which holds names and values. look: what the terminal can show.
    """

    DEFAULT_CSS = """
    Panel { height: 1fr; overflow: hidden; }
    Panel > .column { height: 1fr; padding: 0 1 0 0; }
    """
    COLUMNS: ClassVar[tuple[str, ...]] = ("1fr",)
    COLUMN: ClassVar[type[Quiet]] = Quiet
    FIGURES_CELLS: ClassVar[int] = 23

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self._columns = [self.COLUMN(classes="column") for _ in self.COLUMNS]
        self._drawn_at = -math.inf
        self._last: tuple[Model, StageView] | None = None
        for column, width in zip(self._columns, self.COLUMNS, strict=True):
            column.styles.width = width
        if len(self._columns) > 1:
            self._columns[0].styles.min_width = self.FIGURES_CELLS

    def compose(self) -> ComposeResult:
        """The columns."""
        yield from self._columns

    def show(self, model: Model, stage: StageView, now: float) -> None:
        """Show a stage as it is. now: monotonic seconds; curves that move all the time would fill
        a slow link, so that what is drawn stays for a while."""
        changed = self._last is None or self._last[1].state != stage.state
        self._last = model, stage
        if self.size and (changed or now >= self._drawn_at + self.look.panel_s):
            self._drawn_at = now
            self.draw(model, stage)

    def draw(self, model: Model, stage: StageView) -> None:
        """Fill the columns; called when something is new, or the room has changed."""
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        """Draw anew for the new room."""
        # The columns get theirs after this one.
        self.call_after_refresh(self._draw_again)

    def _draw_again(self) -> None:
        if self._last is not None and self.size:
            self.draw(*self._last)

    def column(self, number: int) -> Quiet:
        """A column."""
        return self._columns[number]

    def only(self, *numbers: int) -> None:
        """Show these columns alone; where that changes their room, they are drawn again."""
        changed = False
        for i, column in enumerate(self._columns):
            changed |= column.display != (i in numbers)
            column.display = i in numbers
        if changed:
            self.call_after_refresh(self._draw_again)

    def room(self, number: int) -> tuple[int, int]:
        """Width and height of a column in cells."""
        size = self._columns[number].content_size
        return size.width, size.height

    def picture_of(self, model: Model, stage: StageView) -> Picture | None:
        """The newest picture of a stage; None where there is none yet, or the look has none."""
        return model.pictures.get(stage.name) if self.look.pictures else None

    def show_picture(self, number: int, picture: Picture | None) -> None:
        """Show a picture in the last column; without one, the other columns have its room."""
        self.only(*range(number if picture is None else number + 1))
        if picture is not None:
            self.column(number).show(picture_text(picture, *self.room(number)))

    def append_names(self, text: Text, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Names with a value each, below what the first column shows already, as many as there is
        room for. rows: value and name."""
        width, height = self.room(0)
        most = height - text.plain.count("\n") - 1
        if most > 0 and rows:
            text.append(f"{title}\n", style="bold")
            for value, name in rows[:most]:
                text.append(f"{value:>7}  ")
                text.append(f"{safe(name, max(8, width - 9))}\n", style="dim")

    def plots(
        self,
        number: int,
        series: Sequence[tuple[str, Series | None]],
        marks: Iterable[float] = (),
        until: float | None = None,
    ) -> Text:
        """Plots below each other, as many as the height of a column allows, the first first.

        series: title and metric; a metric that nobody told yet is left out, but for the first.
        marks: steps of changed parameters. until: the last step of the axis, so that the curve
        grows and what is drawn stays; None: the newest.
        """
        told = [entry for entry in series if entry[1] is not None] or list(series[:1])
        return self.stacked(number, [self.curve(*entry, marks, until) for entry in told])

    def curve(
        self,
        title: str,
        metric: Series | None,
        marks: Iterable[float] = (),
        until: float | None = None,
    ) -> Drawer:
        """Draws a metric over steps; arguments as in `plots`."""

        def draw(style: PlotStyle) -> Text:
            style = replace(style, title=_title(title, metric), marks=tuple(marks), until=until)
            return line_plot([] if metric is None else metric.points(max(8, style.width)), style)

        return draw

    def stacked(self, number: int, drawers: Sequence[Drawer]) -> Text:
        """Plots below each other, as many as the height of a column allows, the first first."""
        width, height = self.room(number)
        count = max(1, min(len(drawers), height // LEAST_PLOT_ROWS))
        drawn = []
        for i, draw in enumerate(drawers[:count]):
            rows = min(MOST_PLOT_ROWS, (i + 1) * height // count - i * height // count)
            drawn.append(draw(PlotStyle(width, rows, self.look.unicode)))
        return Text("\n", no_wrap=True).join(drawn)


def _title(title: str, metric: Series | None) -> str:
    if metric is None:
        return title
    unit = f" {metric.unit}" if metric.unit not in ("", "1/s") else ""
    return f"{title} {number(metric.last)}{unit}"


def figures(rows: Iterable[tuple[str, str]], width: int = 14) -> Text:
    """Names and values, one pair a line; pairs without a value are left out."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, value in rows:
        if value:
            text.append(f"{name:<{width}}", style="dim")
            text.append(f"{safe(value)}\n")
    return text


def report_of(model: Model, stage: StageView) -> dict[str, Any]:
    """What a stage reported when it ended; nothing before, nor while it runs again."""
    return model.reports.get(stage.name, {}) if stage.state in ("done", "skipped") else {}


def value_of(model: Model, stage: str, name: str, digits: int = 4) -> str:
    """The newest value of a metric with its unit; "" where nobody told it."""
    series = model.metric(stage, name)
    if series is None:
        return ""
    return f"{number(series.last, digits)} {series.unit}".rstrip()
