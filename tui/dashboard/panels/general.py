"""A stage that has no panel of its own: what it does, and what it reported."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Panel, figures, report_of
from tui.dashboard.plots import number


class GeneralPanel(Panel):
    """The numbers of the report once there is one, and the metrics as plots."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("1fr", "1fr")

    def draw(self, model: Model, stage: StageView) -> None:
        """Figures to the left, plots to the right."""
        text = heading(model, stage)
        text.append_text(figures(report_rows(report_of(model, stage)), 22))
        self.column(0).show(text)
        metrics = [(s.name, s) for (name, _), s in model.series.items() if name == stage.name]
        marks = [mark.step for mark in model.marks_of(stage.name)]
        self.column(1).show(self.plots(1, metrics, marks) if metrics else Text())


def heading(model: Model, stage: StageView) -> Text:
    """A stage's name, state and what it does now; for the begin of a panel. How far it is stands in
    the list of stages."""
    text = Text()
    state = model.state_of(stage)
    text.append(f"{stage.name} ", style="bold")
    text.append(("running" if state == "started" else state) + "\n")
    for words in (stage.doing, stage.why):
        if words:
            text.append(f"{safe(words)}\n", style="dim")
    return text


def report_rows(report: dict[str, object]) -> list[tuple[str, str]]:
    """The plain values of a report; of lists and tables, how many entries they have."""
    rows = []
    for name, value in report.items():
        words = name.replace("_", " ")
        if isinstance(value, bool):
            rows.append((words, "yes" if value else "no"))
        elif isinstance(value, int | float):
            rows.append((words, number(value, 4)))
        elif isinstance(value, str):
            rows.append((words, value))
        elif isinstance(value, list | dict):
            few = isinstance(value, list) and len(value) <= 3
            short = few and all(isinstance(entry, str | int | float) for entry in value)
            rows.append((words, ", ".join(map(str, value)) if short else f"{len(value)} entries"))
    return rows
