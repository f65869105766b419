"""Clouds that somebody wants to see: made once, by one worker, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.orders import PrepareCloud, Prepared
from pipeline.engine.preparing import Preparing
from pipeline.errors import PipelineError
from pipeline.events import SceneChanged
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
from pipeline.scene_index import cloud_sources
from pipeline.version import VERSION
from tests.dense.fused_run import fused_cloud, give_fused

SECONDS = 20.0
ABOUT = {
    "format": "points", "count": 5, "before": 5, "strays": 1, "up": [0, -1, 0], "seconds": 0.5,
    "bounds": [[0, 0, 0], [1, 1, 1]], "center": [0.5, 0.5, 0.5], "radius": 1.0, "note": "",
}  # fmt: skip


class FakeWorker:
    """Makes a cloud of no points, slowly; does what the test says in its place."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.alive = True
        self.grace_s: float | None = None

    async def prepare_cloud(self, order: PrepareCloud) -> Prepared:
        self.stand.orders.append(order)
        await asyncio.sleep(self.stand.takes_s)
        await self.stand.goes_on.wait()
        outcome = self.stand.outcomes.pop(0) if self.stand.outcomes else Prepared()
        if outcome.died:
            self.alive = False
        elif not outcome.error:
            folder = self.stand.directory.root / "clouds" / order.cloud
            folder.mkdir(parents=True)
            note = f"not filtered: {order.without_open3d}" if order.without_open3d else ""
            (folder / "cloud.json").write_text(json.dumps({**ABOUT, "note": note}))
        return outcome

    async def close(self, grace_s: float = 120.0) -> None:
        self.alive = False
        self.grace_s = grace_s


class Stand:
    """A run that has finished mapping."""

    def __init__(self, folder: Path) -> None:
        self.directory = RunDirectory(folder / "run", VERSION)
        self.workers: list[FakeWorker] = []
        self.orders: list[PrepareCloud] = []
        self.outcomes: list[Prepared] = []
        self.told: list[str] = []
        self.refusal = ""
        self.fault: Exception | None = None
        self.takes_s = 0.01
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        root = self.directory.root
        self.preparing = Preparing(root, self._start, lambda: None, self._tell)
        (root / "sparse/0").mkdir(parents=True)
        self.map_anew(1.0)

    def map_anew(self, ratio: float) -> None:
        """Mapping is done, with another parameter."""
        ingredients = Ingredients("mapping", 1, {"ratio": ratio}, {}, {})
        self.directory.record(StageEntry(ingredients, 1.0, {}))

    def cloud(self) -> str:
        """The id of the cloud that the run should have."""
        (source,) = cloud_sources(self.directory.root, self.directory.manifest)
        return source.id

    async def told_of(self, count: int) -> None:
        """Wait until so much news was told."""
        while len(self.told) < count:
            await asyncio.sleep(0.001)

    async def _start(self, preload: tuple[str, ...]) -> Any:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if self.refusal:
            raise PipelineError("No worker", self.refusal)
        self.workers.append(FakeWorker(self))
        return self.workers[-1]

    def _tell(self, stage: str, record: SceneChanged) -> None:
        assert stage == ""
        self.told.append(record.version)


def run(folder: Path, acts: Callable[[Stand], Awaitable[None]]) -> Stand:
    stand = Stand(folder)

    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await acts(stand)
            await stand.preparing.close()

    with stand.directory:
        asyncio.run(limited())
    return stand


def test_a_cloud_is_made_when_it_is_first_asked_for_and_once(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        assert not stand.workers  # nobody has asked
        first, second = await asyncio.gather(stand.preparing.scene(), stand.preparing.scene())
        assert first == second and not first.clouds and first.troubles == ()
        assert [(p.name, p.why) for p in first.preparing] == [
            ("sparse", "its points are being filtered")
        ]
        await stand.told_of(1)
        scene = await stand.preparing.scene()
        assert stand.told == [scene.version] and scene.version != first.version
        (cloud,) = scene.clouds
        assert (cloud.id, cloud.count, cloud.strays) == (stand.cloud(), 5, 1)
        assert not scene.preparing and scene.up == (0.0, -1.0, 0.0)
        assert [c.url for c in scene.cameras] == [f"/clouds/{cloud.id}/cameras.json"]
        assert len(stand.workers) == 1 and not stand.workers[0].alive

    assert len(run(tmp_path, acts).orders) == 1


def test_a_mapping_anew_gets_a_cloud_of_its_own(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.goes_on.clear()
        await stand.preparing.scene()
        stand.map_anew(2.0)  # while the first is being made
        await stand.preparing.scene()
        stand.goes_on.set()
        await stand.told_of(2)
        assert [cloud.id for cloud in (await stand.preparing.scene()).clouds] == [stand.cloud()]

    stand = run(tmp_path, acts)
    assert len({order.cloud for order in stand.orders}) == 2 and len(stand.workers) == 1


def test_the_largest_cloud_waits_for_the_others_also_those_that_are_wanted_later(
    tmp_path: Path,
) -> None:
    async def acts(stand: Stand) -> None:
        stand.goes_on.clear()
        give_fused(stand.directory, fused_cloud())
        scene = await stand.preparing.scene()
        assert [(p.name, p.why) for p in scene.preparing] == [
            ("sparse", "its points are being filtered"),
            ("dense", "its points are being put in order"),
        ]
        (stand.directory.root / "sparse/refined").mkdir()
        stand.directory.record(StageEntry(Ingredients("radiance", 1, {}, {}, {}), 1.0, {}))
        await stand.preparing.scene()
        stand.goes_on.set()
        await stand.told_of(3)
        scene = await stand.preparing.scene()
        assert [cloud.name for cloud in scene.clouds] == ["sparse", "refined", "dense"]

    stand = run(tmp_path, acts)
    made = [order.cloud.partition("-")[0] for order in stand.orders]
    assert made == ["sparse", "refined", "dense"] and len(stand.workers) == 1


def test_where_a_worker_dies_the_cloud_is_made_without_open3d(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.outcomes = [Prepared(error="it was killed", died=True)]
        await stand.preparing.scene()
        await stand.told_of(1)
        scene = await stand.preparing.scene()
        assert "not filtered" in scene.clouds[0].note and "it was killed" in scene.clouds[0].note

    stand = run(tmp_path, acts)
    assert len(stand.workers) == 2 and not any(worker.alive for worker in stand.workers)


def test_what_cannot_be_made_is_said_and_not_tried_again(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.outcomes = [Prepared(error="no room", died=False)]
        await stand.preparing.scene()
        await stand.told_of(1)
        scene = await stand.preparing.scene()
        assert scene.troubles == ("The cloud sparse could not be made: no room",)
        assert not scene.preparing and not scene.clouds
        stand.refusal = "too many processes"
        stand.map_anew(3.0)
        await stand.preparing.scene()
        await stand.told_of(2)
        assert "too many processes" in (await stand.preparing.scene()).troubles[1]

    assert len(run(tmp_path, acts).orders) == 1


def test_a_fault_of_ours_is_kept_in_the_log_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def acts(stand: Stand) -> None:
        stand.fault = RuntimeError("nobody thought of this")
        await stand.preparing.scene()
        await stand.told_of(1)
        scene = await stand.preparing.scene()
        assert "its log says why" in scene.troubles[0] and not scene.preparing

    run(tmp_path, acts)
    assert "nobody thought of this" in caplog.text


def test_the_end_of_the_engine_is_the_end_of_the_worker(tmp_path: Path) -> None:
    async def acts(stand: Stand) -> None:
        stand.takes_s = 60.0
        await stand.preparing.scene()
        while not stand.orders:
            await asyncio.sleep(0.001)
        begin = time.monotonic()
        await stand.preparing.close()
        assert time.monotonic() - begin < 5.0

    stand = run(tmp_path, acts)
    assert stand.workers[0].grace_s == 0.0 and not stand.told
