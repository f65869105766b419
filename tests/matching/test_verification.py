"""The verification stage on a world whose pairs are known."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import VerificationConfig
from pipeline.events import Report
from pipeline.geometry_tables import geometries_as_arrays
from pipeline.matching import verification
from pipeline.matching.verification import VerifyMatches
from pipeline.products import ItemStore, MemoryStore, PairKind, TwoViewGeometries
from pipeline.runner import ForegroundControl
from tests.contracts.stage_contract import StageContract
from tests.synthetic import WorldSpec, make_world
from tests.worlds import world_products

SPEC = WorldSpec(images=5, points=300, noise_px=0.3, arc=1.0, seed=21)


def _verify(
    inputs: dict[str, Any], config: VerificationConfig, store: ItemStore | None = None
) -> tuple[TwoViewGeometries, Report]:
    with ThreadPoolExecutor(2) as executor:
        control = ForegroundControl(store or MemoryStore(), executor, 2, threading.Event())
        work = VerifyMatches().run(inputs, config, control)
        records = []
        while True:
            try:
                records.append(next(work))
            except StopIteration as end:
                (report,) = [record for record in records if isinstance(record, Report)]
                return end.value["geometries"], report


class TestContract(StageContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_stage(self) -> VerifyMatches:
        return VerifyMatches()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return world_products([make_world(SPEC)], store, self.folder)


def test_every_pair_is_verified_and_the_focal_length_voted(tmp_path: Path) -> None:
    world = make_world(SPEC)
    inputs = world_products([world], MemoryStore(), tmp_path)
    found, report = _verify(inputs, VerificationConfig())
    assert report.data["verified"] == report.data["pairs"] == 10
    assert {g.kind for g in found.of_pair.values()} == {PairKind.UNCALIBRATED}
    true_focal = world.truth.cameras[0].focal_px
    assert 0.8 < found.cameras[0].focal_px / true_focal < 1.2
    assert found.cameras[0].focal_px != inputs["photos"].cameras[0].focal_px


def test_a_prior_is_never_voted_over(tmp_path: Path) -> None:
    inputs = world_products([make_world(SPEC)], MemoryStore(), tmp_path, has_prior=True)
    found, _ = _verify(inputs, VerificationConfig())
    assert np.array_equal(found.cameras[0].params, inputs["photos"].cameras[0].params)
    assert {g.kind for g in found.of_pair.values()} == {PairKind.CALIBRATED}


def test_guided_matching_finds_what_a_preview_left_out(tmp_path: Path) -> None:
    store = MemoryStore()
    inputs = world_products([make_world(SPEC)], store, tmp_path)
    matches = inputs["matches"]
    full = matches.counts.copy()
    for p, key in enumerate(matches.keys):
        store._items["matches", key] = {"matches": matches[p][::4]}
    matches.counts[:] = [len(matches[p]) for p in range(len(matches))]
    guided, _ = _verify(inputs, VerificationConfig())
    plain, _ = _verify(inputs, VerificationConfig(guided=False))
    for pair, all_matches in zip(guided.of_pair, full, strict=True):
        assert 0.9 * all_matches <= len(guided.of_pair[pair].inliers) <= all_matches
        assert len(plain.of_pair[pair].inliers) <= all_matches / 4 + 1


def test_strangers_keep_a_reason(tmp_path: Path) -> None:
    worlds = [make_world(SPEC), make_world(WorldSpec(images=2, points=200, seed=5))]
    found, _ = _verify(world_products(worlds, MemoryStore(), tmp_path), VerificationConfig())
    stranger = found.of_pair[0, 5]
    assert not stranger.verified and stranger.reason == "0 matches, 15 needed"
    assert found.of_pair[5, 6].verified


class CountingStore(MemoryStore):
    """Remembers the items that were put, and fails when there were as many as it takes."""

    def __init__(self, takes: int = 10**6) -> None:
        super().__init__()
        self.takes = takes
        self.put_kinds: list[str] = []

    def put(self, kind: str, key: str, arrays: Any) -> None:
        if kind in ("fits", "geometries"):
            if len(self.put_kinds) == self.takes:
                raise InterruptedError("killed")
            self.put_kinds.append(kind)
        super().put(kind, key, arrays)


def _flat(found: TwoViewGeometries) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in geometries_as_arrays(found).items()}


@pytest.mark.parametrize("killed_after", [0, 1, 5, 6, 9])
def test_what_was_verified_before_a_kill_is_not_done_again(
    killed_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "PAIRS_PER_ITEM", 2)
    undisturbed = CountingStore()
    inputs = world_products([make_world(SPEC)], undisturbed, tmp_path)
    expected, report = _verify(inputs, VerificationConfig(), undisturbed)
    # Pairs that share the first of five photographs: 4, 3, 2 and 1 of them.
    assert undisturbed.put_kinds == ["fits"] * 6 + ["geometries"] * 6

    store = CountingStore(killed_after)
    inputs = world_products([make_world(SPEC)], store, tmp_path)
    with pytest.raises(InterruptedError):
        _verify(inputs, VerificationConfig(), store)
    store.takes, before = 10**6, store.put_kinds.copy()
    resumed, again = _verify(inputs, VerificationConfig(), store)
    assert store.put_kinds == ["fits"] * 6 + ["geometries"] * 6
    assert store.put_kinds[: len(before)] == before and len(before) == killed_after
    assert _flat(resumed) == _flat(expected) and again == report
    computed = len(store.put_kinds)
    assert _flat(_verify(inputs, VerificationConfig(), store)[0]) == _flat(expected)
    assert len(store.put_kinds) == computed


@pytest.mark.parametrize(
    ("change", "fits", "geometries"),
    [
        ({"max_error_px": 3.0}, 4, 4),
        ({"guided": False}, 4, 4),
        ({"guided_ratio": 0.7}, 4, 4),
        ({"min_inliers": 20}, 0, 4),
    ],
)
def test_other_settings_are_other_items(
    change: dict[str, Any], fits: int, geometries: int, tmp_path: Path
) -> None:
    store = CountingStore()
    inputs = world_products([make_world(SPEC)], store, tmp_path)
    _verify(inputs, VerificationConfig(), store)
    assert store.put_kinds == ["fits"] * 4 + ["geometries"] * 4
    store.put_kinds.clear()
    config = VerificationConfig.model_validate(change)
    resumed, _ = _verify(inputs, config, store)
    assert store.put_kinds == ["fits"] * fits + ["geometries"] * geometries
    fresh, _ = _verify(inputs, config)
    assert _flat(resumed) == _flat(fresh)


def test_pairs_without_a_fit_survive_the_store(tmp_path: Path) -> None:
    """Matches that no F explains are refused with the same words, from memory or from items."""
    store = CountingStore()
    inputs = world_products([make_world(SPEC)], store, tmp_path)
    rng = np.random.default_rng(0)
    for p, key in enumerate(inputs["matches"].keys[:3]):
        wrong = rng.permutation(len(inputs["matches"][p]))[:20]
        matches = np.column_stack([inputs["matches"][p][:20, 0], inputs["matches"][p][wrong, 1]])
        store._items["matches", key] = {"matches": matches}
        inputs["matches"].counts[p] = 20
    found, _ = _verify(inputs, VerificationConfig(), store)
    again, _ = _verify(inputs, VerificationConfig(), store)
    refused = [geometry for geometry in found.of_pair.values() if not geometry.verified]
    assert len(refused) == 3
    assert all("20 matches agree" in geometry.reason for geometry in refused)
    assert _flat(found) == _flat(again)
