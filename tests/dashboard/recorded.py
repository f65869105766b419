"""A run without an engine, for tests of what is shown: the test makes the updates, and turns the
clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.engine.fold import RunState
from pipeline.engine.messages import Answer, ConfigAnswer, RunView
from pipeline.engine.state import JournalIdentity, run_view
from pipeline.events import (
    Event,
    Metric,
    Preview,
    Progress,
    Record,
    RunChanged,
    StageChanged,
    Warned,
)
from tui.dashboard.app import DashboardApp
from tui.dashboard.look import Look
from tui.dashboard.model import Connection, Picture, Update, VerdictView, ViewerAddress
from tui.dashboard.system import SystemSample

STAGES = ("ingest", "features", "pairs", "matching", "verification", "mapping", "radiance")
EPOCH_S = 1_800_000_000.0
IDENTITY = JournalIdentity("recorded", "garden", "here", 4711, EPOCH_S)
SAMPLE = SystemSample(0.5, 4 * 2**30, 16 * 2**30, 100 * 2**30, cores=8)


class RecordedRun:
    """Tells records as an engine would, and hands them to a dashboard: a `link.Source`.

    commands: those it got. answer: what it says to them. now: its monotonic clock, in seconds.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.commands: list[dict[str, Any]] = []
        self.answer = Answer(ok=True, message="Done so.")
        self.connection = Connection("live")
        self._state = RunState()
        self._events: list[Event] = []
        self._extra: dict[str, Any] = {"viewer": ViewerAddress(8123, "secret")}
        self._seq = 0
        self._changed = False

    def tell(self, stage: str, *records: Record) -> None:
        """Let something happen; a record takes a tenth of a second."""
        for record in records:
            self._seq += 1
            self.now += 0.1
            event = Event(self._seq, EPOCH_S + self.now, self.now, stage, record)
            self._state.apply(event)
            self._events.append(event)
        self._changed = True

    def add(self, **extra: Any) -> None:
        """Something that is no event: fields of `Update`."""
        self._extra |= extra
        self._changed = True

    def view(self) -> RunView:
        """The state as clients see it."""
        return run_view(self.root, IDENTITY, self._state, self.now)

    def clock(self) -> float:
        """Monotonic seconds."""
        return self.now

    def start(self) -> None:
        """Nothing: the test tells what happens."""

    def close(self) -> None:
        """Nothing."""

    def take(self) -> Update | None:
        """What was told since the last call."""
        if not self._changed:
            return None
        self._changed = False
        events, self._events = tuple(self._events), []
        extra, self._extra = self._extra, {}
        return Update(self.connection, self.now, self.view(), events, **extra)

    def command(self, command: Mapping[str, Any]) -> Answer:
        """Note a command."""
        self.commands.append(dict(command))
        return self.answer

    def config(self) -> ConfigAnswer:
        """No parameters."""
        return ConfigAnswer(revision=0, parameters={})


class SteadySampler:
    """A machine that is always in the same state."""

    def read(self) -> SystemSample:
        """The state."""
        return SAMPLE


def begin(run: RecordedRun, stages: Sequence[str] = STAGES) -> None:
    """Start the run, with all stages waiting."""
    run.tell("", RunChanged("starting"))
    for name in stages:
        run.tell(name, StageChanged(name, "waiting"))
    run.tell("", RunChanged("running"))


def finish(run: RecordedRun, *stages: str) -> None:
    """Begin and end stages of 24 photographs."""
    for name in stages:
        run.tell(name, StageChanged(name, "started"), Progress(24, 24, "photographs"))
        run.tell(name, StageChanged(name, "done", 3.5))


def in_mapping(root: Path) -> RecordedRun:
    """A run in the middle of mapping, with a warning."""
    run = RecordedRun(root)
    begin(run)
    finish(run, *STAGES[:5])
    run.tell("features", Warned("little detail", "a[b]c.jpg"))
    run.tell("mapping", StageChanged("mapping", "started"))
    for step in range(1, 13):
        run.tell(
            "mapping",
            Progress(step + 1, 24, "photographs", f"registering {step + 1:03}.jpg"),
            Metric("registered", step + 1, step, "photographs"),
            Metric("points", 300.0 * step, step),
            Metric("observations", 900.0 * step, step),
            Metric("reprojection_error_px", 0.4 + 0.1 * math.sin(step), step, "px"),
        )
    return run


def in_radiance(root: Path) -> RecordedRun:
    """A run in the middle of radiance, with a picture."""
    run = in_mapping(root)
    run.tell("mapping", StageChanged("mapping", "done", 12.0))
    run.add(
        verdicts=(
            *(VerdictView(f"{i:03}.jpg", True, "registered") for i in range(22)),
            VerdictView("022.jpg", False, "9 inliers, 30 needed"),
            VerdictView("023.jpg", False, "no verified pairs"),
        )
    )
    run.tell("radiance", StageChanged("radiance", "started"))
    for step in range(50, 700, 50):
        run.tell(
            "radiance",
            Progress(step, 1500, "steps", "training"),
            Metric("psnr", 15 + step / 100, step, "dB"),
            Metric("loss", 1 / step, step),
            Metric("pose_change_deg", 0.002 * math.sin(step / 90) ** 2, step, "deg"),
            Metric("rays_per_s", 20_000 - 5 * step, step, "1/s"),
            Metric("alpha", 3 + step / 300, step, "bands"),
        )
    file = "radiance/previews/00000650.jpg"
    run.tell("radiance", Preview(file, "007.jpg", 650, 21.5))
    run.add(pictures=(Picture("radiance", file, gradient(), "007.jpg, step 650, 21.5 dB"),))
    return run


def gradient(width: int = 120, height: int = 80) -> bytes:
    """A PNG whose red grows to the right and green downwards."""
    picture = Image.new("RGB", (width, height))
    picture.putdata(
        [(255 * x // width, 255 * y // height, 90) for y in range(height) for x in range(width)]
    )
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def app_of(run: RecordedRun, look: Look | None = None, **options: Any) -> DashboardApp:
    """A dashboard of that run; nothing in its picture depends on the machine or on the time."""
    return DashboardApp(
        run, look=look or Look(panel_s=0.0), clock=run.clock, sampler=SteadySampler(), **options
    )
