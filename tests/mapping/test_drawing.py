"""What people see of a model that grows: true to the state, bounded, and of no consequence."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import sketches
from pipeline.config import MappingConfig, VerificationConfig
from pipeline.events import Preview, Record
from pipeline.mapping.drawing import ModelDrawing
from pipeline.mapping.imported import ImportPoses
from pipeline.mapping.stage import MapIncrementally
from pipeline.mapping.state import MapState
from pipeline.mapping.tracks import build_tracks, keypoints_of
from pipeline.matching.verification import VerifyMatches
from pipeline.products import MemoryStore, Reconstruction
from pipeline.runner import ForegroundControl
from pipeline.sketches import MOST_PLACES, SUFFIX, MappingSketch, VerificationSketch, decode_sketch
from pipeline.stage import Stage
from tests.synthetic import WorldSpec, make_world
from tests.worlds import world_products

SPEC = WorldSpec(images=7, points=300, noise_px=0.3, arc=1.1, seed=31)


class SketchingControl(ForegroundControl):
    """Keeps the sketches in memory; tells and draws at every step."""

    def __init__(self, store: MemoryStore, executor: ThreadPoolExecutor) -> None:
        super().__init__(store, executor, 2, threading.Event())
        self.kept: dict[str, bytes] = {}

    def due(self) -> bool:
        return True

    def keep_preview(self, name: str, picture: bytes) -> str:
        self.kept[name] = picture
        return f"previews/{name}"

    def drawn(self, stage: str) -> list[Any]:
        """The sketches so far, oldest first; forgets them."""
        kept, self.kept = self.kept, {}
        sketches = [data for name, data in sorted(kept.items()) if name.endswith(SUFFIX)]
        return [decode_sketch(stage, data) for data in sketches]


def carry_out(
    stage: Stage, inputs: dict[str, Any], config: Any, control: ForegroundControl
) -> tuple[dict[str, Any], list[Record]]:
    """Products and records of a stage."""
    work, records = stage.run(inputs, config, control), []
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            return dict(end.value), records


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """A world, and a photograph of another one."""
    worlds = [make_world(SPEC), make_world(WorldSpec(images=1, points=200, seed=3))]
    return world_products(worlds, MemoryStore(), tmp_path)


def test_every_stage_draws_to_its_end_and_nothing_depends_on_it(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(sketches, "MOST_SHARE", 1e9)
    with ThreadPoolExecutor(2) as executor:
        control = SketchingControl(MemoryStore(), executor)
        found, _ = carry_out(VerifyMatches(), inputs, VerificationConfig(), control)
        verified = control.drawn("verification")
        last: VerificationSketch = verified[-1]
        assert sum(last.inlier_ratios.counts) == sum(last.kinds.values()) >= 21
        assert last.matrix.photographs == 8 and len(verified) > 2
        every = {**inputs, **found}
        made, records = carry_out(MapIncrementally(), every, MappingConfig(), control)
        told = [r for r in records if isinstance(r, Preview) and not r.is_scene]
        drawn: list[MappingSketch] = control.drawn("mapping")
        assert told[-1].file == f"previews/{told[-1].step:08}.json" and told[-1].psnr is None
        assert [sketch.registered for sketch in drawn] == sorted(s.registered for s in drawn)
        assert drawn[0].registered < drawn[-1].registered == 7 and drawn[-1].photographs == 8
        model = made["reconstruction"].models[0]
        lengths = np.diff(model.points.track_starts)
        assert drawn[-1].track_lengths[:6] == tuple(np.bincount(lengths, minlength=8)[2:8])
        assert len(drawn[-1].points) == len(model.points) and len(drawn[-1].centers) == 7
        assert sum(drawn[-1].errors_px.counts) == model.points.track_starts[-1]
        plain = ForegroundControl(MemoryStore(), executor, 2, threading.Event())
        alone, _ = carry_out(MapIncrementally(), every, MappingConfig(), plain)
    same_to_the_bit(made["reconstruction"], alone["reconstruction"])


def same_to_the_bit(one: Reconstruction, other: Reconstruction) -> None:
    """Assert that both hold the same model."""
    assert one.verdicts == other.verdicts
    for mine, theirs in zip(one.models, other.models, strict=True):
        assert mine.points.xyz_world.tobytes() == theirs.points.xyz_world.tobytes()
        for number, image in mine.images.items():
            pose, same = image.cam_from_world, theirs.images[number].cam_from_world
            assert pose.translation.tobytes() == same.translation.tobytes()


def test_poses_that_are_given_are_drawn_too(inputs: dict[str, Any]) -> None:
    from pipeline.formats.posed import PosedPhotos

    given_poses = make_world(SPEC).poses
    with ThreadPoolExecutor(2) as executor:
        control = SketchingControl(MemoryStore(), executor)
        found, _ = carry_out(VerifyMatches(), inputs, VerificationConfig(), control)
        control.drawn("verification")
        names = [photo.name for photo in inputs["photos"].photos]
        poses = dict(zip(names[:7], given_poses, strict=True))
        given = {**inputs, **found, "poses": PosedPhotos(poses, {})}
        carry_out(ImportPoses(), given, MappingConfig(), control)
        last = control.drawn("mapping")[-1]
    assert last.registered == 7 and len(last.centers) == 7 and last.points


def state_of(inputs: dict[str, Any]) -> MapState:
    """An empty model of the world's cameras."""
    from pipeline.products import TwoViewGeometries

    tracks = build_tracks(TwoViewGeometries({}, ()), keypoints_of(inputs["features"]))
    cameras = inputs["photos"].cameras
    return MapState(tracks, cameras, np.zeros(8, np.int64))


def test_an_empty_model_and_one_without_points(inputs: dict[str, Any]) -> None:
    state = state_of(inputs)
    drawing = ModelDrawing([f"{i}.jpg" for i in range(8)])
    empty = drawing.of_state(state, 4.0, {3: "9 inliers, 30 needed"})
    assert empty.registered == 0 and empty.centers == empty.points == ()
    assert empty.down == (0.0, 1.0, 0.0) and not any(empty.errors_px.counts)
    assert empty.waiting == (("3.jpg", "9 inliers, 30 needed"),) and empty.latest == ()
    pose = make_world(SPEC).poses[0]
    state.set_pose(3, pose)
    state.set_pose(5, replace(pose, translation=pose.translation + np.nan))
    two = drawing.of_state(state, 4.0, {3: "9 inliers, 30 needed"})
    assert two.latest == ("5.jpg", "3.jpg") and two.waiting == () and len(two.centers) == 1
    state.clear()
    assert drawing.of_state(state, 4.0, {}).latest == ()


def test_a_large_cloud_is_a_sample_in_few_digits(inputs: dict[str, Any]) -> None:
    state = state_of(inputs)
    rng = np.random.default_rng(5)
    state.has_point = np.ones((5000, 2), bool)
    state.points = rng.normal(size=(5000, 2, 3)) * 1e-3
    state.points[7] = 1e9
    drawn = ModelDrawing(["a.jpg"] * 8).of_state(state, 4.0, {})
    assert 0 < len(drawn.points) <= MOST_PLACES
    assert len(sketches.encode_sketch(drawn)) < 60_000
    assert len({round(x, 9) for x, _, _ in drawn.points}) > 900
