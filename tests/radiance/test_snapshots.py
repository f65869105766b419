"""The cameras that training moves, as browsers see them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import RunConfig
from pipeline.events import Preview, Record
from pipeline.formats.bundle import unpack
from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.manifest import Ingredients, StageEntry
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.problem import Problem
from pipeline.radiance.rendering import DepthRange
from pipeline.radiance.snapshots import CameraSnapshots
from pipeline.radiance.views import View
from pipeline.runner import ForegroundControl, StageRunner
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.radiance.reconstructions import SPEC, make_model, make_photos, make_reconstruction
from tests.radiance.test_stage import CONFIG, ENTRY
from tests.synthetic import make_world

WORLD = make_world(SPEC)


def problem_of() -> Problem:
    """The world's cameras, in a field that is turned, moved and scaled."""
    turn = rotation_from_rotvec(np.array([0.3, -0.2, 0.9]))
    field_from_world = Similarity(0.2, turn, np.array([1.0, 2.0, 3.0]))
    camera = WORLD.truth.cameras[0]
    rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
    views = tuple(View(f"{i:02}.png", rgb, camera) for i in range(len(WORLD.poses)))
    poses = tuple(field_from_world.apply_to_pose(pose) for pose in WORLD.poses)
    box = np.array([[-1.0] * 3, [1.0] * 3])
    return Problem(views, poses, (), (), field_from_world, DepthRange(0.1, 9.0), box, True, "none")


def test_cameras_are_where_they_were_until_they_move() -> None:
    problem = problem_of()
    count = len(problem.views)
    cameras = RayCameras(problem.poses, [WORLD.truth.cameras[0]], [0] * count)
    snapshots = CameraSnapshots(problem, {"00.png": 4, "01.png": 9})
    scene = snapshots.of_cameras(cameras)
    assert scene.photos.tolist()[:3] == [4, 9, -1] and scene.registered == count
    for row, pose in zip(scene.poses, WORLD.poses, strict=True):
        np.testing.assert_allclose(row[:, :3], pose.rotation, atol=1e-4)
        np.testing.assert_allclose(row[:, 3], pose.translation, atol=2e-3)
    expected = [1000, 750, *WORLD.truth.cameras[0].opencv_params[:4]]
    np.testing.assert_allclose(scene.cameras[0], expected, rtol=1e-5)
    with torch.no_grad():
        cameras.corrections[2, :3].add_(0.05)
        cameras.focal_logs.add_(0.1)
    moved = snapshots.of_cameras(cameras)
    assert np.abs(moved.poses[2, :, :3] - WORLD.poses[2].rotation).max() > 0.02
    assert moved.cameras[0, 2] == pytest.approx(800.0 * np.exp(0.1), rel=1e-4)
    assert cameras.intrinsics[0, 0] == pytest.approx(800.0)  # nothing was changed by looking


def test_a_training_shows_its_cameras(tmp_path: Path) -> None:
    photos = make_photos(tmp_path, WORLD)
    told: list[Record] = []
    with Workspace(tmp_path / "run", VERSION) as workspace, ThreadPoolExecutor(1) as executor:
        made: dict[str, dict[str, Any]] = {
            "ingest": {"photos": photos},
            "mapping": {"reconstruction": make_reconstruction(make_model(WORLD))},
        }
        for stage, values in made.items():
            workspace.save(StageEntry(Ingredients(stage, 1, {}, {}, {}), 0.0, {}), values)
        control = ForegroundControl(workspace.store, executor, 1, threading.Event())
        runner = StageRunner(workspace, control, lambda stage, record: told.append(record))
        runner.run(ENTRY, RunConfig(radiance=CONFIG), None)
    scenes = [record for record in told if isinstance(record, Preview) and record.is_scene]
    header, buffers = unpack((tmp_path / "run" / scenes[-1].file).read_bytes())
    assert header["stage"] == "radiance" and header["registered"] >= 5
    assert len(buffers["positions"]) == 0 and len(buffers["poses"]) == 48 * header["registered"]
