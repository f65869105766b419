"""The course of a run, with workers that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.engine import supervisor as supervisor_module
from pipeline.engine.audience import Audience
from pipeline.engine.messages import (
    COMMAND,
    Answer,
    EventsAnswer,
    RunView,
)
from pipeline.engine.orders import (
    ChangeField,
    CheckpointStage,
    PauseStage,
    Reported,
    ResumeStage,
    RunStage,
    StageEnd,
    WriteReport,
)
from pipeline.engine.parameters import Parameters
from pipeline.engine.service import Service
from pipeline.engine.supervisor import Patience, Supervisor
from pipeline.engine.workers import Workers
from pipeline.errors import DiskFull, PipelineError
from pipeline.events import ParameterChanged, Record, RunChanged, StageChanged
from pipeline.manifest import Ingredients
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.stages import STAGE_NAMES

SECONDS = 20.0
UNTIL_RETRIED = Patience(0.0, SECONDS)
Script = Callable[["FakeWorker", RunStage], Awaitable[StageEnd]]


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
            if isinstance(change, ChangeField):
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
        self.rests_when_paused = True
        self.refusal = ""
        self.started: list[FakeWorker] = []
        self.parameters = Parameters(self.directory, asked)
        audience = Audience()
        self.workers = Workers(self._start)
        self.supervisor = Supervisor(
            self.directory, self.parameters, journal, self.workers, audience, patience
        )
        self.service = Service(self.directory, self.parameters, journal, self.supervisor, audience)

    async def _start(self, preload: tuple[str, ...]) -> Any:
        if self.refusal:
            raise PipelineError("No worker", self.refusal)
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


def test_stages_run_in_order_and_the_report_is_written(tmp_path: Path) -> None:
    stand = play(tmp_path, nothing)
    assert stand.order_of_stages == list(STAGE_NAMES)
    assert stand.states_of_run() == ["starting", "running", "done"]
    assert [end.stage for end in stand.reports[0].outcomes] == list(STAGE_NAMES)
    assert stand.reports[0].peak_rss_mb == 100.0
    assert not any(worker.alive for worker in stand.started)


def test_the_worker_of_the_next_libraries_is_started_ahead(tmp_path: Path) -> None:
    stand = play(tmp_path, nothing)
    assert len(stand.started) == 2
    assert stand.started[1].preload == ("pipeline.mapping.stage", "pipeline.mapping.mapper")


def test_only_the_stages_up_to_the_last_one_run(tmp_path: Path) -> None:
    stand = play(tmp_path, nothing, until="pairs")
    assert stand.order_of_stages == ["ingest", "features", "pairs"]


def test_a_failed_stage_is_tried_again_by_a_new_worker(tmp_path: Path) -> None:
    async def fail_once(worker: FakeWorker, order: RunStage) -> StageEnd:
        if stand_of(worker).order_of_stages.count("matching") == 1:
            return StageEnd(stage="matching", state="failed", why="it broke", hint="mend it")
        return worker.done(order)

    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = fail_once
        await stand.until("failed")
        assert not (await stand.command("resume")).ok
        assert (await stand.command("retry")).ok

    stand = play(tmp_path, acts)
    upto_matching = list(STAGE_NAMES[: STAGE_NAMES.index("matching") + 1])
    assert stand.order_of_stages == [*upto_matching, *STAGE_NAMES]  # the first four find it done
    assert stand.states_of_run() == ["starting", "running", "failed", "running", "done"]
    assert stand.states_of("matching") == ["waiting", "failed", "done"]
    assert not stand.started[0].alive


def test_the_engine_ends_when_nobody_tries_again(tmp_path: Path) -> None:
    async def fail(worker: FakeWorker, order: RunStage) -> StageEnd:
        return StageEnd(stage=order.stage, state="failed", why="it broke")

    async def acts(stand: Stand) -> None:
        stand.scripts["pairs"] = fail

    stand = play(tmp_path, acts, Patience(0.0, 0.05))
    assert stand.states_of_run() == ["starting", "running", "failed"]


def test_pause_and_resume_reach_the_stage(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        go_on = asyncio.Event()

        async def wait(worker: FakeWorker, order: RunStage) -> StageEnd:
            await go_on.wait()
            return worker.done(order)

        stand.scripts["matching"] = wait
        await stand.until_running("matching")
        assert (await stand.command("pause")).ok
        assert stand.states_of_run()[-1] == "paused"
        assert (await stand.command("resume")).ok
        go_on.set()

    stand = play(tmp_path, acts)
    orders = [type(order) for order in stand.started[0].orders]
    assert orders == [PauseStage, ResumeStage]
    assert stand.states_of_run() == ["starting", "running", "paused", "running", "done"]


def test_a_paused_run_begins_no_stage(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def pause_at_end(worker: FakeWorker, order: RunStage) -> StageEnd:
            end = worker.done(order)
            assert (await stand.command("pause")).ok
            return end

        stand.scripts["features"] = pause_at_end
        await stand.until("paused")
        await asyncio.sleep(0.02)
        assert stand.order_of_stages == ["ingest", "features"]
        await stand.command("resume")

    assert play(tmp_path, acts).order_of_stages == list(STAGE_NAMES)


def test_stop_ends_the_stage_and_the_engine(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = FakeWorker.until_stopped
        await stand.until_running("matching")
        assert (await stand.command("stop")).ok

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "stopping", "stopped"]
    assert stand.states_of("matching") == ["waiting", "stopped"]
    assert "verification" not in stand.order_of_stages
    assert stand.reports == []


def test_a_worker_killed_on_the_way_to_a_stop_is_no_failure(tmp_path: Path) -> None:
    async def die(worker: FakeWorker, order: RunStage) -> StageEnd:
        await worker.stopped.wait()
        return StageEnd(stage=order.stage, state="failed", why="killed by signal 9")

    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = die
        await stand.until_running("matching")
        await stand.command("stop")

    stand = play(tmp_path, acts)
    assert stand.states_of_run()[-1] == "stopped"
    assert stand.states_of("matching") == ["waiting", "stopped"]


def test_where_no_worker_can_be_started_the_stage_fails(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.refusal = "no process could be started"
        await stand.until("failed")
        assert (await stand.command("retry")).ok
        while stand.states_of("ingest").count("failed") < 2:
            await asyncio.sleep(0.001)
        stand.refusal = ""
        assert (await stand.command("retry")).ok

    stand = play(tmp_path, acts)
    assert stand.states_of_run()[-3:] == ["failed", "running", "done"]
    assert stand.states_of("ingest") == ["waiting", "failed", "failed", "done"]


def test_a_full_disk_pauses_until_resumed(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def full_once(worker: FakeWorker, order: RunStage) -> StageEnd:
            if stand.order_of_stages.count("matching") == 1:
                return StageEnd(stage="matching", state="full", why="x could not be written")
            return worker.done(order)

        stand.scripts["matching"] = full_once
        await stand.until("paused")
        assert (await stand.command("resume")).ok

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "paused", "running", "done"]
    paused = next(
        r for r in stand.told.records if isinstance(r, RunChanged) and r.state == "paused"
    )
    assert paused.why == "x could not be written"


def test_room_on_the_disk_resumes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1000, 1000 + 2**20, 1000 + 2**30, 2**40])
    monkeypatch.setattr(supervisor_module, "_free_bytes", lambda folder: next(free))
    monkeypatch.setattr(supervisor_module, "SECONDS_BETWEEN_DISK_CHECKS", 0.01)

    async def acts(stand: Stand) -> None:
        async def full_once(worker: FakeWorker, order: RunStage) -> StageEnd:
            if stand.order_of_stages.count("matching") == 1:
                return StageEnd(stage="matching", state="full", why="x could not be written")
            return worker.done(order)

        stand.scripts["matching"] = full_once

    assert play(tmp_path, acts).states_of_run()[-1] == "done"
    assert next(free) == 2**40  # it looked until there was enough room, and no longer


def test_a_live_change_reaches_the_stage_that_runs(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        go_on = asyncio.Event()

        async def wait(worker: FakeWorker, order: RunStage) -> StageEnd:
            await go_on.wait()
            return worker.done(order)

        stand.scripts["mapping"] = wait
        await stand.until_running("mapping")
        answer = await stand.command("set", changes={"mapping.max_reprojection_error_px": 3})
        assert answer.ok
        assert answer.revision == 1
        assert answer.reruns == ()
        go_on.set()

    stand = play(tmp_path, acts)
    [order] = stand.started[1].orders
    assert (order.field, order.value, order.revision) == ("max_reprojection_error_px", 3.0, 1)
    [told] = [record for record in stand.told.records if isinstance(record, ParameterChanged)]
    assert (told.old, told.new, told.by, told.step) == (4.0, 3.0, "a test", None)
    assert stand.order_of_stages == list(STAGE_NAMES)
    request = stand.directory.read_request()
    assert request is not None
    assert [change.new for change in request.changes] == [3.0]
    assert "max_reprojection_error_px = 3.0" in (tmp_path / "run" / "run.toml").read_text()


def test_a_live_change_that_comes_too_late_runs_the_stage_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def end_without_it(worker: FakeWorker, order: RunStage) -> StageEnd:
            end = worker.done(order)
            if stand.order_of_stages.count("mapping") == 1:
                await stand.command("set", changes={"mapping.max_reprojection_error_px": 3})
            return end

        stand.scripts["mapping"] = end_without_it

    stand = play(tmp_path, acts)
    assert stand.order_of_stages.count("mapping") == 2
    assert stand.states_of("mapping") == ["waiting", "stale", "done"]
    entry = stand.directory.entry("mapping")
    assert entry is not None
    assert entry.ingredients.config["max_reprojection_error_px"] == 3.0


def test_a_change_of_a_finished_stage_asks_and_then_runs_it_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        asked = await stand.command("set", changes={"matching.ratio": 0.7})
        assert not asked.ok
        assert asked.reruns == ("matching", "verification", "mapping")
        assert asked.revision == 0
        del stand.scripts["mapping"]
        assert (await stand.command("set", changes={"matching.ratio": 0.7}, confirm=True)).ok

    stand = play(tmp_path, acts)
    assert stand.order_of_stages == [*STAGE_NAMES, "matching", "verification", "mapping"]
    assert stand.states_of("features") == ["waiting", "done"]
    for stage in ("matching", "verification", "mapping"):
        assert "stale" in stand.states_of(stage)
        assert stand.states_of(stage)[-1] == "done"


def test_a_change_of_a_stage_to_come_needs_no_confirmation(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        go_on = asyncio.Event()

        async def wait(worker: FakeWorker, order: RunStage) -> StageEnd:
            await go_on.wait()
            return worker.done(order)

        stand.scripts["features"] = wait
        await stand.until_running("features")
        assert (await stand.command("set", changes={"matching.ratio": 0.7})).ok
        go_on.set()

    stand = play(tmp_path, acts)
    assert stand.order_of_stages == list(STAGE_NAMES)
    entry = stand.directory.entry("matching")
    assert entry is not None
    assert entry.ingredients.config["ratio"] == 0.7


def test_edits_of_an_old_revision_and_impossible_ones_are_refused(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["features"] = FakeWorker.until_stopped
        await stand.until_running("features")
        assert (await stand.command("set", changes={"matching.ratio": 0.7})).ok
        old = await stand.command("set", changes={"matching.ratio": 0.6}, base_revision=0)
        assert not old.ok and "revision 1" in old.message
        unknown = await stand.command("set", changes={"matching.ration": 0.6})
        assert not unknown.ok and "matching.ratio" in unknown.hint
        impossible = await stand.command("set", changes={"matching.ratio": 7})
        assert not impossible.ok and "matching.ratio" in impossible.message
        same = await stand.command("set", changes={"matching.ratio": 0.7})
        assert same.ok and same.revision == 1
        await stand.command("stop")

    play(tmp_path, acts)


def test_undo_is_one_more_change(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["features"] = FakeWorker.until_stopped
        await stand.until_running("features")
        await stand.command("set", changes={"matching.ratio": 0.7})
        undone = await stand.command("set", changes={"matching.ratio": 0.8}, base_revision=1)
        assert undone.ok and undone.revision == 2
        await stand.command("stop")

    stand = play(tmp_path, acts)
    assert stand.parameters.config == RunConfig()
    assert [change.new for change in stand.parameters.request.changes] == [0.7, 0.8]


def test_a_finished_run_goes_on_to_a_later_stage(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        await stand.until("done")
        unknown = await stand.command("run-until", stage="meshing")
        assert not unknown.ok and "mapping" in unknown.hint
        assert (await stand.command("run-until", stage=None)).ok

    stand = play(tmp_path, acts, Patience(0.2, SECONDS), until="pairs")
    assert stand.order_of_stages == list(STAGE_NAMES)
    assert stand.states_of_run() == ["starting", "running", "done", "running", "done"]


def test_a_stage_that_is_not_wanted_any_more_is_stopped(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        assert (await stand.command("run-until", stage="matching")).ok
        await stand.until("done")
        # verification is finished though not planned: changing it makes it stale, no more
        changes = {"verification.max_error_px": 3}
        asked = await stand.command("set", changes=changes)
        assert not asked.ok and asked.reruns == ("verification",)
        assert (await stand.command("set", changes=changes, confirm=True)).ok

    stand = play(tmp_path, acts, Patience(0.2, SECONDS))
    assert stand.states_of("mapping") == ["waiting", "stopped"]
    assert stand.states_of("verification") == ["waiting", "done", "stale"]
    assert stand.order_of_stages == list(STAGE_NAMES)
    assert stand.states_of_run()[-1] == "done"


def test_a_pause_that_is_taken_back_before_it_began_leaves_no_word(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = FakeWorker.until_stopped
        await stand.until_running("matching")
        stand.rests_when_paused = False  # the step at hand takes long
        await stand.command("pause")
        await stand.command("resume")
        assert stand.last_of_run().why == ""
        await stand.command("stop")

    play(tmp_path, acts)


def test_changes_made_at_rest_are_told_at_the_start(tmp_path: Path) -> None:
    change = Change(parameter="matching.ratio", old=0.8, new=0.7, by="a test", revision=1, time=0.0)
    stand = play(tmp_path, nothing, changes=(change,))
    [told] = [record for record in stand.told.records if isinstance(record, ParameterChanged)]
    assert (told.parameter, told.old, told.new, told.revision) == ("matching.ratio", 0.8, 0.7, 1)


def test_a_change_that_cannot_be_written_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["features"] = FakeWorker.until_stopped
        await stand.until_running("features")

        def full(request: RunRequest) -> None:
            raise DiskFull("No space left", "request.json could not be written: no space", "Free")

        monkeypatch.setattr(stand.directory, "write_request", full)
        answer = await stand.command("set", changes={"matching.ratio": 0.7})
        assert not answer.ok and answer.revision == 0 and "request.json" in answer.message
        await stand.command("stop")

    stand = play(tmp_path, acts)
    request = stand.directory.read_request()
    assert request is not None and request.changes == ()
    assert stand.parameters.config == RunConfig()


def test_a_checkpoint_is_asked_of_the_stage_that_runs(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        assert (await stand.command("checkpoint")).ok
        await stand.command("stop")

    stand = play(tmp_path, acts)
    assert [type(order) for order in stand.started[1].orders] == [CheckpointStage]


def test_a_report_that_cannot_be_written_can_be_tried_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.report_error = "report.json could not be written"
        await stand.until("failed")
        stand.report_error = ""
        assert (await stand.command("retry")).ok

    stand = play(tmp_path, acts)
    assert stand.order_of_stages == [*STAGE_NAMES, *STAGE_NAMES]
    assert len(stand.reports) == 2
    assert stand.states_of_run()[-1] == "done"


def stand_of(worker: FakeWorker) -> Stand:
    return worker.stand
