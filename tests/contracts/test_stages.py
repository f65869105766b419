"""The contract of stages, kept by the fakes that other tests use; and the table of the method."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from pipeline.geometry.cameras import Camera
from pipeline.photos.source import PhotoSource
from pipeline.products import FeatureSet, ItemStore, MatchSet, Pairs, Photo, PhotoIndex
from pipeline.stage import Stage
from pipeline.stages import ENTRIES, METHOD, STAGE_NAMES, UNPOSED_RADIANCE, Route, plan
from tests import fake_stages
from tests.contracts.conftest import QUICK
from tests.contracts.stage_contract import StageContract

CAMERA = Camera("SIMPLE_PINHOLE", 64, 48, np.array([70.0, 32, 24]))
INDICES = np.array([[0, 1], [0, 2], [1, 2]], np.int64)


def small_inputs(store: ItemStore) -> dict[str, Any]:
    """Three photographs with features, pairs, matches and geometries."""
    photos = tuple(Photo(f"{i}.jpg", Path(f"/{i}.jpg"), 0, 64, 48, str(i)) for i in range(3))
    keys = [fake_stages.make_features(store, (i, f"k{i}")) for i in range(3)]
    counts = np.full(3, fake_stages.KEYPOINTS, np.int64)
    zero = np.zeros(3, np.int64)
    return {
        "photos": PhotoIndex(photos, (CAMERA,)),
        "features": FeatureSet(tuple(keys), counts, store),
        "pairs": Pairs(INDICES, "exhaustive"),
        "matches": MatchSet(INDICES, ("m0", "m1", "m2"), zero, ("none",) * 3, store),
        "geometries": None,
    }


class TestFakeIngest(StageContract):
    @pytest.fixture(autouse=True)
    def _photos(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_text("a")
        self.folder = tmp_path

    def make_stage(self) -> Stage:
        return fake_stages.FakeIngest()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"source": PhotoSource(self.folder)}


class _OnSmallInputs(StageContract):
    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        needs = self.make_stage().needs
        return {name: value for name, value in small_inputs(store).items() if name in needs}


class TestFakeFeatures(_OnSmallInputs):
    def make_stage(self) -> Stage:
        return fake_stages.FakeFeatures()


class TestFakePairs(_OnSmallInputs):
    def make_stage(self) -> Stage:
        return fake_stages.FakePairs()


class TestFakeMatching(_OnSmallInputs):
    def make_stage(self) -> Stage:
        return fake_stages.FakeMatching()


class TestFakeVerification(_OnSmallInputs):
    def make_stage(self) -> Stage:
        return fake_stages.FakeVerification()


class TestFakeMapping(_OnSmallInputs):
    def make_stage(self) -> Stage:
        return fake_stages.FakeMapping()


class TestFakeDraft(StageContract):
    def make_stage(self) -> Stage:
        return fake_stages.FakeDraft()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"reconstruction": None}


class TestFakeRadiance(StageContract):
    def make_stage(self) -> Stage:
        return fake_stages.FakeRadiance()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"photos": small_inputs(store)["photos"], "reconstruction": None}


class TestFakeDepth(StageContract):
    def make_stage(self) -> Stage:
        return fake_stages.FakeDepth()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"photos": small_inputs(store)["photos"], "reconstruction": None}


class TestFakeMesh(StageContract):
    def make_stage(self) -> Stage:
        return fake_stages.FakeMesh()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"depth": None}


class _OnRealProducts(StageContract):
    @pytest.fixture(autouse=True)
    def _products(self, real_products: dict[str, Any]) -> None:
        self.products = real_products

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {name: self.products[name] for name in self.make_stage().needs}


class TestIngest(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[0].load()


class TestFeatures(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[1].load()


class TestPairs(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[2].load()


class TestMatching(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[3].load()


class TestVerification(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[4].load()


class TestMapping(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[5].load()


class TestDraft(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[6].load()


class TestRadiance(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[7].load()

    def make_config(self) -> Any:
        return QUICK.radiance


class TestDepth(_OnRealProducts):
    def make_stage(self) -> Stage:
        return METHOD[8].load()


class TestUnposedRadiance(TestRadiance):
    def make_stage(self) -> Stage:
        return UNPOSED_RADIANCE.load()


def test_every_need_is_given_or_made_by_an_earlier_stage() -> None:
    given = {"source", "poses"}
    for route in get_args(Route):
        known = set(given)
        for entry in plan(route=route):
            assert set(entry.needs) <= known, entry
            assert not known & set(entry.makes), entry
            known |= set(entry.makes)
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


def test_the_routes_of_the_plan() -> None:
    names = {route: [e.name for e in plan(route=route)] for route in get_args(Route)}
    assert names["mapped"] == names["posed"] == list(STAGE_NAMES)
    assert names["unposed"] == ["ingest", "radiance", "mesh"] and names["planar"] == ["planar"]
    assert plan(route="unposed", until="ingest") == plan(until="ingest")
    with pytest.raises(ValueError, match="mapping"):
        plan(route="unposed", until="mapping")


@pytest.mark.parametrize("entry", METHOD, ids=STAGE_NAMES)
def test_the_stages_are_what_the_table_says(entry: Any) -> None:
    assert entry.load().name == entry.name


def test_a_stage_that_says_otherwise_is_refused() -> None:
    import dataclasses

    wrong = dataclasses.replace(fake_stages.METHOD[2], makes=("triples",))
    with pytest.raises(TypeError, match="triples"):
        wrong.load()
