"""Clouds of a real engine, from a worker process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import preparing
from pipeline.engine.preparing import Preparing
from pipeline.engine.worker_process import (
    WORKER_COMMAND,
    Listeners,
    WorkerProcess,
    WorkerSpec,
)
from pipeline.events import SceneChanged
from pipeline.request import GivenPaths
from pipeline.run_directory import RunDirectory
from pipeline.scene_answer import SceneAnswer
from pipeline.version import VERSION
from tests.dense.mapped_run import write_mapped_run
from tests.dense.models import floor_model
from tests.engine.worker_bench import MOST_SECONDS

NOBODY = Listeners(lambda stage, records: None, lambda paused: None, lambda frame: None)


async def start(
    directory: RunDirectory, started: list[WorkerProcess], preload: tuple[str, ...]
) -> WorkerProcess:
    """A real worker, as the engine starts it for clouds."""
    spec = WorkerSpec(
        root=directory.root,
        lock_fd=directory.lock_fd,
        paths=GivenPaths(photos=directory.root),
        log=directory.root / "engine.log",
        threads=preparing.THREADS,
        nice=preparing.NICE,
        preload=preload,
        command=WORKER_COMMAND,
    )
    started.append(await WorkerProcess.start(spec, NOBODY))
    return started[-1]


@pytest.mark.parametrize("dies", [False, True])
def test_a_real_worker_makes_the_cloud_and_ends(tmp_path: Path, dies: bool) -> None:
    root = tmp_path / "run"
    write_mapped_run(root, floor_model()[0])
    started: list[WorkerProcess] = []
    told: list[Any] = []

    async def work() -> SceneAnswer:
        clouds = Preparing(
            root, partial(start, directory, started), lambda: None, lambda stage, r: told.append(r)
        )
        async with asyncio.timeout(2 * MOST_SECONDS):
            assert (await clouds.scene()).preparing
            while not started:
                await asyncio.sleep(0.01)
            if dies:
                os.kill(started[0].pid, signal.SIGKILL)
            while not told:
                await asyncio.sleep(0.01)
            scene = await clouds.scene()
            await clouds.close()
        return scene

    with RunDirectory(root, VERSION) as directory:
        scene = asyncio.run(work())
    assert told == [SceneChanged(scene.version)]
    (cloud,) = scene.clouds
    assert cloud.before == 3000 and len(started) == (2 if dies else 1)
    assert not any(worker.alive for worker in started)
    if dies:
        assert "SIGKILL" in cloud.note or "killed" in cloud.note
    else:
        assert cloud.note == "" and cloud.strays > 30
        about = json.loads((root / "clouds" / cloud.id / "cloud.json").read_text())
        assert about["up"][1] < -0.999
