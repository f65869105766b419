"""Plots in characters: a line over steps, bars, a grid of shades, points seen from above.

Pure functions from numbers to Rich text. Braille has 2x4 dots a cell; where the terminal has ASCII
alone, a cell is a dot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.text import Text

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of a cell
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = " .:-=+*#@"
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .+#@"
LABEL_CELLS = 9
Point = tuple[float, float]


@dataclass(frozen=True)
class PlotStyle:
    """Sizes in cells, labels included. marks: steps to draw a line at. title: above the plot.
    until: the last step of the axis, None for the last of the series."""

    width: int
    height: int
    unicode: bool = True
    title: str = ""
    marks: Sequence[float] = ()
    color: str = "cyan"
    logarithmic: bool = False
    until: float | None = None


class Canvas:
    """Dots on a grid of cells. width, height: in cells."""

    def __init__(self, width: int, height: int, unicode: bool) -> None:
        self._unicode = unicode
        self.width, self.height = max(1, width), max(1, height)
        self.columns = self.width * (2 if unicode else 1)
        self.rows = self.height * (4 if unicode else 1)
        self._cells = [[0] * self.width for _ in range(self.height)]

    def dot(self, x: int, y: int, sign: str = "*") -> None:
        """Set a dot; one outside is left out. sign: what stands for it in ASCII."""
        if not (0 <= x < self.columns and 0 <= y < self.rows):
            return
        if self._unicode:
            self._cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        else:
            self._cells[y][x] = ord(sign)

    def line(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Set the dots between two, both included."""
        steps = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
        for i in range(steps + 1):
            x = begin[0] + (end[0] - begin[0]) * i / steps
            y = begin[1] + (end[1] - begin[1]) * i / steps
            self.dot(round(x), round(y))

    def lines(self) -> list[str]:
        """A string for each row of cells."""
        base = _BRAILLE if self._unicode else 0
        return ["".join(chr(base + cell) if cell else " " for cell in row) for row in self._cells]


def number(value: float | None, digits: int = 3) -> str:
    """A number in few characters: `0.0123`, `12.3`, `15.1k`, `1.2e-05`; `-` where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if value == int(value) and size < 10_000:
        return str(int(value))
    for limit, divisor, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if limit <= size < 1e12:
            return f"{value / divisor:.{digits}g}{suffix}"
    if size < 1e-3 or size >= 1e12:
        return f"{value:.1e}"
    return f"{value:.{digits}g}" if size < 100 else f"{value:.0f}"


def line_plot(series: Sequence[tuple[float, float, float]], style: PlotStyle) -> Text:
    """A curve with its bounds left and its steps below.

    series: (step, lowest, highest), steps not falling. An empty one says that there is no data yet.
    """
    rows = max(1, style.height - 1 - bool(style.title))
    columns = max(1, style.width - LABEL_CELLS)
    body = Text(no_wrap=True, overflow="crop")
    if style.title:
        body.append(style.title[: style.width] + "\n", style="bold")
    if not series:
        return body.append("no data yet"[: style.width], style="dim")
    logarithmic = style.logarithmic and all(low > 0 for _, low, _ in series)

    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    low = min(scaled(entry[1]) for entry in series)
    high = max(scaled(entry[2]) for entry in series)
    first, last = series[0][0], series[-1][0]
    if style.until is not None and style.until > last:
        first, last = min(0.0, first), style.until
    span, length = (high - low) or 1.0, (last - first) or 1.0
    canvas = Canvas(columns, rows, style.unicode)

    def column(step: float) -> int:
        return round((step - first) / length * (canvas.columns - 1))

    def row(value: float) -> int:
        return round((high - scaled(value)) / span * (canvas.rows - 1))

    before: tuple[int, int] | None = None
    for step, least, most in series:
        here = column(step), row((least + most) / 2 if least != most else least)
        if least != most:
            canvas.line((here[0], row(least)), (here[0], row(most)))
        canvas.line(before or here, here)
        before = here
    marked = {column(step) // (2 if style.unicode else 1) for step in style.marks if
              first <= step <= last}  # fmt: skip
    ends = [number(10**high if logarithmic else high), number(10**low if logarithmic else low)]
    for i, drawn in enumerate(canvas.lines()):
        label = ends[0] if i == 0 else ends[1] if i == rows - 1 else ""
        body.append(f"{label[: LABEL_CELLS - 1]:>{LABEL_CELLS - 1}} ", style="dim")
        _append_marked(body, drawn, marked, style)
        body.append("\n")
    return body.append(" " * LABEL_CELLS + _ends(first, last, columns), style="dim")


def _ends(first: float, last: float, width: int) -> str:
    """The ends of an axis, below it."""
    return _between(number(first), number(last), width)


def _between(begin: str, end: str, width: int) -> str:
    """Words below the begin and the end of an axis."""
    return f"{begin}{end:>{max(1, width - len(begin))}}"[:width]


def _append_marked(body: Text, drawn: str, marked: set[int], style: PlotStyle) -> None:
    """A row of a plot, with an upright line where a parameter was changed."""
    sign = "│" if style.unicode else "|"
    cells = [(sign if i in marked and c == " " else c, i in marked) for i, c in enumerate(drawn)]
    # Runs, not cells: each change of style costs bytes on the wire.
    for is_marked, run in groupby(cells, key=itemgetter(1)):
        body.append("".join(cell for cell, _ in run), "yellow" if is_marked else style.color)


def sparkline(values: Sequence[float], width: int, unicode: bool = True) -> str:
    """The newest values as a row of blocks from nought to the largest; width: most cells."""
    signs = _BLOCKS if unicode else _ASCII_BLOCKS
    shown = [value for value in values[-width:] if math.isfinite(value)]
    top = max(shown, default=0.0)
    if top <= 0:
        return signs[0] * len(shown)
    return "".join(signs[min(8, max(0, round(8 * value / top)))] for value in shown)


def bars(values: Sequence[float], style: PlotStyle, ends: tuple[str, str] = ("", "")) -> Text:
    """Upright bars from nought to the largest value, which stands beside the title.

    Where there are more values than columns, a column shows the mean of those that fall into it.
    ends: what the first and the last bar are, written below.
    """
    body = Text(no_wrap=True, overflow="crop")
    rows = max(1, style.height - 1 - bool(style.title))
    width = max(1, style.width)
    count = len(values)
    if style.title:
        body.append(style.title[:width], style="bold")
        most = f"  most {number(max(values, default=0.0))}"
        if values and len(style.title) + len(most) <= width:
            body.append(most, style="dim")
        body.append("\n")
    if not values:
        return body.append("no data yet"[:width], style="dim")
    if count > width:
        ranges = ((k * count // width, (k + 1) * count // width) for k in range(width))
        drawn = [sum(values[a:b]) / (b - a) for a, b in ranges]
    else:
        drawn = [value for value in values for _ in range(width // count)]
    top = max(drawn)
    signs = _BLOCKS if style.unicode else _ASCII_BLOCKS
    for i in range(rows):
        floor = rows - 1 - i
        filled = (value / top * rows - floor if top > 0 else 0.0 for value in drawn)
        line = "".join(signs[max(0, min(8, math.ceil(8 * share)))] for share in filled)
        body.append(line + "\n", style=style.color)
    return body.append(_between(*ends, len(drawn)), style="dim")


def heat_map(rows: Sequence[Sequence[float]], style: PlotStyle) -> Text:
    """A grid of shades from nought to the largest value; NaN is empty.

    Where the grid has more cells than the plot, a cell shows the mean of those that fall into it.
    """
    body = Text(no_wrap=True, overflow="crop")
    if style.title:
        body.append(style.title[: style.width] + "\n", style="bold")
    if not rows or not rows[0]:
        return body.append("no data yet"[: style.width], style="dim")
    height = min(len(rows), max(1, style.height - bool(style.title)))
    width = min(len(rows[0]), style.width)
    shades = _SHADES if style.unicode else _ASCII_SHADES
    means = [[_mean(rows, (i, height), (j, width)) for j in range(width)] for i in range(height)]
    top = max((v for line in means for v in line if math.isfinite(v)), default=0.0)
    top = top if top > 0 else 1.0
    for line in means:
        cells = (
            shades[0] if math.isnan(value) else shades[math.ceil(4 * max(0.0, value / top))]
            for value in line
        )
        body.append("".join(cells) + "\n", style=style.color)
    body.right_crop(1)
    return body


def _mean(rows: Sequence[Sequence[float]], row: tuple[int, int], column: tuple[int, int]) -> float:
    (i, height), (j, width) = row, column
    lines = rows[i * len(rows) // height : max(1, (i + 1) * len(rows) // height)]
    cells = [
        value
        for line in lines
        for value in line[j * len(line) // width : max(1, (j + 1) * len(line) // width)]
        if math.isfinite(value)
    ]
    return sum(cells) / len(cells) if cells else math.nan


def from_above(cameras: Sequence[Point], points: Sequence[Point], style: PlotStyle) -> Text:
    """Cameras (bright) and points (dim) seen from above, in equal scale on both axes.

    The range is that of the cameras and of the middle 96 % of the points.
    """
    body = Text(no_wrap=True, overflow="crop")
    rows = max(1, style.height - bool(style.title))
    if style.title:
        body.append(style.title[: style.width] + "\n", style="bold")
    if not cameras and not points:
        return body.append("no cameras yet"[: style.width], style="dim")
    behind, before = (Canvas(style.width, rows, style.unicode) for _ in range(2))
    x_low, x_high = _range([c[0] for c in cameras], [p[0] for p in points])
    y_low, y_high = _range([c[1] for c in cameras], [p[1] for p in points])
    # A dot of braille is about as wide as high; a cell is twice as high as wide.
    aspect = 1.0 if style.unicode else 2.0
    scale = max((x_high - x_low) / (behind.columns - 1 or 1),
                (y_high - y_low) / aspect / (behind.rows - 1 or 1)) or 1.0  # fmt: skip

    def place(point: Point) -> tuple[int, int]:
        x = (point[0] - (x_low + x_high) / 2) / scale + (behind.columns - 1) / 2
        y = (behind.rows - 1) / 2 - (point[1] - (y_low + y_high) / 2) / scale / aspect
        return round(x), round(y)

    for point in points:
        behind.dot(*place(point), ".")
    for camera in cameras:
        before.dot(*place(camera), "o")
    for far, near in zip(behind.lines(), before.lines(), strict=True):
        for is_camera, run in groupby(zip(far, near, strict=True), lambda pair: pair[1] != " "):
            cells = "".join(pair[is_camera] for pair in run)
            body.append(cells, f"bold {style.color}" if is_camera else "dim")
        body.append("\n")
    body.right_crop(1)
    return body


def _range(all_of: Sequence[float], most_of: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(most_of)
    cut = len(ordered) // 50
    inner = ordered[cut : len(ordered) - cut]
    ends = [*all_of, *inner[:1], *inner[-1:]]
    return min(ends), max(ends)
