"""Views out of real worker processes: while a stage is at work, while it rests, and alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.engine.orders import (
    AcknowledgeView,
    LeaveView,
    PauseStage,
    RenderView,
    ResumeStage,
    StopStage,
)
from pipeline.engine.worker_process import WorkerProcess
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import NoField, RefinedCameras
from pipeline.version import VERSION
from pipeline.view_requests import LEVELS, ViewFrame
from pipeline.workspace import Workspace
from tests.engine import viewing_worker
from tests.engine.worker_bench import MOST_SECONDS, Bench, open_bench, order
from tests.radiance.test_view_service import request


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh run directory whose workers can be looked into."""
    bench = open_bench(tmp_path)
    bench.command = viewing_worker.COMMAND
    with bench.directory:
        yield bench


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(2 * MOST_SECONDS):
            await work

    asyncio.run(limited())


async def taken(bench: Bench, worker: WorkerProcess, count: int) -> list[ViewFrame]:
    """So many frames, each acknowledged as it comes."""
    frames: list[ViewFrame] = []
    while len(frames) < count:
        await bench.until(lambda: bench.views)
        frames.append(bench.views.pop(0))
        worker.order(AcknowledgeView(viewer=frames[-1].header.viewer))
    return frames


def brightness(frame: ViewFrame) -> float:
    with Image.open(io.BytesIO(frame.picture)) as image:
        assert image.size == (frame.header.width, frame.header.height)
        return float(np.array(image).mean())


def test_a_stage_at_work_is_looked_at_also_while_it_rests(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            worker.order(RenderView(request=request(seq=1, depth=True)))  # before the stage begins
            stage = asyncio.create_task(worker.run_stage(order("ingest")))
            frames = await taken(bench, worker, 4)
            assert [f.header.level for f in frames] == list(LEVELS)
            assert [f.header.final for f in frames] == [False, False, False, True]
            assert all(f.header.seq == 1 and f.header.step > 0 for f in frames)
            assert [brightness(f) for f in frames] == [viewing_worker.AT_WORK] * 4
            last = frames[-1].header
            depths = np.frombuffer(frames[-1].depth, "<f2")
            assert (last.depth_width, last.depth_height) == (64, 32)
            np.testing.assert_array_equal(depths, np.full(64 * 32, 3.0))

            # What cannot be rendered is told, and the stage goes on.
            worker.order(RenderView(request=request(seq=2, width=viewing_worker.UNLUCKY)))
            (failed,) = await taken(bench, worker, 1)
            assert "by nought" in failed.header.error and failed.header.seq == 2

            # A slow reader gets two frames and no more, one that has left none.
            worker.order(RenderView(request=request(seq=3)))
            await bench.until(lambda: len(bench.views) == 2)
            worker.order(RenderView(request=request("b", seq=1)))
            worker.order(LeaveView(viewer="b"))

            worker.order(PauseStage())
            await bench.until(lambda: bench.paused == [True])
            assert [f.header.viewer for f in bench.views if f.header.viewer == "a"] == ["a", "a"]
            bench.views.clear()
            worker.order(AcknowledgeView(viewer="a"))
            worker.order(AcknowledgeView(viewer="a"))
            resting = await taken(bench, worker, 2)
            assert [f.header.level for f in resting] == [2, 1]
            worker.order(ResumeStage())
            await bench.until(lambda: bench.paused == [True, False])
            worker.order(RenderView(request=request(seq=4, coarsest=1)))
            assert [f.header.seq for f in await taken(bench, worker, 1)] == [4]
            worker.order(StopStage())
            assert (await stage).state == "stopped"

    run(work())


def test_a_worker_serves_a_field_that_is_trained(bench: Bench) -> None:
    async def work() -> None:
        async with bench.worker() as worker:
            none = await worker.serve_views()
            assert "radiance" in none.error
            with Workspace(bench.directory.root, VERSION, lock=bench.directory.lock_fd) as place:
                entry = StageEntry(Ingredients("radiance", 1, {}, {}, {}), 1.0, {})
                products = {"radiance": NoField("none"), "refined": RefinedCameras(None, "")}
                place.save(entry, products)
            serving = asyncio.create_task(worker.serve_views())
            worker.order(RenderView(request=request()))
            frames = await taken(bench, worker, 4)
            assert [brightness(f) for f in frames] == [viewing_worker.SERVED] * 4
            await worker.close()
            assert (await serving).error == ""

    run(work())


def test_a_worker_that_dies_while_it_serves_is_told(bench: Bench) -> None:
    async def work() -> None:
        bench.command = ("/bin/true",)
        async with bench.worker() as worker:
            served = await worker.serve_views()
            assert "exit code 0" in served.error

    run(work())
