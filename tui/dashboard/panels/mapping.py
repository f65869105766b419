"""Mapping: how the model grows, and which photographs are in it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from pipeline.sketches import MappingSketch
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Drawer, Panel, figures, report_of, value_of
from tui.dashboard.panels.general import heading
from tui.dashboard.plots import PlotStyle, Point, bars, from_above, number, sparkline

_STAGE = "mapping"
_ONE_LINE_CELLS = 45
_NAME_CELLS = 13
_LEAST_PLAN_ROWS = 5
_REASON_ROWS = 5  # that the plan leaves to reasons where there are any
_FIRST_LENGTH = 2  # photographs that see a point of the first count of track lengths
Vector = tuple[float, float, float]


class MappingPanel(Panel):
    """Figures and who came last; curves and histograms; the model from above, and reasons."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("2fr", "3fr", "2fr")

    def draw(self, model: Model, stage: StageView) -> None:
        """Draw all columns."""
        sketch = model.sketches.get(_STAGE)
        known = sketch if isinstance(sketch, MappingSketch) else None
        self.column(0).show(self._figures(model, stage, known))
        self.column(1).show(self.stacked(1, self._plots(model, known)))
        plan = self._plan(model, stage, known)
        # Nothing is to be left of an empty column: on a small terminal the plots need its room.
        self.only(*((0, 1, 2) if plan.plain else (0, 1)))
        self.column(2).show(plan)

    def _figures(self, model: Model, stage: StageView, known: MappingSketch | None) -> Text:
        text = heading(model, stage)
        ended = stage.state in ("done", "skipped")
        models = report_of(model, stage).get("models") or [{}]
        first = models[0] if isinstance(models[0], dict) else {}
        registered = [verdict for verdict in model.verdicts if verdict.registered]
        counts = f"{len(registered)} of {len(model.verdicts)}" if ended and model.verdicts else ""
        lengths = _used(known.track_lengths) if known is not None else ()
        length = _mean_length(lengths, first)
        room = max(4, self.room(0)[0] - _NAME_CELLS)
        amount = counts or _amount(model, known)
        text.append_text(
            figures(
                (
                    ("registered", amount if len(amount) <= room else amount.replace(" of ", "/")),
                    ("points", value_of(model, _STAGE, "points", 5)),
                    ("observations", value_of(model, _STAGE, "observations", 5)),
                    ("error", value_of(model, _STAGE, "reprojection_error_px", 3)),
                    ("track length", "" if length is None else number(length)),
                    ("", sparkline(lengths[:room], room, self.look.unicode)),
                    ("models", str(len(models)) if len(models) > 1 else ""),
                ),
                _NAME_CELLS,
            )
        )
        if known is not None and known.latest and not ended:
            width, height = self.room(0)
            text.append("registered last\n", style="bold")
            for name in known.latest[: max(0, height - text.plain.count("\n"))]:
                text.append(f"{safe(name, max(8, width))}\n", style="dim")
        return text

    def _plots(self, model: Model, known: MappingSketch | None) -> list[Drawer]:
        """The first ones are seen on a small terminal, too: one with the marks of changes."""
        marks = [mark.step for mark in model.marks_of(_STAGE)]
        drawers = [self._curve(model, "reprojection_error_px", "mean error", marks)]
        if known is not None:
            drawers.append(_errors(known))
        drawers.append(self._curve(model, "registered", "registered", marks))
        if known is not None:
            drawers.append(_lengths(known))
        drawers.append(self._curve(model, "points", "points", marks))
        drawers.append(self._curve(model, "observations", "observations", marks))
        return drawers

    def _curve(self, model: Model, name: str, title: str, marks: list[int]) -> Drawer:
        return self.curve(title, model.metric(_STAGE, name), marks)

    def _plan(self, model: Model, stage: StageView, known: MappingSketch | None) -> Text:
        width, height = self.room(2)
        title, reasons = _reasons(model, stage, known)
        text = Text(no_wrap=True, overflow="ellipsis")
        if known is not None:
            left = min(_REASON_ROWS, 1 + len(reasons)) if title else 0
            # As high as wide on the screen; a cell is twice as high as wide.
            rows = max(_LEAST_PLAN_ROWS, min(height - left, width // 2 + 1))
            style = PlotStyle(width, rows, self.look.unicode, "from above")
            plan = from_above(*seen_from_above(known), style)
            text.append_text(plan).append("\n")
            height -= plan.plain.count("\n") + 1
        elif stage.state in ("waiting", "started"):
            text.append("no cameras yet\n", style="dim")
            height -= 1
        if not title:
            return text
        # Also where the column has no room: only one that says something is shown, and gets room.
        text.append(f"{title}\n", style="bold yellow" if reasons else "green")
        # A narrow column has a line for the name and one for the reason.
        between, lines_each = ("\n ", 2) if width < _ONE_LINE_CELLS else (" ", 1)
        for name, reason in reasons[: max(1, (height - 1) // lines_each)]:
            text.append(f"{safe(name, 24)}{between}")
            text.append(f"{safe(reason)}\n", style="dim")
        return text


def _reasons(
    model: Model, stage: StageView, known: MappingSketch | None
) -> tuple[str, list[tuple[str, str]]]:
    """A title, and names with reasons: of the verdicts, or before there are any, of photographs
    that could not be registered yet."""
    if stage.state in ("done", "skipped") and model.verdicts:
        refused = [(v.image, v.reason) for v in model.verdicts if not v.registered]
        if not refused:
            return "all photographs are registered", []
        return f"{len(refused)} not registered", refused
    if known is None or not known.waiting:
        return "", []
    return f"{len(known.waiting)} not yet", list(known.waiting)


def _errors(known: MappingSketch) -> Drawer:
    def draw(style: PlotStyle) -> Text:
        ends = f"{known.errors_px.low:g}", f"{known.errors_px.high:g} px"
        counts = known.errors_px.counts if any(known.errors_px.counts) else ()
        return bars(counts, replace(style, title="reprojection errors"), ends)

    return draw


def _lengths(known: MappingSketch) -> Drawer:
    lengths = _used(known.track_lengths)
    last = _FIRST_LENGTH + len(lengths) - 1
    end = f"{last}+" if len(lengths) == len(known.track_lengths) else f"{last}"

    def draw(style: PlotStyle) -> Text:
        return bars(lengths, replace(style, title="points by track length"), ("2", end))

    return draw


def _used(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Without the noughts at the end."""
    used = [i for i, count in enumerate(lengths) if count]
    return lengths[: used[-1] + 1] if used else ()


def _mean_length(lengths: tuple[int, ...], first_model: dict[str, object]) -> float | None:
    """Of the report; before there is one, of the sketch, which counts the longest as less."""
    reported = first_model.get("mean_track_length")
    if isinstance(reported, int | float):
        return float(reported)
    if not sum(lengths):
        return None
    return sum((k + _FIRST_LENGTH) * count for k, count in enumerate(lengths)) / sum(lengths)


def seen_from_above(sketch: MappingSketch) -> tuple[list[Point], list[Point]]:
    """The camera centres and the points, along the cameras' mean y axis: with a level camera
    (down = y), x goes right and z up."""
    down = sketch.down
    start: Vector = (1.0, 0.0, 0.0) if abs(down[0]) < 0.9 else (0.0, 0.0, 1.0)
    along = _dot(start, down)
    right = tuple(a - along * b for a, b in zip(start, down, strict=True))
    length = math.sqrt(sum(value * value for value in right)) or 1.0
    x = (right[0] / length, right[1] / length, right[2] / length)
    y = _cross(x, down)

    def flat(places: tuple[Vector, ...]) -> list[Point]:
        return [(_dot(place, x), _dot(place, y)) for place in places]

    return flat(sketch.centers), flat(sketch.points)


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _amount(model: Model, known: MappingSketch | None) -> str:
    series = model.metric(_STAGE, "registered")
    if series is None:
        return ""
    return number(series.last) + (f" of {known.photographs}" if known is not None else "")
