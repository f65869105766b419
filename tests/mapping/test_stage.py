"""The mapping stage: models, verdicts in words, and given poses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import MappingConfig, VerificationConfig
from pipeline.errors import PipelineError
from pipeline.events import Report
from pipeline.formats.posed import PosedPhotos
from pipeline.mapping.imported import ImportPoses
from pipeline.mapping.stage import MapIncrementally
from pipeline.matching.verification import VerifyMatches
from pipeline.products import ItemStore, MemoryStore, Reconstruction
from pipeline.runner import ForegroundControl
from pipeline.stage import Stage
from tests.contracts.stage_contract import StageContract
from tests.synthetic import SyntheticWorld, WorldSpec, make_world
from tests.worlds import GREY, world_products

SPEC = WorldSpec(images=7, points=300, noise_px=0.3, arc=1.1, seed=31)


@pytest.fixture
def control() -> Iterator[ForegroundControl]:
    with ThreadPoolExecutor(2) as executor:
        yield ForegroundControl(MemoryStore(), executor, 2, threading.Event())


def _drain(
    stage: Stage, inputs: dict[str, Any], config: Any, control: ForegroundControl
) -> tuple[Any, Report]:
    work = stage.run(inputs, config, control)
    records = []
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            (report,) = [record for record in records if isinstance(record, Report)]
            return end.value, report


def _inputs(
    worlds: list[SyntheticWorld], store: ItemStore, folder: Path, control: ForegroundControl
) -> dict[str, Any]:
    inputs = world_products(worlds, store, folder)
    found, _ = _drain(VerifyMatches(), inputs, VerificationConfig(), control)
    return {**inputs, **found}


class TestContract(StageContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, control: ForegroundControl) -> None:
        self.folder, self.other_control = tmp_path, control

    def make_stage(self) -> MapIncrementally:
        return MapIncrementally()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return _inputs([make_world(SPEC)], store, self.folder, self.other_control)


def test_two_scenes_in_one_folder_make_two_models(
    tmp_path: Path, control: ForegroundControl
) -> None:
    worlds = [make_world(replace(SPEC, images=5, seed=32)), make_world(SPEC)]
    inputs = _inputs(worlds, control.store, tmp_path, control)
    made, report = _drain(MapIncrementally(), inputs, MappingConfig(), control)
    found: Reconstruction = made["reconstruction"]
    assert [len(model.images) for model in found.models] == [7, 5]
    assert [verdict.model for verdict in found.verdicts] == [1] * 5 + [0] * 7
    places = [verdict.place for verdict in found.verdicts]
    assert set(places[:5]) == set(range(5)) and set(places[5:]) == set(range(7))
    described: Any = report.data["models"]
    assert [len(model["cameras"]) for model in described] == [1, 1]
    points = found.models[0].points
    assert (points.rgb == GREY).all() and 270 <= len(points) <= 300
    assert 0.1 < found.models[0].mean_error_px < 0.6


def test_strangers_and_the_reason(tmp_path: Path, control: ForegroundControl) -> None:
    worlds = [make_world(SPEC), make_world(WorldSpec(images=1, points=200, seed=3))]
    inputs = _inputs(worlds, control.store, tmp_path, control)
    found: Reconstruction = _drain(MapIncrementally(), inputs, MappingConfig(), control)[0][
        "reconstruction"
    ]
    assert len(found.models) == 1 and len(found.verdicts) == 8
    assert found.verdicts[7].reason == "matches no other photograph"
    assert not found.verdicts[7].registered and found.verdicts[7].model is None
    assert found.verdicts[7].place is None


def test_nothing_to_map_is_no_model(tmp_path: Path, control: ForegroundControl) -> None:
    strangers = [make_world(WorldSpec(images=1, points=100, seed=n)) for n in range(3)]
    inputs = _inputs(strangers, control.store, tmp_path, control)
    found: Reconstruction = _drain(MapIncrementally(), inputs, MappingConfig(), control)[0][
        "reconstruction"
    ]
    assert found.models == () and not any(v.registered for v in found.verdicts)


def test_given_poses_are_held_and_points_triangulated(
    tmp_path: Path, control: ForegroundControl
) -> None:
    world = make_world(SPEC)
    inputs = _inputs([world], control.store, tmp_path, control)
    names = [photo.name for photo in inputs["photos"].photos]
    given = dict(zip(names[:6], world.poses[:6], strict=True))
    poses = PosedPhotos(given, dict.fromkeys(names, world.truth.cameras[0]))
    found: Reconstruction = _drain(
        ImportPoses(), inputs | {"poses": poses}, MappingConfig(), control
    )[0]["reconstruction"]
    (model,) = found.models
    assert sorted(image.name for image in model.images.values()) == names[:6]
    for image in model.images.values():
        assert np.array_equal(image.cam_from_world.rotation, given[image.name].rotation)
        assert np.array_equal(image.cam_from_world.translation, given[image.name].translation)
    assert 270 <= len(model.points) <= 300 and 0.1 < model.mean_error_px < 0.6
    assert found.verdicts[6].reason == "the file of poses has none for it"
    assert {verdict.place for verdict in found.verdicts} == {None}


def test_given_intrinsics_may_replace_those_of_every_photograph(
    tmp_path: Path, control: ForegroundControl
) -> None:
    world = make_world(SPEC)
    inputs = _inputs([world], control.store, tmp_path, control)
    names = [photo.name for photo in inputs["photos"].photos]
    poses = PosedPhotos(
        dict(zip(names, world.poses, strict=True)), dict.fromkeys(names, world.truth.cameras[0])
    )
    found: Reconstruction = _drain(
        ImportPoses(), inputs | {"poses": poses}, MappingConfig(), control
    )[0]["reconstruction"]
    (model,) = found.models
    assert len(model.images) == 7 and len(model.cameras) == 1
    assert np.array_equal(next(iter(model.cameras.values())).params, world.truth.cameras[0].params)


def test_poses_of_other_photographs_are_refused(tmp_path: Path, control: ForegroundControl) -> None:
    world = make_world(SPEC)
    inputs = _inputs([world], control.store, tmp_path, control)
    poses = PosedPhotos({"other.jpg": world.poses[0]}, {})
    with pytest.raises(PipelineError, match="names 0 of the 7 photographs"):
        _drain(ImportPoses(), inputs | {"poses": poses}, MappingConfig(), control)
