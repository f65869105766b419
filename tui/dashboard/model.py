"""What is known of a run: plain data, folded from its view and its events.

No terminal, no engine, no clock: whoever shows it asks how old it is with a time of their own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.engine.curve import Curve
from pipeline.engine.messages import MetricAnswer, RunView, StageView
from pipeline.events import (
    ENDED,
    Checkpointed,
    Event,
    FilmChanged,
    Metric,
    ParameterChanged,
    Record,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)
from pipeline.sketches import Sketch

MOST_LINES = 2000
MOST_MARKS = 200
MOST_SERIES = 200
_STATES_THAT_WARN = ("failed", "stopped", "stale")
Level = Literal["info", "warning", "error"]
ConnectionState = Literal["connecting", "live", "silent", "gone", "refused", "left"]


@dataclass(frozen=True)
class Connection:
    """How we stand with the engine. live: it answers. silent: it does not answer. gone: it was
    there, and is not. refused: it answers what we cannot understand, or we may not ask. left: there
    is none, and what is shown was left behind. words, hint: for people."""

    state: ConnectionState = "connecting"
    words: str = ""
    hint: str = ""


@dataclass(frozen=True)
class VerdictView:
    """What became of a photograph in mapping."""

    image: str
    registered: bool
    reason: str


@dataclass(frozen=True)
class Picture:
    """A small picture of a stage. data: JPEG or PNG; b"" where it could not be read."""

    stage: str
    file: str
    data: bytes
    caption: str = ""


@dataclass(frozen=True)
class Update:
    """What is new since the last update. at: monotonic seconds when the newest of it came.

    view, viewer, verdicts: None where unchanged. history: whole curves that replace what is known
    of a metric. sketches: new ones by stage; None: what was known of it is of no use any more.
    fresh: the model is to begin anew, because another engine took over.
    """

    connection: Connection
    at: float
    view: RunView | None = None
    events: tuple[Event, ...] = ()
    history: tuple[MetricAnswer, ...] = ()
    pictures: tuple[Picture, ...] = ()
    verdicts: tuple[VerdictView, ...] | None = None
    sketches: Mapping[str, Sketch | None] = field(default_factory=dict)
    viewer: ViewerAddress | None = None
    fresh: bool = False


@dataclass(frozen=True)
class ViewerAddress:
    """Where the run's server listens on 127.0.0.1. port: None where it does not."""

    port: int | None
    token: str = ""


@dataclass(frozen=True)
class LogLine:
    """A line of what happened. time: seconds since the epoch."""

    time: float
    stage: str
    level: Level
    text: str


@dataclass(frozen=True)
class Mark:
    """A parameter took effect at a step of a stage."""

    stage: str
    step: int
    parameter: str
    old: Any
    new: Any
    by: str


@dataclass
class Series:
    """A metric over the run, in bounded memory."""

    stage: str
    name: str
    unit: str = ""
    curve: Curve = field(default_factory=Curve)
    last: float = math.nan
    step: int = 0

    def add(self, step: int, value: float) -> None:
        """The next value; NaN leaves a gap."""
        self.curve.add(step, value)
        self.last, self.step = value, step

    def points(self, most: int) -> list[tuple[float, float, float]]:
        """At most so many (step, lowest, highest), oldest first, without gaps."""
        return [
            (float(bucket.last_step), bucket.low, bucket.high)
            for bucket in self.curve.buckets(max(1, most))
            if bucket.low is not None and bucket.high is not None
        ]


class Model:
    """Everything the widgets show. Only `fold` changes it."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.viewer = ViewerAddress(None)
        self.updates = 0
        self._last_data: float | None = None
        self._clear()

    def _clear(self) -> None:
        self.view: RunView | None = None
        self.series: dict[tuple[str, str], Series] = {}
        self.pictures: dict[str, Picture] = {}
        self.verdicts: tuple[VerdictView, ...] = ()
        self.reports: dict[str, dict[str, Any]] = {}
        self.changes: deque[tuple[float, ParameterChanged]] = deque(maxlen=MOST_MARKS)
        self.marks: deque[Mark] = deque(maxlen=MOST_MARKS)
        self.lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self.lines_seen = 0  # all there ever were, so that a reader knows what is new
        self.sketches: dict[str, Sketch] = {}
        self._seq = 0

    def fold(self, update: Update) -> None:
        """Take in what is new. Costs in proportion to it, not to the length of the run."""
        if update.fresh:
            self._clear()
        self.updates += 1
        self.connection = update.connection
        if update.view is not None:
            self.view = update.view
        if update.view is not None or update.events:
            self._last_data = update.at
        if update.viewer is not None:
            self.viewer = update.viewer
        if update.verdicts is not None:
            self.verdicts = update.verdicts
        for stage, sketch in update.sketches.items():
            if sketch is None:
                self.sketches.pop(stage, None)
            else:
                self.sketches[stage] = sketch
        for answer in update.history:
            self._replace(answer)
        for event in update.events:
            self._apply(event)
        for picture in update.pictures:
            self.pictures[picture.stage] = picture
        self._take_newest_metrics()

    def age_s(self, now: float) -> float | None:
        """Seconds since the last data, by the clock of `Update.at`; None before the first."""
        return None if self._last_data is None else max(0.0, now - self._last_data)

    @property
    def stages(self) -> tuple[StageView, ...]:
        """The stages in their order; none before the first view."""
        return () if self.view is None else self.view.stages

    def stage(self, name: str) -> StageView | None:
        """A stage by its name."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def state(self) -> str:
        """Of the run; "" before the first view, `interrupted` where its engine died."""
        if self.view is None:
            return ""
        lost = self.connection.state in ("left", "gone") and self.view.state not in ENDED
        return "interrupted" if lost else self.view.state

    def state_of(self, stage: StageView) -> str:
        """A stage's state as people see it: one that runs is paused where the run is."""
        if stage.state == "started" and self.state in ("paused", "stopping"):
            return self.state
        if stage.state == "started" and self.state in ("interrupted", "stopped", "failed"):
            return "stopped"
        return stage.state

    @property
    def current(self) -> StageView | None:
        """The stage to look at: the one that runs or failed, else the last one that ended."""
        for wanted in (("started",), ("failed", "stopped")):
            found = [stage for stage in self.stages if stage.state in wanted]
            if found:
                return found[-1]
        begun = [stage for stage in self.stages if stage.state in ("done", "skipped")]
        return begun[-1] if begun else (self.stages[0] if self.stages else None)

    def metric(self, stage: str, name: str) -> Series | None:
        """A metric by its stage and name."""
        return self.series.get((stage, name))

    def marks_of(self, stage: str) -> list[Mark]:
        """The changes that took effect in a stage, oldest first."""
        return [mark for mark in self.marks if mark.stage == stage]

    def _replace(self, answer: MetricAnswer) -> None:
        key = (answer.stage, answer.name)
        unit = self.series[key].unit if key in self.series else ""
        series = Series(answer.stage, answer.name, unit)
        for bucket in answer.buckets:
            # The middle of a bucket shows its extremes; its end, where the curve goes on.
            if bucket.last_step > bucket.first_step and bucket.low is not None:
                series.add(bucket.first_step, bucket.low)
                series.add(bucket.first_step, bucket.high or 0.0)
            series.add(bucket.last_step, math.nan if bucket.last is None else bucket.last)
        if len(self.series) < MOST_SERIES or key in self.series:
            self.series[key] = series

    def _take_newest_metrics(self) -> None:
        """A view knows the newest value of each metric, also of those told before we came."""
        for metric in self.view.metrics if self.view is not None else ():
            series = self.series.get((metric.stage, metric.name))
            if series is None:
                if metric.value is not None:
                    self._add_metric(
                        metric.stage, Metric(metric.name, metric.value, metric.step, metric.unit)
                    )
            else:
                series.unit = metric.unit

    def _add_metric(self, stage: str, metric: Metric) -> None:
        series = self.series.get((stage, metric.name))
        if series is None:
            if len(self.series) >= MOST_SERIES:
                return
            series = self.series[stage, metric.name] = Series(stage, metric.name, metric.unit)
        if not (metric.step == series.step and metric.value == series.last):
            series.add(metric.step, math.nan if metric.value is None else metric.value)

    def _apply(self, event: Event) -> None:
        if event.seq <= self._seq:
            return  # told twice, as after a reconnection
        self._seq = event.seq
        record = event.record
        if isinstance(record, Metric):
            self._add_metric(event.stage, record)
        elif isinstance(record, Report):
            self.reports[event.stage] = dict(record.data)
        elif isinstance(record, ParameterChanged):
            self._change(event, record)
        elif isinstance(record, StageChanged) and record.state == "started":
            self.pictures.pop(record.stage, None)  # of the time before
        line = line_of(event.stage, record)
        if line is not None:
            self.lines.append(LogLine(event.time, event.stage, *line))
            self.lines_seen += 1

    def _change(self, event: Event, record: ParameterChanged) -> None:
        if record.step is None:
            self.changes.append((event.time, record))
        else:
            self.marks.append(
                Mark(event.stage, record.step, record.parameter, record.old, record.new, record.by)
            )


def line_of(stage: str, record: Record) -> tuple[Level, str] | None:
    """Level and words of what is worth a line in the log; None for what only moves a bar."""
    teller: Callable[[Any], tuple[Level, str] | None] | None = _TELLERS.get(record.kind)
    return None if teller is None else teller(record)


def _tell_stage(record: StageChanged) -> tuple[Level, str]:
    level: Level = (
        "error"
        if record.state == "failed"
        else ("warning" if record.state in _STATES_THAT_WARN else "info")
    )
    after = f" after {record.seconds:.1f} s" if record.seconds else ""
    words = "; ".join(part for part in (record.why, record.hint) if part)
    return level, f"{record.stage} {record.state}{after}" + (f": {words}" if words else "")


def _tell_run(record: RunChanged) -> tuple[Level, str]:
    level: Level = "error" if record.state == "failed" else "info"
    words = "; ".join(part for part in (record.why, record.hint) if part)
    return level, f"run {record.state}" + (f": {words}" if words else "")


def _tell_warning(record: Warned) -> tuple[Level, str]:
    return "warning", f"{record.subject}: {record.message}" if record.subject else record.message


def _tell_change(record: ParameterChanged) -> tuple[Level, str]:
    since = f" from step {record.step} on" if record.step is not None else f", by {record.by}"
    return "info", f"{record.parameter} is {record.new!r}, was {record.old!r}{since}"


def _tell_checkpoint(record: Checkpointed) -> tuple[Level, str]:
    return "info", f"checkpoint at step {record.step}"


def _tell_film(record: FilmChanged) -> tuple[Level, str] | None:
    if record.state == "rendering":
        return ("info", f"film {record.name} begun") if not record.done else None
    where = f": renders/{record.file}" if record.file else ""
    why = f": {record.why}" if record.why else ""
    level: Level = "error" if record.state == "failed" else "info"
    return level, f"film {record.name} {record.state}{where}{why}"


_TELLERS: dict[str, Callable[[Any], tuple[Level, str] | None]] = {
    "stage": _tell_stage,
    "run": _tell_run,
    "warning": _tell_warning,
    "parameter": _tell_change,
    "checkpoint": _tell_checkpoint,
    "film": _tell_film,
}
