"""Matching and verification: the pairs of photographs as a matrix, and what became of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from pipeline.sketches import MatchingSketch, Matrix, VerificationSketch
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Panel, figures, report_of
from tui.dashboard.panels.general import heading, report_rows
from tui.dashboard.plots import PlotStyle, bars, heat_map, number


class MatchingPanel(Panel):
    """Figures; pairs by matches; the matrix of matches."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("2fr", "2fr", "3fr")

    def draw(self, model: Model, stage: StageView) -> None:
        """Draw all columns."""
        sketch = model.sketches.get(stage.name)
        text = heading(model, stage)
        if not isinstance(sketch, MatchingSketch):
            show_report(self, model, stage, text)
            return
        self.only(0, 1, 2)
        text.append_text(
            figures(
                (
                    ("compared", f"{sketch.pairs} pairs"),
                    ("matched", f"{sketch.matched} pairs"),
                    ("no match", f"{sketch.pairs - sketch.matched} pairs"),
                ),
                10,
            )
        )
        self.column(0).show(text)
        sizes = trimmed(sketch.sizes)
        last = "0" if len(sizes) < 2 else number(2 ** (len(sizes) - 1) - 1)

        def by_size(style: PlotStyle) -> Text:
            return bars(sizes, replace(style, title="pairs by matches"), ("0", last + " (log)"))

        self.column(1).show(self.stacked(1, (by_size,)))
        self.column(2).show(matrix_text("matches", sketch.matrix, self.room(2), self.look.unicode))


class VerificationPanel(Panel):
    """Figures with the kinds of geometry; inlier ratios; the matrix of inliers."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("2fr", "2fr", "3fr")

    def draw(self, model: Model, stage: StageView) -> None:
        """Draw all columns."""
        sketch = model.sketches.get(stage.name)
        text = heading(model, stage)
        if not isinstance(sketch, VerificationSketch):
            show_report(self, model, stage, text)
            return
        self.only(0, 1, 2)
        ratios = sketch.inlier_ratios
        text.append_text(figures((("pairs", str(sum(ratios.counts))),), 12))
        text.append("kinds of geometry\n", style="bold")
        if not sketch.kinds:
            text.append("follow from all pairs\n", style="dim")
        kinds = sorted(sketch.kinds.items(), key=lambda entry: -entry[1])
        for name, count in kinds:
            text.append(f"{count:>4} ")
            words = safe(name, 40).replace("_or_", "/").replace("_", " ")
            text.append(f"{words}\n", style="dim")
        self.column(0).show(text)

        def by_ratio(style: PlotStyle) -> Text:
            ends = f"{ratios.low:g}", f"{ratios.high:g}"
            return bars(ratios.counts, replace(style, title="pairs by inlier ratio"), ends)

        self.column(1).show(self.stacked(1, (by_ratio,)))
        self.column(2).show(matrix_text("inliers", sketch.matrix, self.room(2), self.look.unicode))


def show_report(panel: Panel, model: Model, stage: StageView, text: Text) -> None:
    """What is known of the pairs without a sketch: the report of a stage that has ended, and what
    is missing."""
    text.append_text(figures(report_rows(report_of(model, stage)), 20))
    running = stage.state in ("waiting", "stale", "started")
    words = "The matrix of the pairs appears here." if running else "This run has kept no matrix."
    text.append(words, style="dim")
    panel.column(0).show(text)
    panel.only(0)


def trimmed(counts: tuple[int, ...]) -> tuple[int, ...]:
    """The counts up to the last one that is not nought."""
    used = [i for i, count in enumerate(counts) if count]
    return counts[: used[-1] + 1] if used else ()


def matrix_text(what: str, matrix: Matrix, room: tuple[int, int], unicode: bool) -> Text:
    """The matrix as a square of shades that grow with the square root: weak pairs are to be seen,
    too. room: cells in width and height."""
    values = [
        [math.nan if value is None else math.sqrt(max(0.0, value)) for value in row]
        for row in matrix.cells
    ]
    side = len(values)
    top = max((v**2 for row in values for v in row if math.isfinite(v)), default=0.0)
    title = f"{what} per pair  most {number(top)}"
    width, height = room
    if not side:
        return Text("no pairs", style="dim")
    # A cell of the terminal is twice as high as wide.
    rows = max(1, min(height - 1, width // 2))
    whole = max(1, rows // side)
    tall = [row for row in values for _ in range(whole)]
    wide = [[value for value in row for _ in range(2 * whole)] for row in tall]
    drawn = min(rows, len(tall))
    text = Text(title[:width] + "\n", style="bold", no_wrap=True, overflow="crop")
    plot = heat_map(wide, PlotStyle(max(1, 2 * drawn), max(1, drawn), unicode))
    return Text("", no_wrap=True, overflow="crop").append_text(text).append_text(plot)
