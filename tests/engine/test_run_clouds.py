"""Clouds of a real engine, from a worker process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import preparing
from pipeline.engine.log_reader import LogReader
from pipeline.engine.preparing import Preparing
from pipeline.engine.runtime import EngineFile
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
from tests.engine_runs import Host, until, view_in

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


def scene_of_engine(engine: EngineFile) -> SceneAnswer:
    """What an engine says that there is to see."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(MOST_SECONDS)
        connection.connect(str(engine.socket))
        connection.sendall(b"GET /api/scene HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    return SceneAnswer.model_validate_json(body)


def test_an_engine_has_the_cloud_made_for_whoever_asks(
    host: Host, photographs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    engine = host.begin(photographs, run)
    scene = until(lambda: seen if (seen := scene_of_engine(engine)).clouds else None)
    (cloud,) = scene.clouds
    assert (cloud.name, cloud.count, cloud.note) == ("sparse", 1, "")
    assert (run / "clouds" / cloud.id / "points.bin").stat().st_size > 10

    def told() -> bool:
        scene_of_engine(engine)  # so that it stays
        return any(e.record.kind == "scene" for e in LogReader(run / "events.jsonl"))

    until(told)
    view_in(run, "done")
    host.wait_until_empty()


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
