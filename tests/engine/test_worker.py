"""Workers as processes: what they run, and how orders reach a stage that is at work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.engine.orders import (
    ChangeField,
    CheckpointStage,
    PauseStage,
    ResumeStage,
    StageEnd,
    StopStage,
    WriteReport,
)
from pipeline.engine.worker_process import WorkerProcess
from pipeline.events import (
    Checkpointed,
    Metric,
    ParameterChanged,
    Progress,
    StageChanged,
    Warned,
)
from pipeline.formats.colmap_database import read_database
from pipeline.run_directory import read_report
from pipeline.stages import STAGE_NAMES
from tests.engine import fake_worker
from tests.engine.worker_bench import MOST_SECONDS, Bench, open_bench, order, run_until

MANY_STEPS = "1000000"
TO_MAPPING = STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1]
ERROR_PX = "max_reprojection_error_px"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh run directory that this process holds."""
    bench = open_bench(tmp_path)
    with bench.directory:
        yield bench


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a limit of time."""

    async def limited() -> None:
        async with asyncio.timeout(MOST_SECONDS):
            await work

    asyncio.run(limited())


def until_mapping(worker: WorkerProcess) -> asyncio.Task[StageEnd]:
    """The mapping stage on its way, after all those before it."""

    async def stages() -> StageEnd:
        await run_until(worker, "verification")
        return await worker.run_stage(order("mapping"))

    return asyncio.create_task(stages())


def test_a_pass_in_one_worker_and_the_next_in_two(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker(preload=("decimal", "there.is.no.such.module")) as worker:
            ends = await run_until(worker, "mapping")
            assert [end.state for end in ends] == ["done"] * len(TO_MAPPING)
            assert ends[-1].report["steps"] == 20 and ends[-1].peak_rss_mb > 10
            report_order = WriteReport(
                route="mapped",
                config=RunConfig(),
                outcomes=tuple(ends),
                wall_s=3.0,
                peak_rss_mb=12345.0,
            )
            reported = await worker.write_report(report_order)
            assert not reported.error
        told = [stage for stage, r in bench.told if isinstance(r, StageChanged)]
        assert told == list(TO_MAPPING)  # started, each once: how they end is the engine's to tell
        report = read_report(bench.directory.root)
        assert report == reported.report
        assert (report["wall_s"], report["peak_rss_mb"]) == (3.0, 12345.0)
        assert (report["registered"], report["complete"]) == (3, True)
        # Closing the worker has waited for the database.
        assert len(read_database(bench.directory.root / "database.db").image_names) == 4
        assert bench.directory.manifest.database

        bench.told.clear()
        async with bench.worker() as vision, bench.worker() as mapping:
            ends = await run_until(vision, "verification")
            assert {end.state for end in ends} == {"skipped"}
            assert ends[0].report == {"photographs": 4}
            end = await mapping.run_stage(order("mapping", min_model_images=4))
            assert end.state == "done"
        started = [record for record in bench.of(StageChanged) if record.state == "started"]
        assert [record.why for record in started] == ["mapping.min_model_images is 4, it was 3"]

    run(work())


def test_the_database_is_written_while_another_worker_maps(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as vision, bench.worker() as mapping:
            await run_until(vision, "verification")
            closing = asyncio.create_task(vision.close())
            end = await mapping.run_stage(order("mapping"))
            await closing
        assert end.state == "done"
        assert set(bench.directory.manifest.stages) == set(TO_MAPPING)
        assert bench.directory.manifest.database

    run(work())


def test_a_stage_that_needs_what_is_not_there_says_so(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            end = await worker.run_stage(order("pairs"))
            assert end.state == "failed"
            assert "ingest is not done" in end.why and end.hint

    run(work())


def test_photographs_are_looked_at_anew_after_a_failure(bench: Bench) -> None:
    async def work() -> None:
        moved = bench.photos.rename(bench.photos.with_name("elsewhere"))
        async with bench.worker() as worker:
            end = await worker.run_stage(order("ingest"))
            assert (end.state, str(bench.photos) in end.why) == ("failed", True)
            moved.rename(bench.photos)
            assert (await worker.run_stage(order("ingest"))).state == "done"

    run(work())


def test_stop_keeps_a_checkpoint_and_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "60")

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await bench.until(
                lambda: any(isinstance(r, Progress) for s, r in bench.told if s == "mapping")
            )
            await worker.stop_stage()
            assert (await mapping).state == "stopped" and worker.alive
            (saved,) = bench.of(Checkpointed)
            assert 0 < saved.step < 59
            end = await worker.run_stage(order("mapping"))
            assert end.state == "done"
            # Nothing is lost by a stop: it goes on after the step of the checkpoint.
            assert end.report["first"] == saved.step + 1
            assert (end.report["steps"], end.report["sum"]) == (60, 240.0)
            assert await worker.run_stage(order("mapping")) == end.model_copy(
                update={"state": "skipped"}
            )
        assert not list(bench.directory.root.rglob("checkpoint*"))

    run(work())


def test_orders_for_a_stage_that_has_ended_do_nothing(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "ingest")
            for late in (
                StopStage(),
                PauseStage(),
                CheckpointStage(),
                ChangeField(field=ERROR_PX, value=1.0, revision=1, by="me"),
            ):
                worker.order(late)
            ends = await run_until(worker, "mapping")
            assert [end.state for end in ends] == ["skipped", *["done"] * 5]
            assert ends[-1].report["sum"] == 80.0

    run(work())


def test_pause_begins_with_a_checkpoint_and_resume_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "60")

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await bench.until(lambda: any(s == "mapping" for s, _ in bench.told))
            worker.order(PauseStage())
            await bench.until(lambda: bench.paused == [True])
            (saved,) = bench.of(Checkpointed)
            worker.order(CheckpointStage())  # it has one: told again, without another step
            worker.order(ChangeField(field=ERROR_PX, value=1.0, revision=7, by="me"))
            await bench.until(lambda: len(bench.of(Checkpointed)) == 2)
            assert bench.of(Checkpointed)[1].step == saved.step
            told = len(bench.told)
            await asyncio.sleep(0.3)
            assert len(bench.told) == told and not mapping.done()
            worker.order(ResumeStage())
            end = await mapping
            assert bench.paused == [True, False] and end.state == "done"
            (change,) = bench.of(ParameterChanged)
            assert (change.old, change.new, change.revision, change.by) == (4.0, 1.0, 7, "me")
            assert change.step == saved.step + 1
            steps_before = saved.step + 1
            assert end.report["sum"] == 4.0 * steps_before + 60 - steps_before

    run(work())


def test_stop_ends_a_pause(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_worker.STEPS, MANY_STEPS)

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await asyncio.sleep(0)  # the order to run ingest goes out
            worker.order(PauseStage())
            await bench.until(lambda: bench.paused)
            worker.order(ResumeStage())
            await bench.until(lambda: any(s == "mapping" for s, _ in bench.told))
            worker.order(PauseStage())
            await bench.until(lambda: bench.paused == [True, False, True])
            await worker.stop_stage()
            assert (await mapping).state == "stopped"
            assert bench.paused == [True, False, True] and len(bench.of(Checkpointed)) == 1

    run(work())


def test_a_checkpoint_is_saved_when_it_is_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, MANY_STEPS)

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await bench.until(lambda: any(s == "mapping" for s, _ in bench.told))
            for count in (1, 2):
                worker.order(CheckpointStage())
                await bench.until(lambda: len(bench.of(Checkpointed)) == count)  # noqa: B023
            first, second = (record.step for record in bench.of(Checkpointed))
            assert second > first and not mapping.done()
            await worker.stop_stage()

    run(work())


def test_what_is_saved_is_not_saved_again_and_still_answered_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "10")
    monkeypatch.setenv(fake_worker.LOOKS, MANY_STEPS)
    monkeypatch.setenv(fake_worker.CHECKPOINT_SECONDS, "0.02")  # a few looks

    def looks() -> int:
        return sum(record.unit == "looks" for record in bench.of(Progress))

    async def look_on() -> None:
        """Wait until the clock has had time for more checkpoints."""
        seen = looks()
        await bench.until(lambda: looks() > seen + 2)

    def last_steps() -> int:
        return sum(record.step == 9 for record in bench.of(Checkpointed))

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await bench.until(lambda: last_steps() == 1)
            file = bench.directory.root / "stages" / "mapping" / "checkpoint.arrays"
            saved = file.stat()
            await look_on()
            assert last_steps() == 1
            worker.order(CheckpointStage())
            await bench.until(lambda: last_steps() == 2)  # it is there, says the worker
            worker.order(PauseStage())
            await bench.until(lambda: bench.paused == [True])
            worker.order(CheckpointStage())
            await bench.until(lambda: last_steps() == 3)
            worker.order(ResumeStage())
            await look_on()
            assert last_steps() == 3
            assert (file.stat().st_ino, file.stat().st_mtime_ns) == (
                saved.st_ino, saved.st_mtime_ns,
            )  # fmt: skip
            await worker.stop_stage()
            assert (await mapping).state == "stopped" and last_steps() == 3

    run(work())


def test_a_live_change_outlives_a_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "100")

    async def work() -> None:
        async with bench.worker() as worker:
            mapping = until_mapping(worker)
            await bench.until(lambda: any(s == "mapping" for s, _ in bench.told))
            worker.order(ChangeField(field=ERROR_PX, value=1.0, revision=1, by="me"))
            await bench.until(lambda: bench.of(ParameterChanged))
            await bench.until(lambda: bench.of(Checkpointed))  # because of the change
            os.kill(worker.pid, signal.SIGKILL)
            assert (await mapping).state == "failed"
        async with bench.worker() as worker:
            end = await worker.run_stage(order("mapping", max_reprojection_error_px=1.0))
        change = bench.of(ParameterChanged)[0]
        assert change.step is not None and end.state == "done"
        assert end.report["first"] == bench.of(Checkpointed)[0].step + 1
        assert end.report["sum"] == 4.0 * change.step + 100 - change.step
        recorded = bench.directory.manifest.stages["mapping"].ingredients
        assert recorded.config[ERROR_PX] == 1.0
        assert json.loads(json.dumps(recorded.live)) == [
            [0, ERROR_PX, 4.0],
            [change.step, ERROR_PX, 1.0],
        ]
        # Made with another history, so whatever is made of it is another thing.
        plain = recorded.fingerprint
        assert (
            plain
            != type(recorded)(
                recorded.stage, recorded.version, recorded.config, recorded.needs, recorded.given
            ).fingerprint
        )

    run(work())


def test_a_flood_of_records_arrives_whole_and_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.BEHAVIOUR, "flood")

    async def work() -> None:
        async with bench.worker() as worker:
            ends = await run_until(worker, "pairs")
        assert ends[-1].state == "done"
        metrics = bench.of(Metric)
        assert [metric.step for metric in metrics] == list(range(fake_worker.FLOOD))
        assert metrics[1].value == 0.5

    run(work())


def test_what_a_stage_prints_goes_to_its_log(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "matching")

    run(work())
    stages = bench.directory.root / "stages"
    assert (stages / "pairs/stdout.log").read_text() == f"{fake_worker.LINE}\n"
    assert (stages / "matching/stdout.log").read_text() == ""
    assert (bench.directory.root / "engine.log").read_text() == ""


def test_a_lost_product_is_made_again(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "pairs")
        next(bench.directory.root.glob("features/??/*.arrays")).unlink()
        async with bench.worker() as worker:
            ends = await run_until(worker, "pairs")
        assert [end.state for end in ends] == ["skipped", "done", "skipped"]

    run(work())


def test_a_database_that_cannot_be_written_is_a_warning(bench: Bench) -> None:
    (bench.directory.root / "database.db").mkdir()
    (bench.directory.root / "database.db/in the way").touch()

    async def work() -> None:
        async with bench.worker() as worker:
            ends = await run_until(worker, "mapping")
            assert ends[-1].state == "done"
        (warning,) = bench.of(Warned)
        assert "database.db is not written" in warning.message
        assert warning.subject == "database.db"
        assert bench.directory.manifest.database == ""

    run(work())
