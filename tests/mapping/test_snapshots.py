"""Snapshots of a model that grows: true to the state, bounded, and of no consequence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import live_scenes, sketches
from pipeline.config import MappingConfig, VerificationConfig
from pipeline.events import Preview
from pipeline.formats.bundle import unpack
from pipeline.live_scenes import MOST_POINTS, LiveScene, SceneBook, encode_scene, up_of
from pipeline.mapping.colors import KeypointColors
from pipeline.mapping.imported import ImportPoses
from pipeline.mapping.snapshots import Snapshots
from pipeline.mapping.stage import MapIncrementally
from pipeline.mapping.state import MapState
from pipeline.mapping.tracks import build_tracks, keypoints_of
from pipeline.matching.verification import VerifyMatches
from pipeline.products import MemoryStore, TwoViewGeometries
from pipeline.stage import Stage
from tests.mapping.test_drawing import SPEC, SketchingControl, carry_out
from tests.synthetic import make_world
from tests.test_sketches import PreviewFolder
from tests.worlds import GREY, world_products


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """A world as the products before mapping."""
    return world_products([make_world(SPEC)], MemoryStore(), tmp_path)


def read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a snapshot; positions in the world."""
    header, buffers = unpack(data)
    kinds = {"u8": np.uint8, "u16": np.uint16, "i32": np.int32, "f32": np.float32}
    arrays = {
        entry["name"]: np.frombuffer(buffers[entry["name"]], kinds[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for entry in header["buffers"]
    }
    steps = arrays["positions"] * np.array(header["step_xyz"])
    return header, {**arrays, "positions": np.array(header["origin"]) + steps}


def map_with_snapshots(
    inputs: dict[str, Any], stage: Stage, monkeypatch: pytest.MonkeyPatch, **given: Any
) -> tuple[dict[str, Any], list[bytes], list[Preview]]:
    """Products, snapshots in order, and what was told of them."""
    monkeypatch.setattr(live_scenes, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(sketches, "MOST_SHARE", 1e9)
    with ThreadPoolExecutor(2) as executor:
        control = SketchingControl(MemoryStore(), executor)
        found, _ = carry_out(VerifyMatches(), inputs, VerificationConfig(), control)
        control.kept.clear()
        made, records = carry_out(stage, {**inputs, **found, **given}, MappingConfig(), control)
    kept = [data for name, data in sorted(control.kept.items()) if name.endswith(".scene")]
    told = [r for r in records if isinstance(r, Preview) and r.is_scene]
    return made, kept, told


def test_cameras_and_points_appear_and_end_as_the_model(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept, told = map_with_snapshots(inputs, MapIncrementally(), monkeypatch)
    assert len(kept) > 2 and told[-1].file == f"previews/{told[-1].step:08}.scene"
    counts = [read(data)[0]["registered"] for data in kept]
    assert counts[0] < counts[-1] == 7
    header, arrays = read(kept[-1])
    assert (header["kind"], header["stage"], header["of"]) == ("scene", "mapping", 7)
    model = made["reconstruction"].models[0]
    np.testing.assert_array_equal(arrays["photos"], np.arange(7))
    for row, (_, image) in zip(arrays["poses"], sorted(model.images.items()), strict=True):
        pose = image.cam_from_world
        expected = np.column_stack([pose.rotation, pose.translation])
        np.testing.assert_allclose(row.reshape(3, 4), expected, rtol=1e-5, atol=1e-5)
    assert len(arrays["positions"]) == len(model.points)
    np.testing.assert_allclose(arrays["positions"], model.points.xyz_world, atol=1e-3)
    assert np.abs(arrays["colors"].astype(int) - GREY).max() <= 1
    camera = model.cameras[1]
    size = [camera.width, camera.height, *camera.opencv_params[:4]]
    np.testing.assert_allclose(arrays["cameras"], np.tile(size, (7, 1)), rtol=1e-6)
    assert np.dot(header["up"], (0.0, -1.0, 0.0)) > 0.5


def test_poses_that_are_given_are_shown_where_they_are(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.formats.posed import PosedPhotos

    world = make_world(SPEC)
    names = [photo.name for photo in inputs["photos"].photos]
    poses = PosedPhotos(dict(zip(names, world.poses, strict=True)), {})
    _, kept, _ = map_with_snapshots(inputs, ImportPoses(), monkeypatch, poses=poses)
    _, arrays = read(kept[-1])
    shifts = arrays["poses"].reshape(-1, 3, 4)[:, :, 3]
    np.testing.assert_allclose(shifts, [pose.translation for pose in world.poses], rtol=1e-6)
    assert len(arrays["positions"]) > 200


def test_before_a_camera_there_is_nothing_and_colours_come_as_they_are_known(
    inputs: dict[str, Any],
) -> None:
    world = make_world(SPEC)
    tracks = build_tracks(TwoViewGeometries({}, ()), keypoints := keypoints_of(inputs["features"]))
    state = MapState(tracks, inputs["photos"].cameras, np.zeros(7, np.int64))
    with ThreadPoolExecutor(1) as executor:
        colors = KeypointColors(inputs["photos"], keypoints, executor)
        snapshots = Snapshots(tracks, 7, colors)
        assert snapshots.of_state(state) is None
        state.set_pose(2, world.poses[2])
        state.set_pose(4, replace(world.poses[4], translation=np.full(3, np.nan)))
        scene = snapshots.of_state(state)
    assert scene is not None and scene.registered == 2 and not len(scene.xyz)
    _, arrays = read(encode_scene(replace(scene, poses=np.nan_to_num(scene.poses)), 3))
    assert arrays["photos"].tolist() == [2, 4] and arrays["positions"].shape == (0, 3)


def test_a_snapshot_is_bounded_and_without_what_is_nowhere() -> None:
    rng = np.random.default_rng(3)
    xyz = rng.normal(size=(3 * MOST_POINTS, 3))
    xyz[3], xyz[6] = np.nan, 1e12
    numbers = np.arange(len(xyz))
    rgb = np.column_stack([numbers & 255, numbers >> 8 & 255, numbers >> 16]).astype(np.uint8)
    poses = np.tile(np.eye(4)[:3], (3, 1, 1)).astype(np.float32)
    poses[1, 0, 0] = np.nan
    cameras = np.ones((3, 6), np.float32)
    photos = np.array([5, 6, -1], np.int32)
    scene = LiveScene("mapping", 3, 9, (0.0, -1.0, 0.0), poses, photos, cameras, xyz, rgb)
    header, arrays = read(data := encode_scene(scene, 12))
    assert len(data) < 1_000_000 and header["step"] == 12
    assert MOST_POINTS - 3 < len(arrays["positions"]) <= MOST_POINTS
    assert arrays["photos"].tolist() == [5, -1] and len(arrays["poses"]) == 2
    shown = arrays["colors"].astype(np.int64) @ [1, 256, 65536]
    np.testing.assert_allclose(arrays["positions"], xyz[shown], atol=1e-3)
    assert not {3, 6} & set(shown.tolist())


def test_up_without_an_answer() -> None:
    assert up_of(np.zeros((0, 3, 3))) == (0.0, -1.0, 0.0)
    opposite = np.stack([np.eye(3), np.diag([1.0, -1.0, -1.0])])
    assert up_of(opposite) == (0.0, -1.0, 0.0)


def test_a_book_keeps_two_a_second_and_nothing_of_nothing() -> None:
    folder = PreviewFolder()
    book = SceneBook(folder, folder.clock)  # type: ignore[arg-type]
    scene = LiveScene(
        "mapping", 1, 9, (0.0, -1.0, 0.0), np.zeros((1, 3, 4), np.float32),
        np.zeros(1, np.int32), np.ones((1, 6), np.float32),
    )  # fmt: skip
    assert list(book.draw(1, lambda: None)) == []
    folder.now += 0.6
    assert [told.step for told in book.draw(2, lambda: scene)] == [2]
    folder.now += 0.4
    assert list(book.draw(3, lambda: scene)) == []
    folder.now += 0.2
    assert [told.file for told in book.draw(4, lambda: scene)] == [
        "features/previews/00000004.scene"
    ]


def test_the_first_snapshots_are_free_and_later_ones_wait_for_their_share() -> None:
    folder = PreviewFolder(takes=0.04)
    book = SceneBook(folder, folder.clock)  # type: ignore[arg-type]
    scene = LiveScene(
        "mapping", 1, 9, (0.0, -1.0, 0.0), np.zeros((1, 3, 4), np.float32),
        np.zeros(1, np.int32), np.ones((1, 6), np.float32),
    )  # fmt: skip
    kept = []
    for step in range(1, 41):
        kept += [told.step for told in book.draw(step, lambda: scene)]
        folder.now += 0.5
    # Two are free, half of the third: it is paid for with four seconds, and those after with eight.
    assert kept[:3] == [1, 2, 3] and len(kept) == 5
    assert 7 <= kept[3] - kept[2] <= 9 and 15 <= kept[4] - kept[3] <= 17
