"""The stage `matching`: preview, full pass, resume, methods."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import MatchingConfig
from pipeline.errors import Stopped
from pipeline.events import Progress, Record, Report
from pipeline.geometry.arrays import UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.matching.exact import MatchRules, match_exact
from pipeline.matching.stage import MatchFeatures
from pipeline.products import (
    FeatureSet,
    ItemStore,
    MatchSet,
    MemoryStore,
    Pairs,
    Photo,
    PhotoIndex,
)
from pipeline.runner import ForegroundControl
from tests.contracts.stage_contract import StageContract
from tests.matching.descriptor_sets import noisy, random_descriptors

PREVIEW = 128
RULES = MatchRules(0.8, 0.7, True)


class CountingStore(MemoryStore):
    """Remembers how many matches were stored."""

    def __init__(self) -> None:
        super().__init__()
        self.stored = 0

    def put(self, kind: str, key: str, arrays: Any) -> None:
        self.stored += kind == "matches"
        super().put(kind, key, arrays)


def scene() -> list[UInt8s]:
    """Four photographs: 0 and 1 overlap clearly, 0 and 2 in small keypoints, 3 with none; all have
    more keypoints than the preview but the last, which has none."""
    rng = np.random.default_rng(0)
    sets = [random_descriptors(600, rng) for _ in range(4)]
    sets[1][:300] = noisy(sets[0][:300], 10, rng)
    sets[2][:2] = noisy(sets[0][:2], 10, rng)
    sets[2][300:] = noisy(sets[0][300:], 10, rng)
    return [*sets, random_descriptors(0, rng)]


def make_inputs(sets: list[UInt8s], store: ItemStore) -> dict[str, Any]:
    """All pairs of photographs with these descriptors, which are put in the store."""
    for i, descriptors in enumerate(sets):
        keypoints = np.zeros((len(descriptors), 4), np.float32)
        store.put("features", f"f{i}", {"keypoints": keypoints, "descriptors": descriptors})
    n = len(sets)
    chosen = [(i, j) for i in range(n) for j in range(i + 1, n)]
    indices = np.array(chosen, np.int64).reshape(-1, 2)
    photos = tuple(Photo(f"{i}.jpg", Path(f"{i}.jpg"), 0, 64, 48, str(i)) for i in range(n))
    return {
        "photos": PhotoIndex(
            photos, (Camera("SIMPLE_PINHOLE", 64, 48, np.array([64.0, 32.0, 24.0])),)
        ),
        "features": FeatureSet(
            tuple(f"f{i}" for i in range(n)), np.array([len(d) for d in sets]), store
        ),
        "pairs": Pairs(indices, "exhaustive"),
    }


def run(
    sets: list[UInt8s],
    store: MemoryStore,
    config: MatchingConfig,
    stop_at: int | None = None,
) -> tuple[MatchSet, list[Record]]:
    """Run the stage on all pairs; `stop_at`: stop when so many records have come."""
    inputs = make_inputs(sets, store)
    stop = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        control = ForegroundControl(store, executor, 2, stop)
        stage = MatchFeatures().run(inputs, config, control)
        records: list[Record] = []
        while True:
            try:
                records.append(next(stage))
            except StopIteration as end:
                return end.value["matches"], records
            if len(records) == stop_at:
                stop.set()


class TestContract(StageContract):
    def make_stage(self) -> MatchFeatures:
        return MatchFeatures()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return make_inputs(scene(), store)


def report_of(records: list[Record]) -> dict[str, Any]:
    (report,) = [record for record in records if isinstance(record, Report)]
    return report.data


def test_preview_keeps_refuses_and_compares_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.matching.preview.ENOUGH_CLEAR_PAIRS", 0)  # nobody is lonely
    sets = scene()
    matches, records = run(sets, MemoryStore(), MatchingConfig(preview_keypoints=PREVIEW))
    of_pair = {tuple(pair): p for p, pair in enumerate(matches.indices.tolist())}
    clear, hidden, none = of_pair[0, 1], of_pair[0, 2], of_pair[1, 3]

    preview = match_exact(sets[0][:PREVIEW], sets[1][:PREVIEW], RULES)
    assert np.array_equal(matches[clear], preview) and len(preview) > 100
    assert matches.reasons[clear] == f"{len(preview)} matches among the 128 largest keypoints"
    # Two matches are in doubt among 128 or fewer than that: the best of a photograph get the rest.
    assert matches.reasons[hidden] == ""
    assert np.array_equal(matches[hidden], match_exact(sets[0], sets[2], RULES))
    assert 290 <= matches.counts[hidden] <= 302
    assert matches.counts[none] == 0 and len(matches[none]) == 0
    assert matches.reasons[none] == "0 matches among the 128 largest keypoints"
    assert matches.reasons[of_pair[0, 4]] == "0 matches among the 128 largest keypoints"

    report = report_of(records)
    assert report["pairs"] == 10 and report["matches"] == matches.counts.sum()
    assert report["preview"]["clear"] == 1 and report["compared_in_full"] >= 1
    assert sum(report["preview"].values()) == 10
    last = [record for record in records if isinstance(record, Progress)][-1]
    assert last.done == last.total == 10 + report["compared_in_full"]


@pytest.mark.parametrize("method", ["exact", "kdtree"])
def test_without_preview_all_keypoints_are_compared(method: str) -> None:
    sets = scene()
    config = MatchingConfig.model_validate(
        {"method": method, "preview_keypoints": 0 if method == "exact" else PREVIEW,
         "kdtree_buckets": 10000}
    )  # fmt: skip
    matches, records = run(sets, MemoryStore(), config)
    for p, (i1, i2) in enumerate(matches.indices):
        expected = match_exact(sets[i1], sets[i2], RULES)
        assert np.array_equal(matches[p], expected) and matches.counts[p] == len(expected)
    assert set(matches.reasons) == {""}
    assert report_of(records)["compared_in_full"] == 10


def test_small_photographs_are_complete_after_the_preview() -> None:
    sets = [descriptors[:100] for descriptors in scene()]
    matches, records = run(sets, MemoryStore(), MatchingConfig(preview_keypoints=PREVIEW))
    report = report_of(records)
    assert report["preview"]["complete"] == 10 and report["compared_in_full"] == 0
    assert set(matches.reasons) == {""} and matches.counts[0] > 90


def test_resume_compares_only_what_is_left() -> None:
    store, config = CountingStore(), MatchingConfig(preview_keypoints=PREVIEW)
    with pytest.raises(Stopped):
        run(scene(), store, config, stop_at=1)
    assert store.stored < 10
    first, _ = run(scene(), store, config)
    stored = store.stored
    second, records = run(scene(), store, config)
    assert store.stored == stored == 10 + report_of(records)["compared_in_full"]
    assert second.keys == first.keys and np.array_equal(second.counts, first.counts)
    fresh, _ = run(scene(), MemoryStore(), config)
    assert fresh.keys == first.keys and fresh.reasons == first.reasons


@pytest.mark.parametrize(
    "change", [{"ratio": 0.7}, {"max_distance": 0.5}, {"mutual": False}, {"method": "kdtree"}]
)
def test_other_rules_are_other_items(change: dict[str, Any]) -> None:
    store = MemoryStore()
    before, _ = run(scene()[:2], store, MatchingConfig(preview_keypoints=0))
    after, _ = run(scene()[:2], store, MatchingConfig(preview_keypoints=0, **change))
    assert before.keys != after.keys


def test_no_pairs() -> None:
    matches, records = run(scene()[:1], MemoryStore(), MatchingConfig())
    assert len(matches) == 0 and report_of(records)["pairs"] == 0
