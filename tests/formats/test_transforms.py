"""transforms.json: round trips in pixels, and the habits of its three families."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.posed import PosedPhotos
from pipeline.formats.transforms import read_transforms, write_transforms
from pipeline.geometry.cameras import MODELS
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from tests.formats.models import make_camera, make_poses

MATRIX = [[1.0, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


def make_posed(seed: int, models: list[str]) -> PosedPhotos:
    poses = make_poses(len(models), np.random.default_rng(seed))
    names = [f"föto {i}.jpg" for i in range(len(models))]
    cameras = [make_camera(model) for model in models]
    return PosedPhotos(dict(zip(names, poses, strict=True)), dict(zip(names, cameras, strict=True)))


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "transforms.json"
    path.write_text(json.dumps(content))
    return path


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(sorted(MODELS)), min_size=1, max_size=4),
    st.sampled_from(["images", "", "../photos"]),
)
def test_round_trip_in_pixels(seed: int, models: list[str], photo_folder: str) -> None:
    posed = make_posed(seed, models)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transforms.json"
        write_transforms(path, posed, photo_folder)
        found = read_transforms(path)
    points = np.random.default_rng(1).uniform(-1.0, 1.0, (20, 3)) + np.array([0.0, 0.0, 5.0])
    for name, pose in posed.cam_from_world.items():
        key = f"{photo_folder}/{name}" if photo_folder else name
        assert found.intrinsics[key].model == posed.intrinsics[name].model
        np.testing.assert_allclose(
            found.intrinsics[key].project(found.cam_from_world[key].apply(points)),
            posed.intrinsics[name].project(pose.apply(points)),
            atol=1e-9,
        )


def test_shared_intrinsics_stand_once(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    write_transforms(path, make_posed(0, ["RADIAL"] * 3), points="points.ply")
    content = json.loads(path.read_text())
    assert content["fl_x"] == 700.0 and content["k2"] == 0.004 and content["w"] == 800
    assert content["camera_model"] == "OPENCV" and content["ply_file_path"] == "points.ply"
    assert all(set(frame) == {"file_path", "transform_matrix"} for frame in content["frames"])


def test_camera_axes_are_right_up_backward(tmp_path: Path) -> None:
    """A camera at (1, 2, 3) with the world's axes looks along the world's -z, y up."""
    path = write(tmp_path, {"frames": [{"file_path": "./a.jpg", "transform_matrix": MATRIX}]})
    pose = read_transforms(path).cam_from_world["a.jpg"]
    assert pose.center.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(pose.apply(np.array([[1.0, 2.0, -7.0]])), [[0.0, 0.0, 10.0]])
    np.testing.assert_allclose(pose.apply(np.array([[1.0, 5.0, 3.0]])), [[0.0, -3.0, 0.0]])


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100.0))
def test_applied_transform_and_scale_are_undone(seed: int, scale: float) -> None:
    """Points and cameras moved together keep their pixels; undoing the move gives the original."""
    rng = np.random.default_rng(seed)
    moved_by = np.column_stack([rotation_from_rotvec(rng.normal(size=3)), rng.normal(size=3)])
    original = make_posed(seed, ["PINHOLE"])
    pose = next(iter(original.cam_from_world.values()))
    center = scale * (moved_by[:, :3] @ pose.center + moved_by[:, 3])
    rotation = moved_by[:, :3] @ pose.rotation.T
    moved = Pose(rotation.T.copy(), -rotation.T @ center)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transforms.json"
        write_transforms(path, PosedPhotos({"a.jpg": moved}, {"a.jpg": make_camera("PINHOLE")}))
        content = json.loads(path.read_text())
        content |= {"applied_transform": moved_by.tolist(), "applied_scale": scale}
        path.write_text(json.dumps(content))
        found = read_transforms(path).cam_from_world["images/a.jpg"]
    np.testing.assert_allclose(found.rotation, pose.rotation, atol=1e-12)
    np.testing.assert_allclose(found.center, pose.center, atol=1e-11 * (1.0 + 1.0 / scale))


def test_blender_scene(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    Image.new("RGBA", (400, 300)).save(tmp_path / "train" / "r_0.png")
    Image.new("RGB", (200, 100)).save(tmp_path / "train" / "r_1.jpg")
    frames = [
        {"file_path": f"./train/r_{i}", "rotation": 0.01, "transform_matrix": MATRIX}
        for i in range(3)
    ]
    angle = 0.7
    found = read_transforms(write(tmp_path, {"camera_angle_x": angle, "frames": frames}))
    assert list(found.cam_from_world) == ["train/r_0.png", "train/r_1.jpg", "train/r_2.png"]
    assert set(found.intrinsics) == {"train/r_0.png", "train/r_1.jpg"}  # r_2 is not there
    camera = found.intrinsics["train/r_0.png"]
    assert camera.model == "SIMPLE_PINHOLE" and (camera.width, camera.height) == (400, 300)
    np.testing.assert_allclose(camera.params, [200.0 / math.tan(0.35), 200.0, 150.0])


def test_intrinsics_of_a_frame_come_first(tmp_path: Path) -> None:
    shared = {"fl_x": 500.0, "w": 640.0, "h": 480.0, "k1": 0.1}
    frames = [
        {"file_path": "a.jpg", "transform_matrix": MATRIX},
        {"file_path": "b.jpg", "transform_matrix": MATRIX, "fl_x": 600.0, "fl_y": 610.0, "k1": 0},
    ]
    found = read_transforms(write(tmp_path, {**shared, "frames": frames})).intrinsics
    assert found["a.jpg"].model == "SIMPLE_RADIAL"
    assert found["a.jpg"].params.tolist() == [500.0, 320.0, 240.0, 0.1]
    assert found["b.jpg"].params.tolist() == [600.0, 610.0, 320.0, 240.0]


def test_without_focal_length_there_are_poses_only(tmp_path: Path) -> None:
    frames = [{"file_path": "a.jpg", "transform_matrix": MATRIX[:3]}]
    found = read_transforms(write(tmp_path, {"w": 640, "h": 480, "frames": frames}))
    assert len(found) == 1 and not found.intrinsics


def frame(**entries: Any) -> dict[str, Any]:
    return {"w": 640, "h": 480, "fl_x": 500.0, "frames": [
        {"file_path": "a.jpg", "transform_matrix": MATRIX, **entries}
    ]}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "no list of frames"),
        ({"frames": [1]}, "no list of frames"),
        (frame(file_path=None), "no file_path"),
        (frame(transform_matrix=None), "transform_matrix of a.jpg"),
        (frame(transform_matrix=[[1, 2], [3, 4]]), "transform_matrix of a.jpg"),
        (frame(transform_matrix=[["x"] * 4] * 4), "no number"),
        (frame(transform_matrix=[[2.0, 0, 0, 0], *MATRIX[1:]]), "not orthogonal"),
        (frame(transform_matrix=[[-1.0, 0, 0, 0], *MATRIX[1:]]), "mirrors"),
        (frame(fl_x="wide"), "fl_x is 'wide'"),
        (frame(fl_x=-5.0), "a.jpg: a camera's parameters"),
        (frame(camera_model="OPENCV_FISHEYE"), "OPENCV_FISHEYE"),
        (frame(is_fisheye=True), "fisheye"),
        (frame(k3=0.1), "fisheye or other"),
        ({**frame(), "applied_scale": 0.0}, "no positive scale"),
        ({**frame(), "applied_transform": [[-1.0, 0, 0, 0], *MATRIX[1:3]]}, "mirrors"),
        ({"frames": frame()["frames"] * 2}, "a.jpg has 2 entries"),
    ],
)
def test_malformed_files_are_refused(content: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_transforms(path)
    assert str(path) in caught.value.message and caught.value.hint


def test_photographs_without_intrinsics_are_not_written(tmp_path: Path) -> None:
    posed = PosedPhotos({"a.jpg": Pose.identity()}, {})
    with pytest.raises(PipelineError, match=r"a\.jpg has no intrinsics"):
        write_transforms(tmp_path / "transforms.json", posed)
