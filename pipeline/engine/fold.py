"""The state of a run as the sum of its events."""

from __future__ import annotations

import math
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict

from pipeline.engine.messages import FilmView, MetricView, StageView
from pipeline.engine.rate import Rate
from pipeline.events import (
    ENDED,
    Checkpointed,
    Event,
    FilmChanged,
    Metric,
    ParameterChanged,
    Preview,
    Progress,
    RunChanged,
    RunStateName,
    StageChanged,
    Warned,
)

MOST_WARNINGS = 50
_NOT_YET_OR_ANEW = ("waiting", "stale", "started")


class StageState(BaseModel):
    """A stage. began: the monotonic clock when it started; None while it does not run."""

    model_config = ConfigDict(extra="forbid")

    look: StageView
    began: float | None = None
    rate: Rate

    def view(self, mono: float) -> StageView:
        """The stage as clients see it, at a time of the monotonic clock."""
        if self.began is None:
            return self.look
        return self.look.model_copy(
            update={
                "seconds": max(0.0, mono - self.began),
                "rate": self.rate.per_second(),
                "left_s": self.rate.left_s(self.look.done, self.look.total),
            }
        )


class RunState(BaseModel):
    """The state of a run: plain data that `apply` changes event by event.

    began, ended: the monotonic clock at the begin and the end of this pass. mono: its newest time.
    started: seconds since the epoch at the begin of this pass. metrics: by stage and name.
    """

    model_config = ConfigDict(extra="forbid")

    seq: int = 0
    mono: float = 0.0
    state: RunStateName = "starting"
    why: str = ""
    hint: str = ""
    revision: int = 0
    started: float = 0.0
    began: float = 0.0
    ended: float | None = None
    stages: dict[str, StageState] = {}
    metrics: dict[str, MetricView] = {}
    warnings: list[str] = []
    film: FilmView | None = None

    def apply(self, event: Event) -> None:
        """Add the next event."""
        self.seq = max(self.seq, event.seq)
        self.mono = max(self.mono, event.mono)
        record = event.record
        if isinstance(record, RunChanged):
            self._change_run(event, record)
        elif isinstance(record, StageChanged):
            self._change_stage(event, record)
        elif isinstance(record, Metric):
            self.set_metric(event.stage, record)
        elif isinstance(record, FilmChanged):
            self.film = FilmView(**asdict(record))
        elif isinstance(record, ParameterChanged):
            # Where it takes effect, it is told again, when later ones may have been made.
            self.revision = max(self.revision, record.revision)
        elif isinstance(record, Warned):
            words = f"{record.subject}: {record.message}" if record.subject else record.message
            self.warnings = [*self.warnings[1 - MOST_WARNINGS :], words]
            if event.stage in self.stages:
                self._show(event.stage, warnings=self.stages[event.stage].look.warnings + 1)
        elif event.stage in self.stages:
            if isinstance(record, Progress):
                self._progress(event, record)
            elif isinstance(record, Preview):
                self._show(event.stage, **{"scene" if record.is_scene else "preview": record.file})
            elif isinstance(record, Checkpointed):
                self._show(event.stage, checkpoint_step=record.step)

    def set_metric(self, stage: str, metric: Metric) -> None:
        """Make this the newest value of a metric."""
        self.metrics[f"{stage}:{metric.name}"] = MetricView(
            stage=stage,
            name=metric.name,
            value=metric.value if math.isfinite(metric.value) else None,
            step=metric.step,
            unit=metric.unit,
        )

    def seconds(self, mono: float) -> float:
        """Run time of this pass, at a time of the monotonic clock."""
        end = mono if self.ended is None else self.ended
        return max(0.0, end - self.began)

    def _change_run(self, event: Event, record: RunChanged) -> None:
        if record.state == "starting":
            self.stages, self.warnings, self.film = {}, [], None
            self.started = event.time
            self.began = self.mono = event.mono
        if record.state == "paused":
            for stage in self.stages.values():
                stage.rate.restart()
        self.state, self.why, self.hint = record.state, record.why, record.hint
        self.ended = event.mono if record.state in ENDED else None

    def _change_stage(self, event: Event, record: StageChanged) -> None:
        name, state = record.stage, record.state
        if name not in self.stages or state in _NOT_YET_OR_ANEW:
            look = StageView(name=name, state=state, why=record.why)
            began = event.mono if state == "started" else None
            self.stages[name] = StageState(look=look, began=began, rate=Rate())
        if state in _NOT_YET_OR_ANEW:
            return
        known = self.stages[name]
        done = known.look.done
        if state == "done" and known.look.total is not None:
            done = known.look.total  # the last items may not have been worth a record
        seconds = record.seconds or known.view(event.mono).seconds
        known.began = None
        self._show(
            name,
            state=state,
            done=done,
            doing="",
            seconds=seconds,
            why=record.why,
            hint=record.hint,
            log=record.log,
        )

    def _progress(self, event: Event, record: Progress) -> None:
        stage = self.stages[event.stage]
        if (record.unit, record.total is None) != (stage.look.unit, stage.look.total is None):
            stage.rate.restart()  # the count means something else now
        stage.rate.add(event.mono, record.done)
        self._show(
            event.stage,
            done=record.done,
            total=record.total,
            unit=record.unit,
            doing=record.doing,
        )

    def _show(self, name: str, **changes: object) -> None:
        stage = self.stages[name]
        stage.look = stage.look.model_copy(update=changes)
