"""A worker whose engine is killed: it saves a checkpoint, ends, and the run is free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.engine import fake_worker
from tests.engine.test_worker_process import run
from tests.engine.worker_bench import gone, kill_if_alive, open_bench, order, wait_until


def start_engine(folder: Path, stage: str) -> tuple[subprocess.Popen[bytes], int]:
    """An engine whose worker runs a stage, and the worker's process number."""
    engine = subprocess.Popen([sys.executable, "-m", "tests.engine.small_engine", folder, stage])
    wait_until(lambda: (folder / "worker").exists() or engine.poll() is not None)
    assert engine.poll() is None
    return engine, int((folder / "worker").read_text())


def test_a_worker_without_its_engine_saves_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "100000")
    engine, pid = start_engine(tmp_path, "mapping")
    try:
        os.kill(engine.pid, signal.SIGSTOP)  # still there: the run is not free, whoever asks
        with pytest.raises(PipelineError, match="in use"):
            RunDirectory(tmp_path / "run", VERSION)
        engine.kill()
        engine.wait()
        # The lock is free once the last process is gone, and not before.
        with RunDirectory(tmp_path / "run", VERSION, wait_s=30.0):
            assert gone(pid)
            assert (tmp_path / "run/stages/mapping/checkpoint.arrays").exists()
    finally:
        kill_if_alive(pid)
        engine.kill()
        engine.wait()
    monkeypatch.setenv(fake_worker.STEPS, "10")
    bench = open_bench(tmp_path)

    async def go_on() -> None:
        async with bench.worker() as again:
            end = await again.run_stage(order("mapping"))
            assert end.state == "done" and isinstance(end.report["first"], int)
            assert end.report["first"] > 0

    with bench.directory:
        run(go_on())


def test_a_stage_that_heeds_nothing_ends_without_its_engine_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = tmp_path / "numbers"
    monkeypatch.setenv(fake_worker.BEHAVIOUR, str(numbers))
    monkeypatch.setenv(fake_worker.SECONDS_TO_POLL, "0.5")
    engine, pid = start_engine(tmp_path, "pairs")
    wait_until(lambda: numbers.exists() and numbers.read_text())
    _, child = map(int, numbers.read_text().split())
    try:
        assert not gone(child)
        engine.kill()
        engine.wait()
        wait_until(lambda: gone(pid) and gone(child))
        with RunDirectory(tmp_path / "run", VERSION, wait_s=5.0) as free:
            assert set(free.manifest.stages) == {"ingest", "features"}
    finally:
        kill_if_alive(pid)
        kill_if_alive(child)
