"""The stage `features`: items, resume, masks, warnings, report."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import FeaturesConfig
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Progress, Record, Report, Warned
from pipeline.features import stage as features_stage
from pipeline.features.stage import ExtractFeatures
from pipeline.geometry.cameras import Camera
from pipeline.products import FeatureSet, ItemStore, MemoryStore, Photo, PhotoIndex
from pipeline.runner import ForegroundControl
from tests.contracts.stage_contract import StageContract
from tests.features.pictures import photo_of, texture


def index_of(photos: list[Photo]) -> PhotoIndex:
    camera = Camera("SIMPLE_PINHOLE", 240, 160, np.array([200.0, 120.0, 80.0]))
    return PhotoIndex(tuple(photos), (camera,))


def run(
    photos: list[Photo], store: MemoryStore, config: FeaturesConfig | None = None
) -> tuple[FeatureSet, list[Record]]:
    with ThreadPoolExecutor(2) as executor:
        control = ForegroundControl(store, executor, 2, threading.Event())
        stage = ExtractFeatures().run(
            {"photos": index_of(photos)}, config or FeaturesConfig(), control
        )
        records = []
        while True:
            try:
                records.append(next(stage))
            except StopIteration as end:
                return end.value["features"], records


class TestContract(StageContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_stage(self) -> ExtractFeatures:
        return ExtractFeatures()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"photos": index_of([photo_of(texture(), self.folder / "a.png")])}


def report_of(records: list[Record]) -> dict[str, Any]:
    (report,) = [record for record in records if isinstance(record, Report)]
    return report.data


def test_features_of_photographs(tmp_path: Path) -> None:
    photos = [photo_of(texture(seed=n), tmp_path / f"{n}.png") for n in range(3)]
    features, records = run(photos, MemoryStore())
    assert len(features) == 3 and features.counts.min() > 100
    assert [len(features[i].keypoints) for i in range(3)] == features.counts.tolist()
    assert records[-2] == Progress(3, 3, "photos")
    report = report_of(records)
    assert report["extracted"] == 3 and report["keypoints"] == features.counts.sum()
    assert report["photos"]["1.png"]["kept"] == features.counts[1]


def test_only_new_photographs_and_new_settings_are_extracted(tmp_path: Path) -> None:
    photos = [photo_of(texture(seed=n), tmp_path / f"{n}.png") for n in range(3)]
    store = MemoryStore()
    first, _ = run(photos[:2], store)
    second, records = run(photos, store)
    assert report_of(records)["extracted"] == 1 and second.keys[:2] == first.keys
    assert report_of(records)["photos"] == report_of(run(photos, MemoryStore())[1])["photos"]
    changed, records = run(photos, store, FeaturesConfig(edge_ratio=5.0))
    assert report_of(records)["extracted"] == 3
    assert not set(changed.keys) & set(second.keys)


def test_reduced_photographs_keep_their_own_pixels(tmp_path: Path) -> None:
    picture = np.kron(texture(), np.ones((4, 4), np.uint8))
    photos = [photo_of(picture, tmp_path / "large.png")]
    full, _ = run([photo_of(texture(), tmp_path / "small.png")], MemoryStore())
    reduced, _ = run(photos, MemoryStore(), FeaturesConfig(max_size_px=240))
    assert reduced.counts[0] == full.counts[0]
    np.testing.assert_allclose(reduced[0].keypoints[:, :3], 4 * full[0].keypoints[:, :3], rtol=1e-6)
    np.testing.assert_array_equal(reduced[0].descriptors, full[0].descriptors)


def test_a_mask_of_a_reduced_photograph(tmp_path: Path) -> None:
    picture = np.kron(texture(), np.ones((2, 2), np.uint8))
    mask = np.zeros(picture.shape, np.uint8)
    mask[:, 240:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    photos = [photo_of(picture, tmp_path / "photo.png", tmp_path / "mask.png")]
    features, _ = run(photos, MemoryStore(), FeaturesConfig(max_size_px=240))
    assert features.counts[0] > 50 and features[0].keypoints[:, 0].min() >= 240


def test_a_photograph_without_texture_is_warned_of(tmp_path: Path) -> None:
    photos = [
        photo_of(texture(), tmp_path / "good.png"),
        photo_of(np.full((160, 240), 90, np.uint8), tmp_path / "plain.png"),
    ]
    features, records = run(photos, MemoryStore())
    assert features.counts[1] == 0 and features[1].descriptors.shape == (0, 128)
    (warning,) = [record for record in records if isinstance(record, Warned)]
    assert warning.subject == "plain.png" and "has few keypoints, 0" in warning.message


def test_a_lost_photograph_is_the_users_to_mend_and_opencv_gets_its_threads_back(
    tmp_path: Path,
) -> None:
    photos = [photo_of(texture(seed=n), tmp_path / f"{n}.png") for n in range(2)]
    photos[1].path.unlink()
    threads = cv2.getNumThreads()
    with pytest.raises(PipelineError, match=r"1\.png"):
        run(photos, MemoryStore())
    assert cv2.getNumThreads() == threads


def test_stop_is_served(tmp_path: Path) -> None:
    index = index_of([photo_of(texture(), tmp_path / "a.png")])
    stop = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        control = ForegroundControl(MemoryStore(), executor, 1, stop)
        stage = ExtractFeatures().run({"photos": index}, FeaturesConfig(), control)
        next(stage)
        stop.set()
        with pytest.raises(Stopped):
            list(stage)


def test_short_memory_limits_the_photographs_at_a_time_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [photo_of(texture(seed=n), tmp_path / f"{n}.png") for n in range(4)]
    one = features_stage._bytes_of(photos[0], FeaturesConfig())
    at_work: list[int] = []
    most = 0
    extract = features_stage.extract_photo

    def watched(task: features_stage.PhotoTask) -> dict[str, np.ndarray]:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        result = extract(task)
        at_work.pop()
        return result

    monkeypatch.setattr(features_stage, "extract_photo", watched)
    monkeypatch.setattr(features_stage, "available_bytes", lambda: 2 * one)
    features, records = run(photos, MemoryStore())
    warnings = [record for record in records if isinstance(record, Warned)]
    assert [warning.subject for warning in warnings] == ["features.max_size_px"]
    assert "1 at a time in place of 2" in warnings[0].message
    assert most == 1 and len(features) == 4

    monkeypatch.setattr(features_stage, "available_bytes", lambda: 4 * one)
    _, records = run(photos, MemoryStore())
    assert not [record for record in records if isinstance(record, Warned)]


@pytest.mark.parametrize(
    ("free_mb", "config", "expected"),
    [
        (None, FeaturesConfig(), None),
        (0, FeaturesConfig(), 1),
        (4000, FeaturesConfig(), 8),  # a pyramid of 1.5 megapixels was measured to take 343 MB
        (4000, FeaturesConfig(first_octave=0), 33),
        (4000, FeaturesConfig(max_size_px=768), 32),
    ],
)
def test_how_many_photographs_fit_into_memory(
    free_mb: int | None,
    config: FeaturesConfig,
    expected: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = None if free_mb is None else free_mb * 2**20
    monkeypatch.setattr(features_stage, "available_bytes", lambda: free)
    photos = [Photo(f"{n}.jpg", Path(f"{n}.jpg"), 0, 1536, 1024, "") for n in range(50)]
    found = features_stage.photographs_at_once(photos, config)
    assert found == expected or (
        found is not None and expected is not None and abs(found - expected) <= expected // 8
    )
