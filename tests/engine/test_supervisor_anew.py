"""Running a stage again from its beginning, with all after it, in each state of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipeline.checkpoint_file import checkpoint_path
from pipeline.engine import course
from pipeline.engine.messages import Answer
from pipeline.engine.orders import RunStage, StageEnd
from pipeline.errors import DiskFull
from pipeline.stages import STAGE_NAMES
from tests.engine.stand import FakeWorker, Stand, nothing_more, play

MATCHING, AFTER_RADIANCE = STAGE_NAMES.index("matching"), STAGE_NAMES.index("radiance") + 1


async def fail(worker: FakeWorker, order: RunStage) -> StageEnd:
    return StageEnd(stage=order.stage, state="failed", why="it broke")


async def again(stand: Stand, stage: str) -> Answer:
    return await stand.command("retry", stage=stage, confirm=True)


def checkpoint_of(stand: Stand, stage: str) -> Path:
    """The file of a stage's checkpoint, written as if the stage had saved one."""
    path = checkpoint_path(stand.directory.root, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"where it was")
    return path


def test_what_is_done_runs_again_after_a_question(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["radiance"] = FakeWorker.until_stopped
        await stand.until_running("radiance")
        asked = await stand.command("retry", stage="matching")
        assert (asked.ok, asked.reruns) == (False, STAGE_NAMES[MATCHING:AFTER_RADIANCE])
        assert stand.supervisor.running == "radiance"
        assert stand.directory.entry("matching") is not None
        checkpoint = checkpoint_of(stand, "radiance")
        del stand.scripts["radiance"]
        done = await again(stand, "matching")
        assert (done.ok, done.reruns) == (True, STAGE_NAMES[MATCHING:AFTER_RADIANCE])
        await stand.until("done")
        assert not checkpoint.exists()

    stand = play(tmp_path, acts)
    assert stand.order_of_stages == [*STAGE_NAMES[:AFTER_RADIANCE], *STAGE_NAMES[MATCHING:]]
    assert stand.states_of("matching") == ["waiting", "done", "stale", "done"]
    assert stand.states_of("radiance") == ["waiting", "stale", "done"]
    assert stand.states_of_run() == ["starting", "running", "done"]


def test_the_stage_that_runs_begins_anew(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def stop_with_a_checkpoint(worker: FakeWorker, order: RunStage) -> StageEnd:
            stand.scripts["mapping"] = look_for_it
            end = await worker.until_stopped(order)
            checkpoint_of(stand, "mapping")  # as a stage does that is stopped
            return end

        async def look_for_it(worker: FakeWorker, order: RunStage) -> StageEnd:
            assert not checkpoint_path(stand.directory.root, "mapping").exists()
            return worker.done(order)

        stand.scripts["mapping"] = stop_with_a_checkpoint
        await stand.until_running("mapping")
        assert (await again(stand, "mapping")).reruns == ("mapping",)

    stand = play(tmp_path, acts)
    assert stand.order_of_stages.count("mapping") == 2
    assert stand.order_of_stages.count("verification") == 1


def test_a_stage_that_recorded_itself_as_done_meanwhile_runs_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def done_too_soon(worker: FakeWorker, order: RunStage) -> StageEnd:
            del stand.scripts["mapping"]
            await worker.stopped.wait()
            return worker.done(order)

        stand.scripts["mapping"] = done_too_soon
        await stand.until_running("mapping")
        await again(stand, "features")

        async def look_for_it(worker: FakeWorker, order: RunStage) -> StageEnd:
            assert stand.directory.entry("mapping") is None
            return worker.done(order)

        stand.scripts["features"] = look_for_it

    stand = play(tmp_path, acts)
    assert stand.order_of_stages.count("mapping") == 2


def test_a_stage_that_dies_on_the_way_is_no_failure(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def die(worker: FakeWorker, order: RunStage) -> StageEnd:
            del stand.scripts["mapping"]
            await worker.stopped.wait()
            return await fail(worker, order)

        stand.scripts["mapping"] = die
        await stand.until_running("mapping")
        await again(stand, "verification")

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "done"]
    assert stand.order_of_stages.count("verification") == 2


def test_an_earlier_stage_is_run_again_while_a_worker_starts(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def ask() -> None:
            if len(stand.started) == 1:  # that of mapping is started when matching is done
                stand.while_starting = nothing_more
                while stand.supervisor.running is not None or not (
                    stand.supervisor.course.is_finished("verification")
                ):
                    await asyncio.sleep(0.001)
                assert (await again(stand, "pairs")).ok

        stand.while_starting = ask

    stand = play(tmp_path, acts)
    names = list(STAGE_NAMES)
    upto = names[: names.index("mapping")]
    assert stand.order_of_stages == [*upto, *names[names.index("pairs") :]]


def test_after_a_failure_an_earlier_stage_or_the_failed_one_may_run_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = fail
        await stand.until("failed")
        late = await again(stand, "mapping")
        assert (late.ok, late.message) == (False, "matching comes before mapping, and has failed.")
        assert (await stand.command("retry", stage="matching")).reruns == ("matching",)
        assert (await again(stand, "pairs")).reruns == ("pairs",)
        while stand.order_of_stages.count("matching") < 2 or stand.supervisor.state != "failed":
            await asyncio.sleep(0.001)
        checkpoint = checkpoint_of(stand, "matching")
        del stand.scripts["matching"]
        assert (await again(stand, "matching")).ok
        await stand.until("done")
        assert not checkpoint.exists()

    play(tmp_path, acts)


def test_what_makes_no_sense_is_refused_in_words(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["matching"] = FakeWorker.until_stopped
        await stand.until_running("matching")
        for stage, words in (
            ("matchin", "There is no stage matchin."),
            ("mapping", "matching comes before mapping, and is not done."),
            ("radiance", "radiance is not to run: the last stage is mapping."),
        ):
            refused = await again(stand, stage)
            assert (refused.ok, refused.message) == (False, words) and refused.hint
        assert stand.order_of_stages.count("matching") == 1
        await stand.command("stop")
        assert not (await again(stand, "features")).ok

    play(tmp_path, acts, until="mapping")


def test_a_paused_run_forgets_at_once_and_runs_when_it_goes_on(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        await stand.command("pause")
        assert (await again(stand, "matching")).message.endswith("when the run goes on.")
        while stand.directory.entry("matching") is not None:
            await asyncio.sleep(0.001)
        assert stand.supervisor.state == "paused"
        del stand.scripts["mapping"]
        await stand.command("resume")

    assert play(tmp_path, acts).order_of_stages.count("matching") == 2


def test_a_disk_that_refuses_to_forget_is_a_failure_that_can_be_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DiskFull("No space left", "manifest.json could not be written", "Make room.")

    async def acts(stand: Stand) -> None:
        stand.scripts["mapping"] = FakeWorker.until_stopped
        await stand.until_running("mapping")
        with monkeypatch.context() as patched:
            patched.setattr(course, "forget_stages", refuse)
            await again(stand, "matching")
            await stand.until("failed")
        assert stand.last_of_run().why == "manifest.json could not be written"
        del stand.scripts["mapping"]
        assert (await stand.command("retry")).ok
        await stand.until("done")

    stand = play(tmp_path, acts)
    assert stand.states_of_run() == ["starting", "running", "failed", "running", "done"]
    assert stand.order_of_stages.count("matching") == 2


def test_a_run_that_is_done_runs_a_stage_again_without_the_ones_before(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        async def ask_once() -> None:
            stand.while_reporting = nothing_more
            assert (await again(stand, "mapping")).ok

        stand.while_reporting = ask_once

    stand = play(tmp_path, acts)
    assert stand.order_of_stages == [*STAGE_NAMES, *STAGE_NAMES[STAGE_NAMES.index("mapping") :]]
