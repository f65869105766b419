"""Workers that die, hang or talk nonsense: the engine's side stays whole and says what happened."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import worker_process
from pipeline.engine.log_cutting import cut_log
from pipeline.engine.orders import StageEnd, WriteReport
from pipeline.engine.worker_process import Listeners, WorkerProcess, WorkerSpec
from pipeline.errors import PipelineError
from pipeline.request import GivenPaths
from tests.engine import fake_worker
from tests.engine.worker_bench import (
    MOST_SECONDS,
    Bench,
    gone,
    kill_if_alive,
    open_bench,
    order,
    run_until,
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh run directory that this process holds."""
    bench = open_bench(tmp_path)
    with bench.directory:
        yield bench


@pytest.fixture
def misbehave(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the stage `pairs` does from now on in new workers."""

    def say(behaviour: str) -> None:
        monkeypatch.setenv(fake_worker.BEHAVIOUR, behaviour)

    return say


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a limit of time."""

    async def limited() -> None:
        async with asyncio.timeout(MOST_SECONDS):
            await work

    asyncio.run(limited())


async def begun(bench: Bench, worker: WorkerProcess) -> asyncio.Task[StageEnd]:
    """`pairs` on its way, and so far that it misbehaves."""
    await run_until(worker, "features")
    running = asyncio.create_task(worker.run_stage(order("pairs")))
    log = bench.directory.root / "stages/pairs/stdout.log"
    await bench.until(lambda: log.exists() and fake_worker.LINE in log.read_text())
    return running


def test_without_descriptors_there_is_no_worker_and_nothing_leaks(bench: Bench) -> None:
    async def refusal() -> PipelineError | None:
        try:
            async with bench.worker():
                return None
        except PipelineError as error:
            return error

    async def work() -> None:
        await asyncio.to_thread(os.getpid)  # the pool's thread is there
        before = open_descriptors()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 20, limits[1]))
        failures = 0
        try:
            for free in range(20):
                fillers = list(descriptors_until_the_limit())
                for filler in [fillers.pop() for _ in range(min(free, len(fillers)))]:
                    os.close(filler)
                error = await refusal()
                for filler in fillers:
                    os.close(filler)
                await asyncio.sleep(0.01)  # transports close their pipes in the loop's next round
                assert open_descriptors() == before
                if error is None:
                    break
                assert (error.title, os.strerror(errno.EMFILE) in error.message) == (
                    "No worker",
                    True,
                )
                failures += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        # Two pipes, the log, the pipe that tells of exec, standard input.
        assert 5 <= failures < 10

    run(work())


def open_descriptors() -> set[int]:
    """The descriptors of this process, but not that of the listing itself."""
    listed = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    return {number for number in listed if Path(f"/proc/self/fd/{number}").exists()}


def descriptors_until_the_limit() -> Iterator[int]:
    """Take all descriptors that the system still gives."""
    with suppress(OSError):
        while True:
            yield os.open(os.devnull, os.O_RDONLY)


DEATHS = [
    ("segfault", "segmentation fault", "report it"),
    ("abort", "SIGABRT", "report it"),
    ("kill", "SIGKILL", "memory"),
    ("exit", "exit code 3", "log"),
    ("hang up", "hung up", "report it"),
    ("nonsense", "no sense", "report it"),
]


@pytest.mark.parametrize(("behaviour", "why", "hint"), DEATHS)
def test_any_death_fails_the_stage_with_words(
    bench: Bench,
    misbehave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    why: str,
    hint: str,
) -> None:
    monkeypatch.setattr(worker_process, "SECONDS_TO_EXIT", 0.5)

    async def work() -> None:
        misbehave(behaviour)
        async with bench.worker() as worker:
            *_, end = await run_until(worker, "pairs")
            assert (end.state, why in end.why, hint in end.hint) == ("failed", True, True)
            assert fake_worker.LINE in end.log
            assert not worker.alive and gone(worker.pid)
            # Dead it stays: everything else is refused with words, and at once.
            again = await worker.run_stage(order("pairs"))
            assert (again.state, again.why, again.log) == ("failed", end.why, ())
            empty = WriteReport(
                route="mapped",
                config=order("pairs").config,
                outcomes=(),
                wall_s=1,
                peak_rss_mb=1,
            )
            assert end.why in (await worker.write_report(empty)).error
            await worker.stop_stage()

    run(work())


def test_after_a_crash_its_place_is_in_the_log_and_the_next_worker_goes_on(
    bench: Bench, misbehave: Callable[[str], None]
) -> None:
    async def work() -> None:
        misbehave("segfault")
        async with bench.worker() as worker:
            *_, end = await run_until(worker, "pairs")
            assert any("misbehave" in line for line in end.log)
        misbehave("")
        async with bench.worker() as worker:
            ends = await run_until(worker, "pairs")
            assert [end.state for end in ends] == ["skipped", "skipped", "done"]
            assert ends[-1].log == ()

    run(work())


def test_errors_in_a_stage_leave_the_worker_alive(
    bench: Bench, misbehave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(behaviour: str) -> StageEnd:
        misbehave(behaviour)
        async with bench.worker() as worker:
            *_, end = await run_until(worker, "pairs")
            assert worker.alive
            return end

    async def work() -> None:
        end = await fail("raise")
        assert (end.state, "by nought" in end.why) == ("failed", True)
        assert str(bench.directory.root / "stages/pairs/stdout.log") in end.why
        assert end.log[-1] == "ZeroDivisionError: by nought"
        end = await fail("refuse")
        assert (end.state, end.title, end.why) == ("failed", "No pairs", "a.jpg fits nothing")
        assert end.hint == "look again"
        end = await fail("full")
        assert (end.state, end.why, end.hint) == ("full", "matches is full", "make room")

    run(work())


def test_a_removed_run_directory_is_told_as_that(bench: Bench) -> None:
    root = bench.directory.root

    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "features")
            root.rename(root.with_name("moved"))
            end = await worker.run_stage(order("pairs"))
            assert (end.state, end.title) == ("failed", "The run directory is gone")
            assert str(root) in end.why and "retry" not in end.hint.lower()
            assert not root.exists()  # and nothing makes it anew

    run(work())


@pytest.mark.parametrize("behaviour", ["loop", "loop deaf to SIGTERM"])
def test_a_stage_that_heeds_nothing_is_ended_by_force(
    bench: Bench, misbehave: Callable[[str], None], behaviour: str
) -> None:
    async def work() -> None:
        misbehave(behaviour)
        async with bench.worker() as worker:
            running = await begun(bench, worker)
            await worker.stop_stage(grace_s=0.3, term_s=0.3)
            end = await running
            assert end.state == "stopped" and end.why
            assert not worker.alive and gone(worker.pid)

    run(work())


def test_closing_a_worker_in_the_middle_of_a_stage_stops_it(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "verification")
            running = asyncio.create_task(worker.run_stage(order("mapping")))
            await bench.until(lambda: any(stage == "mapping" for stage, _ in bench.told))
            await worker.close()
            assert (await running).state == "stopped"
            assert not worker.alive and gone(worker.pid)
            assert bench.directory.manifest.database  # what was in the background is finished

    os.environ[fake_worker.STEPS] = "100000"
    try:
        run(work())
    finally:
        del os.environ[fake_worker.STEPS]


@pytest.mark.parametrize("how", ["kill -9", "SIGTERM", "ladder"])
def test_descendants_do_not_outlive_their_worker(
    bench: Bench, misbehave: Callable[[str], None], tmp_path: Path, how: str
) -> None:
    async def work() -> None:
        numbers = tmp_path / "numbers"
        misbehave(str(numbers))
        async with bench.worker() as worker:
            running = await begun(bench, worker)
            await bench.until(lambda: numbers.exists() and numbers.read_text())
            own, child = map(int, numbers.read_text().split())
            assert own == worker.pid and not gone(child)
            try:
                if how == "ladder":
                    await worker.stop_stage(grace_s=0.2)
                else:
                    os.kill(own, signal.SIGKILL if how == "kill -9" else signal.SIGTERM)
                end = await running
                assert end.state == ("stopped" if how == "ladder" else "failed")
                await bench.until(lambda: gone(child))
            finally:
                kill_if_alive(child)

    run(work())


def test_a_stopped_process_is_closed_too(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "ingest")
            os.kill(worker.pid, signal.SIGSTOP)
            await worker.close(grace_s=0.2, term_s=0.2)
            assert gone(worker.pid)

    run(work())


def test_ctrl_c_in_a_terminal_does_not_end_a_worker(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            await run_until(worker, "ingest")
            os.killpg(worker.pid, signal.SIGINT)
            *_, end = await run_until(worker, "pairs")
            assert end.state == "done"

    run(work())


def test_a_stage_cannot_fill_the_disk_with_what_it_prints(
    bench: Bench, misbehave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "SECONDS_BETWEEN_LOOKS", 0.05)
    cuts: list[int] = []

    def cut_early(path: Path) -> None:
        before = path.stat().st_size if path.exists() else 0
        cut_log(path, 20_000, 2_000)
        if before > 20_000:
            cuts.append(before - path.stat().st_size)

    monkeypatch.setattr(worker_process, "cut_log", cut_early)

    async def work() -> None:
        misbehave("print")
        async with bench.worker() as worker:
            running = await begun(bench, worker)
            await bench.until(lambda: len(cuts) >= 2)
            os.kill(worker.pid, signal.SIGKILL)
            end = await running
            assert end.log and end.log[-1] == "x" * 79

    run(work())
    assert min(cuts) > 0


def test_a_log_is_cut_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    cut_log(log)
    assert not log.exists()
    log.write_bytes(b"a" * 3 * 2**20 + b"end\n")
    cut_log(log, most_bytes=4 * 2**20)
    assert log.stat().st_size == 3 * 2**20 + 4
    cut_log(log, most_bytes=2**20, kept_bytes=5)
    assert log.read_text() == "[2 MB of this log were removed]\naend\n"


def test_memory_and_process_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "SECONDS_BETWEEN_LOOKS", 0.05)

    async def work() -> None:
        async with bench.worker() as worker:
            assert os.getpgid(worker.pid) == worker.pid != os.getpgrp()
            assert os.getsid(worker.pid) == worker.pid
            await run_until(worker, "ingest")
            assert 10 < worker.peak_rss_mb < 2000
            status = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
            assert {b"OMP_NUM_THREADS=1", b"NUMBA_NUM_THREADS=2"} <= set(status)
            nice = os.getpriority(os.PRIO_PROCESS, worker.pid)
            assert nice == min(os.getpriority(os.PRIO_PROCESS, 0) + worker_process.NICE, 19)

    run(work())


def test_what_cannot_be_started_is_an_error_in_words(bench: Bench) -> None:
    spec = WorkerSpec(
        root=bench.directory.root,
        lock_fd=bench.directory.lock_fd,
        paths=GivenPaths(photos=bench.photos),
        log=bench.directory.root / "engine.log",
        threads=1,
        command=("/no/such/program",),
    )
    nobody = Listeners(lambda stage, records: None, lambda paused: None, lambda frame: None)
    open_before = len(list(Path("/proc/self/fd").iterdir()))

    async def work() -> None:
        with pytest.raises(PipelineError, match="no/such"):
            await WorkerProcess.start(spec, nobody)
        # A program that ends at once is a dead worker, not an error.
        worker = await WorkerProcess.start(replace(spec, command=("/bin/true",)), nobody)
        end = await worker.run_stage(order("ingest"))
        assert (end.state, "exit code 0" in end.why) == ("failed", True)
        await worker.close()

    run(work())
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_an_error_of_the_listener_is_not_swallowed(bench: Bench) -> None:
    def listen(stage: str, records: Any) -> None:
        raise KeyError("a fault of the engine")

    async def work() -> None:
        bench._tell = listen  # type: ignore[method-assign]
        async with bench.worker() as worker:
            end = await worker.run_stage(order("ingest"))
            assert end.state == "failed" and gone(worker.pid)

    with pytest.raises(KeyError, match="fault of the engine"):
        run(work())
