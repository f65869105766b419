"""The course of a run, with workers that do what the test says."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from pipeline.engine import disk_room
from pipeline.engine.audience import Patience
from pipeline.engine.orders import (
    CheckpointStage,
    PauseStage,
    ResumeStage,
    RunStage,
    StageEnd,
)
from pipeline.events import RunChanged
from pipeline.stages import STAGE_NAMES
from tests.engine.stand import FakeWorker, Stand, nothing, play


def test_stages_run_in_order_and_the_report_is_written(tmp_path: Path) -> None:
    stand = play(tmp_path, nothing)
    assert stand.order_of_stages == list(STAGE_NAMES)
    assert stand.states_of_run() == ["starting", "running", "done"]
    assert [end.stage for end in stand.reports[0].outcomes] == list(STAGE_NAMES)
    assert stand.reports[0].peak_rss_mb == 100.0
    assert not any(worker.alive for worker in stand.started)


def test_the_worker_of_the_next_libraries_is_started_ahead(tmp_path: Path) -> None:
    stand = play(tmp_path, nothing)
    assert len(stand.started) == 4
    assert stand.started[2].preload == ("pipeline.radiance.stage", "pipeline.radiance.outcome")
    assert stand.started[3].preload[0] == "pipeline.dense.mesh_stage"
    *modules, of_numba = stand.started[1].preload
    assert modules == ["pipeline.mapping.stage", "pipeline.mapping.mapper"]
    assert of_numba == "numba.np.arraymath"


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


async def full_once(worker: FakeWorker, order: RunStage) -> StageEnd:
    """The disk is full when matching runs for the first time."""
    if worker.stand.order_of_stages.count("matching") == 1:
        return StageEnd(stage="matching", state="full", why="x could not be written")
    return worker.done(order)


def test_a_full_disk_pauses_until_resumed(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = full_once
        await stand.until("paused")
        assert (await stand.command("resume")).ok

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "paused", "running", "done"]
    paused = next(
        r for r in stand.told.records if isinstance(r, RunChanged) and r.state == "paused"
    )
    assert paused.why == "x could not be written"


def test_a_pause_on_a_full_disk_is_the_users_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = itertools.count(0, 2**30)
    monkeypatch.setattr(disk_room, "_free_bytes", lambda folder: next(room))
    monkeypatch.setattr(disk_room, "SECONDS_BETWEEN_LOOKS", 0.05)

    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = full_once
        await stand.until("paused")
        assert (await stand.command("pause")).message.startswith("The run stays")
        await asyncio.sleep(0.2)
        assert stand.supervisor.state == "paused"
        assert stand.last_of_run().why == "by a test"
        assert (await stand.command("resume")).ok

    assert play(tmp_path, acts).states_of_run()[-1] == "done"


def test_a_retry_does_not_wait_for_the_end_of_a_pause_from_before(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def die_once(worker: FakeWorker, order: RunStage) -> StageEnd:
            if stand.order_of_stages.count("matching") == 1:
                await stand.command("pause")
                return StageEnd(stage="matching", state="failed", why="killed")
            return worker.done(order)

        stand.scripts["matching"] = die_once
        await stand.until("failed")
        assert (await stand.command("retry")).ok
        await stand.until("done")

    play(tmp_path, acts)


def test_room_on_the_disk_resumes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1000, 1000 + 2**20, 1000 + 2**30, 2**40])
    monkeypatch.setattr(disk_room, "_free_bytes", lambda folder: next(free))
    monkeypatch.setattr(disk_room, "SECONDS_BETWEEN_LOOKS", 0.01)

    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = full_once

    assert play(tmp_path, acts).states_of_run()[-1] == "done"
    assert next(free) == 2**40  # it looked until there was enough room, and no longer


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
