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
from pipeline.matching.verification import VerifyMatches
from pipeline.products import ItemStore, MemoryStore, PairKind, TwoViewGeometries
from pipeline.runner import ForegroundControl
from tests.contracts.stage_contract import StageContract
from tests.synthetic import WorldSpec, make_world
from tests.worlds import world_products

SPEC = WorldSpec(images=5, points=300, noise_px=0.3, arc=1.0, seed=21)


def _verify(inputs: dict[str, Any], config: VerificationConfig) -> tuple[TwoViewGeometries, Report]:
    with ThreadPoolExecutor(2) as executor:
        control = ForegroundControl(MemoryStore(), executor, 2, threading.Event())
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
