"""A supervisor for tests, whose workers do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.engine.audience import Audience, Patience
from pipeline.engine.filming import Filming
from pipeline.engine.messages import (
    COMMAND,
    Answer,
    EventsAnswer,
    RunView,
)
from pipeline.engine.orders import (
    ChangeField,
    PauseStage,
    Reported,
    ResumeStage,
    RunStage,
    StageEnd,
    WriteReport,
)
from pipeline.engine.parameters import Parameters
from pipeline.engine.preparing import Preparing
from pipeline.engine.service import Service
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.viewing import Viewing
from pipeline.engine.workers import Workers
from pipeline.errors import PipelineError
from pipeline.events import ENDED, Record, RunChanged, StageChanged
from pipeline.manifest import Ingredients
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import RunDirectory

SECONDS = 20.0
UNTIL_RETRIED = Patience(0.0, SECONDS)
Script = Callable[["FakeWorker", RunStage], Awaitable[StageEnd]]


async def nothing_more() -> None:
    """What happens by default while a report is written."""


class FakeWorker:
    """A worker that ends every stage at once, unless the script of a stage says otherwise."""

    def __init__(self, stand: Stand, preload: tuple[str, ...]) -> None:
        self.stand = stand
        self.preload = preload
        self.alive = True
        self.peak_rss_mb = 100.0
        self.orders: list[Any] = []
        self.stopped = asyncio.Event()

    async def run_stage(self, order: RunStage) -> StageEnd:
        self.stand.order_of_stages.append(order.stage)
        self.stopped.clear()
        script = self.stand.scripts.get(order.stage)
        if script is not None:
            return await script(self, order)
        return self.done(order)

    def done(self, order: RunStage) -> StageEnd:
        """Record the stage as finished with the section it was ordered with."""
        section = getattr(order.config, order.stage).model_dump(mode="json")
        for change in self.orders:
            if isinstance(change, ChangeField) and change.field in section:
                section[change.field] = change.value
        self.stand.directory.record(
            DoneEntry(Ingredients(order.stage, 1, section, {}, {}), 0.5, {})
        )
        return StageEnd(stage=order.stage, state="done", seconds=0.5, peak_rss_mb=100.0)

    async def until_stopped(self, order: RunStage) -> StageEnd:
        await self.stopped.wait()
        return StageEnd(stage=order.stage, state="stopped")

    async def write_report(self, order: WriteReport) -> Reported:
        self.stand.reports.append(order)
        await self.stand.while_reporting()
        return Reported(report={}, error=self.stand.report_error)

    def order(self, order: Any) -> None:
        self.orders.append(order)
        if isinstance(order, PauseStage) and self.stand.rests_when_paused:
            self.stand.supervisor.paused_by_worker(True)
        elif isinstance(order, ResumeStage):
            self.stand.supervisor.paused_by_worker(False)

    async def stop_stage(self) -> None:
        self.stopped.set()

    async def close(self) -> None:
        self.alive = False


class Told:
    """A journal that only remembers."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def tell(self, stage: str, record: Record) -> None:
        self.records.append(record)

    def view(self) -> RunView:
        return RunView(engine="e", run="run", root="", host="", pid=1, started=0.0)

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        raise NotImplementedError


class Stand:
    """A supervisor and its service in a run directory of the test."""

    def __init__(self, folder: Path, patience: Patience, **request: Any) -> None:
        self.directory = RunDirectory(folder / "run", "0.1.0")
        paths = GivenPaths(photos=folder)
        asked = RunRequest(paths=paths, out=folder / "run", config=RunConfig(), **request)
        self.told = Told()
        journal: Any = self.told
        self.scripts: dict[str, Script] = {}
        self.order_of_stages: list[str] = []
        self.reports: list[WriteReport] = []
        self.report_error = ""
        self.while_reporting: Callable[[], Awaitable[None]] = nothing_more
        self.rests_when_paused = True
        self.refusal = ""
        self.while_starting: Callable[[], Awaitable[None]] = nothing_more
        self.started: list[FakeWorker] = []
        self.parameters = Parameters(self.directory, asked)
        audience = Audience()
        viewing = Viewing(self._start, lambda: False)
        self.workers = Workers(self._start)
        self.supervisor = Supervisor(
            self.directory, self.parameters, journal, self.workers, audience, patience, viewing
        )
        preparing = Preparing(self.directory.root, self._start, journal.view, journal.tell)
        self.has_field = False
        filming = Filming(
            self.directory.root,
            self._start,
            journal.tell,
            lambda: viewing.run_at_work or self.supervisor.state not in ENDED,
            lambda: self.has_field,
            audience.listening,
        )
        viewing.end_with_rest(filming.end)
        self.service = Service(
            self.directory, self.parameters, journal, self.supervisor, audience, viewing, preparing,
            filming,
        )  # fmt: skip

    async def _start(self, preload: tuple[str, ...]) -> Any:
        if self.refusal:
            raise PipelineError("No worker", self.refusal)
        await self.while_starting()
        self.started.append(FakeWorker(self, preload))
        return self.started[-1]

    async def command(self, op: str, **fields: Any) -> Answer:
        return await self.service.command(COMMAND.validate_python({"op": op, **fields}), "a test")

    async def until(self, state: str) -> None:
        while self.supervisor.state != state:
            await asyncio.sleep(0.001)

    async def until_running(self, stage: str) -> None:
        while self.supervisor.running != stage:
            await asyncio.sleep(0.001)

    def states_of_run(self) -> list[str]:
        states = [record.state for record in self.told.records if isinstance(record, RunChanged)]
        return [state for n, state in enumerate(states) if n == 0 or state != states[n - 1]]

    def last_of_run(self) -> RunChanged:
        return [record for record in self.told.records if isinstance(record, RunChanged)][-1]

    def states_of(self, stage: str) -> list[str]:
        return [
            record.state
            for record in self.told.records
            if isinstance(record, StageChanged) and record.stage == stage
        ]


def play(
    folder: Path,
    acts: Callable[[Stand], Awaitable[None]],
    patience: Patience = UNTIL_RETRIED,
    **request: Any,
) -> Stand:
    """Run a supervisor while `acts` plays the user; returns when the engine would end."""

    async def main() -> Stand:
        stand = Stand(folder, patience, **request)
        async with asyncio.timeout(SECONDS):
            await stand.parameters.keep()
            running = asyncio.create_task(stand.supervisor.run())
            await acts(stand)
            await running
        return stand

    return asyncio.run(main())


async def nothing(stand: Stand) -> None:
    return
