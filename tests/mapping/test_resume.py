"""Mapping killed at any step and started again makes the same model, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.array_files import read_arrays
from pipeline.config import MappingConfig
from pipeline.errors import Stopped
from pipeline.events import Metric, Report
from pipeline.formats.posed import PosedPhotos
from pipeline.mapping.imported import ImportPoses
from pipeline.mapping.stage import MapIncrementally
from pipeline.stage import Checkpoint
from tests.mapping.conftest import LONELY, WORLDS
from tests.mapping.scripted import ScriptedControl, content, run_and_kill, run_stage
from tests.synthetic import make_world

# Local and global adjustments take turns in a world as small as this.
CONFIG = MappingConfig(local_images=3, global_growth=1.5)
CHANGE = {"max_reprojection_error_px": 1.0, "min_resection_inliers": 20}
MakeControl = Callable[..., ScriptedControl]


@pytest.fixture
def make_control(
    three_worlds: dict[str, Any], executor: Executor, tmp_path: Path
) -> Callable[..., ScriptedControl]:
    """Controls with a checkpoint file of their own."""

    def make(name: str, **script: Any) -> ScriptedControl:
        store = three_worlds["features"].store
        return ScriptedControl(store, executor, tmp_path / name, **script)

    return make


def _unordered(value: Any) -> Any:
    """Plain data in which the order of lists (sets, they were) counts nothing."""
    if isinstance(value, dict):
        return {key: _unordered(entry) for key, entry in value.items()}
    return sorted((_unordered(v) for v in value), key=repr) if isinstance(value, list) else value


def _parts(saved: bytes, path: Path) -> tuple[Any, dict[str, bytes]]:
    path.write_bytes(saved)
    arrays = read_arrays(path)
    text = json.loads(arrays.pop("text").tobytes())
    return _unordered(text), {name: array.tobytes() for name, array in arrays.items()}


def test_killed_after_every_step(
    three_worlds: dict[str, Any], make_control: MakeControl, tmp_path: Path
) -> None:
    whole = make_control("whole", due_at=lambda _: True)
    expected, _ = run_stage(MapIncrementally(), three_worlds, CONFIG, whole)
    steps = sorted(whole.history)
    assert [len(model.images) for model in expected.models] == [8, 5]
    assert expected.verdicts[LONELY].reason == "sees 20 points of the model, 30 needed"
    assert 30 <= len(steps) <= 80 and steps == list(range(1, len(steps) + 1))

    killed = make_control("killed", due_at=lambda _: True)
    result = run_and_kill(MapIncrementally(), three_worlds, CONFIG, killed, steps)
    assert content(result) == content(expected) and sorted(killed.history) == steps
    assert {v.place for v in result.verdicts if v.model == 0} == set(range(8))
    file = tmp_path / "one"
    for step in steps:
        assert _parts(killed.history[step], file) == _parts(whole.history[step], file), step


def _first_refining(history: dict[int, bytes], control: ScriptedControl, file: Path) -> Checkpoint:
    """The first checkpoint whose model is refined. file: that the control reads."""
    for step in sorted(history):
        file.write_bytes(history[step])
        saved = control.load_checkpoint()
        assert saved is not None
        growing: Any = saved.data["growing"]
        if growing["current"]["refinement"] is not None:
            return saved
    raise AssertionError("no model was refined")


def test_a_checkpoint_from_before_the_order_was_kept_gives_no_places(
    three_worlds: dict[str, Any], make_control: MakeControl, tmp_path: Path
) -> None:
    whole = make_control("whole", due_at=lambda _: True)
    run_stage(MapIncrementally(), three_worlds, CONFIG, whole)
    old = make_control("old")
    saved = _first_refining(whole.history, old, tmp_path / "old")
    growing: Any = saved.data["growing"]
    assert len(growing["current"].pop("order")) == 8
    old.save_checkpoint(saved, 0)
    found, _ = run_stage(MapIncrementally(), three_worlds, CONFIG, old)
    assert {v.place for v in found.verdicts if v.model == 0} == {None}
    assert {v.place for v in found.verdicts if v.model == 1} == set(range(5))


def test_the_steps_since_the_checkpoint_are_taken_again(
    three_worlds: dict[str, Any], make_control: MakeControl
) -> None:
    expected, _ = run_stage(MapIncrementally(), three_worlds, CONFIG, make_control("whole"))
    killed = make_control("killed", due_at=lambda step: step % 5 == 0)
    kills = [3, 9, 14, 23, 38, 44]
    result = run_and_kill(MapIncrementally(), three_worlds, CONFIG, killed, kills)
    assert content(result) == content(expected)
    starts = [
        now for now, before in zip(killed.seen, [99, *killed.seen], strict=False) if now <= before
    ]
    assert starts == [0, 0, 5, 10, 20, 35, 40]


def test_a_change_survives_the_kill(
    three_worlds: dict[str, Any], make_control: MakeControl
) -> None:
    """Changed at step 12: the same with and without kills, before it and after it."""
    unchanged, _ = run_stage(MapIncrementally(), three_worlds, CONFIG, make_control("unchanged"))
    whole = make_control("whole", changes={12: CHANGE})
    expected, _ = run_stage(MapIncrementally(), three_worlds, CONFIG, whole)
    killed = make_control("killed", changes={12: CHANGE}, due_at=lambda step: step % 2 == 1)
    result = run_and_kill(MapIncrementally(), three_worlds, CONFIG, killed, [6, 14, 17, 30])
    assert whole.applied == killed.applied == [(12, CHANGE)]
    assert content(result) == content(expected) != content(unchanged)
    dropped = len(unchanged.models[0].points.track_images) - len(
        expected.models[0].points.track_images
    )
    assert dropped > 20


def test_a_checkpoint_is_small_and_of_its_own_memory(
    three_worlds: dict[str, Any], make_control: MakeControl
) -> None:
    kept: list[tuple[Checkpoint, dict[str, bytes]]] = []

    class Keeping(ScriptedControl):
        def save_checkpoint(self, checkpoint: Checkpoint, step: int) -> None:
            arrays = {name: array.tobytes() for name, array in checkpoint.arrays.items()}
            kept.append((checkpoint, arrays))

    base = make_control("any")
    control = Keeping(base.store, base.executor, Path("unused"), due_at=lambda step: step < 12)
    run_stage(MapIncrementally(), three_worlds, CONFIG, control)
    observations = sum(len(world.truth.obs_px) for world in map(make_world, WORLDS))
    for checkpoint, arrays in kept:
        assert {name: a.tobytes() for name, a in checkpoint.arrays.items()} == arrays
        assert sum(map(len, arrays.values())) < 2 * 24 * observations


def test_what_is_told(three_worlds: dict[str, Any], make_control: MakeControl) -> None:
    control = make_control("any")
    found, records = run_stage(MapIncrementally(), three_worlds, CONFIG, control)
    metrics = [record for record in records if isinstance(record, Metric)]
    last = {metric.name: metric for metric in metrics}
    units = {"registered": "photographs", "reprojection_error_px": "px"}
    assert sorted(last) == ["observations", "points", "registered", "reprojection_error_px"]
    assert all(metric.unit == units.get(metric.name, "") for metric in metrics)
    steps = [metric.step for metric in metrics]
    assert steps == sorted(steps) and steps[0] == 1 and steps[-1] == max(control.seen)
    (report,) = [record.data for record in records if isinstance(record, Report)]
    models: Any = report["models"]
    assert last["registered"].value == report["registered"] == 13
    assert last["points"].value == models[0]["points"] == len(found.models[0].points)
    assert last["observations"].value == models[0]["observations"]
    assert 0.1 < last["reprojection_error_px"].value < 1.0


def _given_poses(inputs: dict[str, Any]) -> dict[str, Any]:
    world = make_world(WORLDS[0])
    names = [photo.name for photo in inputs["photos"].photos[:9]]
    camera = world.truth.cameras[0]
    poses = PosedPhotos(dict(zip(names, world.poses, strict=True)), dict.fromkeys(names, camera))
    return {**inputs, "poses": poses}


def test_given_poses_go_on_at_the_last_round(
    three_worlds: dict[str, Any], make_control: MakeControl
) -> None:
    inputs, change = _given_poses(three_worlds), {1: {"max_reprojection_error_px": 1.0}}
    unchanged, _ = run_stage(ImportPoses(), inputs, CONFIG, make_control("unchanged"))
    expected, _ = run_stage(ImportPoses(), inputs, CONFIG, make_control("whole", changes=change))
    killed = make_control("killed", changes=change, due_at=lambda _: True)
    result = run_and_kill(ImportPoses(), inputs, CONFIG, killed, [1, 2, 3])
    assert killed.seen == [0, 1, 2, 3] and len(expected.models[0].images) == 9
    assert content(result) == content(expected) != content(unchanged)
    assert np.all(expected.models[0].points.error_px < 1.0)


def test_given_poses_heed_a_stop(three_worlds: dict[str, Any], make_control: MakeControl) -> None:
    control = make_control("any")
    control.kill_after = 2
    with pytest.raises(Stopped):
        run_stage(ImportPoses(), _given_poses(three_worlds), CONFIG, control)
    assert control.seen == [0, 1]
