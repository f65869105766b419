"""The stage `depth` on photographs of a plain world."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.dense_codecs import load_depth, save_depth
from pipeline.dense_products import DepthMaps, NoDepth
from pipeline.depth import stage as depth_stage
from pipeline.depth.items import PhotometricTask, find_depth
from pipeline.depth.photographs import UndistortTask, pinhole_of, undistort_photo
from pipeline.depth.sources import source_images
from pipeline.depth.stage import EstimateDepth
from pipeline.depth_config import DepthConfig
from pipeline.errors import PipelineError
from pipeline.events import Progress, Record, Report, Warned
from pipeline.item_refs import FileRef
from pipeline.item_store import DiskStore
from pipeline.products import ItemStore, MemoryStore, Points, Reconstruction
from pipeline.runner import ForegroundControl
from tests.depth.plain_world import BACK, CAMERA, FRONT_DEPTH, VIEWS, look, poses, products

SETTINGS = DepthConfig(size_px=192, sources=3, device="cpu")


class CountingStore(MemoryStore):
    """Knows what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.put_kinds: list[str] = []

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        self.put_kinds.append(kind)
        super().put(kind, key, arrays)


def run(
    inputs: Mapping[str, Any], store: ItemStore, config: DepthConfig = SETTINGS
) -> tuple[DepthMaps | NoDepth, list[Record]]:
    records = []
    with ThreadPoolExecutor(2) as threads:
        control = ForegroundControl(store, threads, 2, threading.Event())
        work = EstimateDepth().run(inputs, config, control)
        while True:
            try:
                records.append(next(work))
            except StopIteration as end:
                return end.value["depth"], records


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return products(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def store() -> CountingStore:
    return CountingStore()


def test_every_photograph_gets_its_depth(inputs: dict[str, Any], store: CountingStore) -> None:
    maps, records = run(inputs, store)
    assert not isinstance(maps, NoDepth)
    assert [view.name for view in maps.views] == [f"{n}.png" for n in range(VIEWS)]
    for n, view in enumerate(maps.views):
        true, picture = look(view.camera, poses()[n])
        found = maps[n]
        known = found.depth > 0
        least = 0.75 if n in (2, 3, 4) else 0.45  # the ends see less in common
        assert least < known.mean() <= 1.0
        error = np.abs(found.depth / true - 1.0)[known]
        assert np.median(error) < 0.003 and (error < 0.01).mean() > 0.93
        assert np.abs(found.rgb.astype(int) - picture)[8:-8, 8:-8].mean() < 3.0
        assert np.allclose(np.linalg.norm(found.normals[known], axis=1), 1.0, atol=1e-5)
    report = records[-1]
    assert isinstance(report, Report) and report.data["photographs"] == VIEWS
    told = [record for record in records if isinstance(record, Progress)]
    assert {(p.total, p.unit) for p in told} == {(2 * VIEWS, "steps")}
    assert f"comparing depths: 0 of {VIEWS}" in [p.doing for p in told]
    assert told[-1].done == 2 * VIEWS
    assert not any(isinstance(record, Warned) for record in records)


def test_what_the_store_has_is_kept(inputs: dict[str, Any], store: CountingStore) -> None:
    run(inputs, store)
    store.put_kinds.clear()
    run(inputs, store)
    assert not store.put_kinds
    run(inputs, store, SETTINGS.model_copy(update={"min_views": 3}))
    assert store.put_kinds == ["agreed"] * VIEWS


def test_the_workspace_holds_the_same_maps(
    inputs: dict[str, Any], store: CountingStore, tmp_path: Path
) -> None:
    maps, _ = run(inputs, store)
    save_depth(maps, tmp_path)
    again = load_depth(tmp_path, DiskStore(tmp_path))
    assert not isinstance(maps, NoDepth) and not isinstance(again, NoDepth)
    assert np.array_equal(again[2].depth, maps[2].depth)
    assert np.allclose(again[2].normals, maps[2].normals)


def test_colmap_fuses_the_workspace(
    inputs: dict[str, Any], store: CountingStore, tmp_path: Path
) -> None:
    import pycolmap

    maps, _ = run(inputs, store)
    save_depth(maps, tmp_path)
    again = load_depth(tmp_path, DiskStore(tmp_path))
    assert not isinstance(maps, NoDepth) and not isinstance(again, NoDepth)
    assert maps.model is not None and again.model is not None
    assert len(again.model.points) == len(maps.model.points) > 200
    options = pycolmap.StereoFusionOptions()
    options.min_num_pixels = 3
    fused = pycolmap.stereo_fusion(tmp_path, tmp_path / "depth", options=options)
    assert 3_000 < len(fused.points3D) < 192 * 144 * VIEWS
    xyz = np.array([point.xyz for point in fused.points3D.values()])
    off_back = np.abs(xyz @ BACK[0] - BACK[1]) / np.linalg.norm(BACK[0])
    off = np.minimum(off_back, np.abs(xyz[:, 2] - FRONT_DEPTH))
    assert np.median(off) < 0.01


def test_without_a_model_or_common_points_there_is_a_reason(inputs: dict[str, Any]) -> None:
    nothing, records = run({**inputs, "reconstruction": Reconstruction((), ())}, MemoryStore())
    assert nothing == NoDepth("mapping found no model") and len(records) == 1
    model = inputs["reconstruction"].models[0]
    lonely = replace(model, points=Points.none())
    nothing, records = run(
        {**inputs, "reconstruction": Reconstruction((lonely,), ())}, MemoryStore()
    )
    assert isinstance(nothing, NoDepth) and "same points" in nothing.reason
    assert sum(isinstance(record, Warned) for record in records) == VIEWS


def test_a_photograph_that_has_gone_is_named(tmp_path: Path) -> None:
    inputs = products(tmp_path)
    (tmp_path / "3.png").unlink()
    with pytest.raises(PipelineError, match=r"3\.png"):
        run(inputs, MemoryStore())


def test_a_mask_keeps_depth_away(tmp_path: Path) -> None:
    inputs = products(tmp_path)
    mask = np.full((CAMERA.height, CAMERA.width), 255, np.uint8)
    mask[:, :64] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    index = inputs["photos"]
    photos = list(index.photos)
    photos[3] = replace(photos[3], mask=tmp_path / "mask.png", mask_hash="m")
    maps, _ = run({**inputs, "photos": replace(index, photos=tuple(photos))}, MemoryStore())
    assert not isinstance(maps, NoDepth)
    assert not maps[3].depth[:, :60].any() and (maps[3].depth[:, 70:] > 0).mean() > 0.85
    assert (maps[2].depth[:, :60] > 0).mean() > 0.35


def test_sources_are_the_neighbours_under_the_best_angle(inputs: dict[str, Any]) -> None:
    model = inputs["reconstruction"].models[0]
    images = sorted(model.images)
    sources = source_images(model, images, 3)
    assert [len(found) for found in sources] == [3] * VIEWS
    # Neighbours on the arc are 4.6 degrees apart: the second ones come first.
    assert {2, 6} <= set(sources[3]) and 4 not in sources[3]


@pytest.mark.parametrize("size_px", [192, 130, 80])
def test_undistorted_photographs_are_what_a_pinhole_sees(
    inputs: dict[str, Any], size_px: int
) -> None:
    photo = inputs["photos"].photos[1]
    pinhole = pinhole_of(CAMERA, size_px)
    assert max(pinhole.width, pinhole.height) == size_px
    found = undistort_photo(UndistortTask(photo, CAMERA, pinhole, FileRef(photo.path), None))
    finer = pinhole_of(
        replace(CAMERA, width=768, height=576, params=CAMERA.params * (4, 4, 4, 1)), 4 * size_px
    )
    _, fine = look(finer, poses()[1])
    true = cv2.resize(fine, (pinhole.width, pinhole.height), interpolation=cv2.INTER_AREA)
    assert found["valid"][3:-3, 3:-3].all()
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(found["rgb"].astype(int) - true)[inner].mean() < 6.0


def test_photographs_wait_for_memory(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = now = 0
    lock = threading.Lock()

    def watched(task: PhotometricTask) -> dict[str, np.ndarray]:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        assert task.processor.threads == 2  # of the photograph that has both cores to itself
        found = find_depth(task)
        with lock:
            now -= 1
        return found

    monkeypatch.setattr(depth_stage, "find_depth", watched)
    monkeypatch.setattr(depth_stage, "available_bytes", lambda: 300_000_000)
    maps, records = run(inputs, MemoryStore())
    warnings = [record for record in records if isinstance(record, Warned)]
    assert [warning.subject for warning in warnings] == ["depth.size_px"]
    assert "1 at a time in place of 2" in warnings[0].message
    assert most == 1 and not isinstance(maps, NoDepth)
