"""The report: what came out, stage by stage, what became of the photographs, what to try."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from pipeline.errors import PipelineError
from pipeline.events import ENDED
from pipeline.report import advice
from pipeline.run_directory import read_report
from tui.dashboard.keys import LEAVE, SCROLL_KEYS, bindings
from tui.dashboard.look import MOST_NAME, safe
from tui.dashboard.model import Model
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.widgets import Line, Quiet
from tui.report_view import outcome, stage_table

MOST_MISSING = 200  # photographs; the screen of photographs has them all
_MOST_ENTRIES = 1000
_DONE = ("done", "skipped", "stale")


class ReportScreen(DashboardScreen):
    """The report of a run that has come to its end, as `barfield report` shows it; of one that goes
    on, what its stages have reported so far."""

    NAME: ClassVar[str] = "report"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(SCROLL_KEYS), LEAVE]
    CSS = """
    ReportScreen VerticalScroll { scrollbar-size-vertical: 1; padding: 0 1 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: object = None
        self._report: Mapping[str, Any] | None = None
        self._width = 0
        # Held, not looked up: news may come when the screen has been taken apart already.
        self._head = Line()
        self._scroll = VerticalScroll(can_focus=True)
        self._text = Quiet()

    def content(self) -> ComposeResult:
        """One text that scrolls."""
        yield self._head
        with self._scroll:
            yield self._text

    def show(self, model: Model) -> None:
        """Show what is reported now, if that is something new."""
        states = tuple((s.name, s.state, s.seconds) for s in model.stages if s.state in _DONE)
        known = model.state, states, len(model.verdicts), frozenset(model.reports)
        if known != self._known:
            self._known = known
            self._report = report_so_far(model)
            # The last report of a run that goes on is that of an earlier attempt.
            if model.state in (*ENDED, "interrupted", ""):
                self.run_worker(partial(self._read, known), thread=True, group="report")
            self._draw()

    def on_resize(self) -> None:
        """Tables for another width."""
        self.call_after_refresh(self._draw)

    def action_scroll(self, by: int) -> None:
        """By lines."""
        self._scroll.scroll_relative(y=by, animate=False)

    def _read(self, known: object) -> None:
        try:
            report = read_report(self.dashboard.link.root)
        except PipelineError:
            return  # what the stages have told stays
        self.app.call_from_thread(self._take, known, report)

    def _take(self, known: object, report: Mapping[str, Any]) -> None:
        if known == self._known and is_report(report):
            self._report = report
            self._draw()

    def _draw(self) -> None:
        model, report = self.dashboard.model, self._report
        width = self._scroll.scrollable_content_region.width - 1
        if report is None or width <= 0:
            return
        head = Text.assemble((safe(self.dashboard.run_name, 60), "bold"), "  ", model.state)
        if model.state not in ENDED:
            head.append("  what is known so far", style="dim")
        head.append("  Esc back", style="dim")
        self._head.show(head)
        try:
            blocks = report_blocks(report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            blocks = [Text(f"This report is of another version: {safe(repr(error), 200)}")]
        blocks = [*_failures(model), *blocks]
        self._text.show(rendered(blocks, width, self.dashboard.look.unicode))


def report_so_far(model: Model) -> dict[str, Any]:
    """What is known of a run in the form of its `report.json`, as far as that goes."""
    done = [stage for stage in model.stages if stage.state in _DONE]
    mapping = model.reports.get("mapping", {})
    models = [entry for entry in _entries(mapping.get("models")) if isinstance(entry, dict)]
    points = [int(entry.get("points", 0)) for entry in models]
    errors = [float(entry.get("reprojection_error_px", 0.0)) for entry in models]
    mapped = bool(mapping) and any(stage.name == "mapping" for stage in done)
    return {
        "complete": mapped,
        "images": model.reports.get("ingest", {}).get("photographs") or len(model.verdicts),
        "registered": mapping.get("registered", 0),
        "models": len(models),
        "model_images": [entry.get("registered", 0) for entry in models],
        "points": sum(points),
        "observations": sum(int(entry.get("observations", 0)) for entry in models),
        "reprojection_error_px": sum(p * e for p, e in zip(points, errors, strict=True))
        / max(1, sum(points)),
        "seconds": {stage.name: stage.seconds for stage in done},
        "stages": {stage.name: model.reports.get(stage.name, {}) for stage in done},
        "verdicts": [
            {"image": verdict.image, "registered": verdict.registered, "reason": verdict.reason}
            for verdict in model.verdicts
        ],
    }


def is_report(report: object) -> bool:
    """Whether this has the parts of a report that are shown; another version's may not."""
    return (
        isinstance(report, dict)
        and all(isinstance(report.get(part), dict) for part in ("seconds", "stages", "config"))
        and report["seconds"].keys() <= report["stages"].keys()
        and isinstance(report.get("verdicts"), list)
        and "complete" in report
    )


def report_blocks(report: Mapping[str, Any]) -> list[RenderableType]:
    """The outcome, the stages, the photographs in no model, what to try; plain text throughout."""
    missing = [verdict for verdict in report["verdicts"] if not verdict["registered"]]
    clean = _clean({**report, "verdicts": []})
    # A stage that was not asked for leaves nothing for its line.
    told = {name: s for name, s in clean["seconds"].items() if clean["stages"].get(name)}
    words = outcome({**clean, "seconds": told}) if clean["complete"] else []
    blocks: list[RenderableType] = [Text(line, style="bold") for line in words]
    if not words:
        blocks.append(Text("No cameras yet: mapping finds them."))
    if clean["seconds"]:
        blocks.append(stage_table(clean))
    if missing:
        blocks.append(_missing_table(missing))
    tips = [safe(tip, 1000) for tip in advice(report)] if "config" in report else []
    if tips:
        blocks += [Text("What to try", style="bold"), *(Text(f"- {tip}") for tip in tips)]
    return blocks


def rendered(blocks: Iterable[RenderableType], width: int, unicode: bool = True) -> Text:
    """Blocks of Rich below each other, for so many cells."""
    console = Console(width=width, file=StringIO(), highlight=False, force_terminal=True)
    options = console.options.update(width=width)
    if not unicode:
        options.encoding = "ascii"  # for the frames of tables
    text = Text(no_wrap=True)
    for block in blocks:
        for line in console.render_lines(block, options, pad=False):
            for segment in line:
                text.append(segment.text, segment.style)
            text.append("\n")
    text.right_crop(1)
    return text


def _failures(model: Model) -> list[RenderableType]:
    """Why a stage failed, and what to try."""
    failed = [stage for stage in model.stages if stage.state == "failed"]
    words = (
        (
            Text(f"{stage.name} failed: {safe(stage.why, 1000)}", "bold"),
            Text(safe(stage.hint, 1000)),
        )
        for stage in failed
    )
    return [text for pair in words for text in pair if text]


def _missing_table(missing: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Photographs in no model", title_justify="left", title_style="bold")
    table.add_column("photograph", overflow="fold", ratio=1)
    table.add_column("why", overflow="fold", ratio=2)
    for verdict in missing[:MOST_MISSING]:
        table.add_row(Text(safe(str(verdict["image"]))), Text(safe(str(verdict["reason"]))))
    if len(missing) > MOST_MISSING:
        table.add_row(f"and {len(missing) - MOST_MISSING} more", "i shows them all")
    return table


def _clean(value: Any) -> Any:
    """The same with text that cannot harm the terminal, without tables of a thousand entries, which
    no line of a report has room for."""
    if isinstance(value, dict | list) and len(value) > _MOST_ENTRIES:
        return type(value)()
    if isinstance(value, str):
        return safe(value, MOST_NAME)
    if isinstance(value, dict):
        return {safe(str(key), MOST_NAME): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list) else value


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
