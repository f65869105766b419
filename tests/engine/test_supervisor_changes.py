"""What changes of parameters and of the last stage do to the course of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.engine.audience import Patience
from pipeline.engine.orders import (
    RunStage,
    StageEnd,
)
from pipeline.engine.parameters import Parameters
from pipeline.errors import DiskFull
from pipeline.events import ParameterChanged
from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.stages import STAGE_NAMES
from tests.engine.stand import SECONDS, FakeWorker, Stand, nothing, nothing_more, play


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
    to_mapping = STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1]
    assert stand.order_of_stages == [*to_mapping, *STAGE_NAMES[3:]]
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


def test_a_later_stage_that_is_wanted_while_the_report_is_written_is_run(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def want_more() -> None:
            stand.while_reporting = nothing_more
            assert (await stand.command("run-until", stage="mapping")).ok

        stand.while_reporting = want_more

    stand = play(tmp_path, acts, Patience(0.0, SECONDS), until="verification")
    assert stand.order_of_stages == list(STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1])
    assert stand.states_of_run() == ["starting", "running", "done"]
    assert stand.last_of_run().why == "up to mapping"


def test_a_pause_while_the_report_is_written_holds_the_run(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def pause() -> None:
            stand.while_reporting = nothing_more
            assert (await stand.command("pause")).ok

        stand.while_reporting = pause
        await stand.until("paused")
        assert (await stand.command("resume")).ok

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "paused", "running", "done"]


def test_a_change_while_a_worker_starts_for_the_report_runs_the_stage_again(
    tmp_path: Path,
) -> None:
    """The last planned stage is finished, and its libraries are not those of the living worker."""

    async def acts(stand: Stand) -> None:
        async def change() -> None:
            stand.while_starting = nothing_more
            changes = {"matching.ratio": 0.7}
            assert (await stand.command("set", changes=changes, confirm=True)).ok

        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        stand.while_starting = change
        assert (await stand.command("run-until", stage="matching")).ok

    stand = play(tmp_path, acts)
    assert stand.order_of_stages.count("matching") == 2
    assert stand.states_of_run()[-1] == "done"
    assert stand.last_of_run().why == "up to matching"


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
    assert stand.order_of_stages == list(STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1])
    assert stand.states_of_run()[-1] == "done"


def test_changes_made_at_rest_are_told_at_the_start(tmp_path: Path) -> None:
    change = Change(parameter="matching.ratio", old=0.8, new=0.7, by="a test", revision=1, time=0.0)
    stand = play(tmp_path, nothing, changes=(change,))
    [told] = [record for record in stand.told.records if isinstance(record, ParameterChanged)]
    assert (told.parameter, told.old, told.new, told.revision) == ("matching.ratio", 0.8, 0.7, 1)


def test_revisions_go_on_after_changes_that_were_discarded(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", "0.1.0") as directory:
        request = RunRequest(paths=GivenPaths(photos=tmp_path), out=tmp_path, config=RunConfig())
        parameters = Parameters(directory, request, logged=4)
        assert parameters.revision == 4 and parameters.changes_since(4) == ()
        (change,) = parameters.propose({"matching.ratio": 0.7}, "a test").changes
    assert change.revision == 5


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
