"""Every loader: points that its files' cameras see are seen at the same place by its views."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.formats.axes import FROM_OPENGL, camera_to_world_from_pose
from pipeline.formats.colmap_model import write_model
from pipeline.formats.llff import LlffPoses, write_llff
from pipeline.formats.posed import PosedPhotos
from pipeline.formats.transforms import write_transforms
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import Points, RegisteredImage, SparseModel
from pipeline.radiance.datasets import (
    DataSet,
    Start,
    evenly,
    problem_of,
    read_blender,
    read_forward_facing,
    read_posed_scene,
)
from pipeline.radiance.view_files import read_picture
from tests.synthetic import WorldSpec, make_world

WORLD = make_world(WorldSpec(images=12, points=60))
POINTS = WORLD.truth.points_world
POSES = {f"photo_{i:02}.png": pose for i, pose in enumerate(WORLD.poses)}
WIDTH, HEIGHT = 80, 60
CENTRED = Camera("SIMPLE_PINHOLE", WIDTH, HEIGHT, np.array([64.0, 40.0, 30.0]))
CURVED = Camera("OPENCV", WIDTH, HEIGHT, np.array([64.0, 66, 41, 29, -0.05, 0.01, 1e-3, -5e-4]))


def write_pictures(folder: Path, names: Sequence[str], alpha: bool = False) -> None:
    for number, name in enumerate(names):
        picture = np.full((HEIGHT, WIDTH, 4 if alpha else 3), 10 * number, np.uint8)
        if alpha:
            picture[:, : WIDTH // 2, 3], picture[:, WIDTH // 2 :, 3] = 0, 255
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture)


def check_reprojection(data: DataSet, poses: Mapping[str, Pose], camera: Camera) -> None:
    """A view of half the size sees every point at half the pixels of the file's camera."""
    points = data.field_from_world.apply(POINTS)
    views = [*data.views, *data.held_out]
    for view, pose in zip(views, [*data.poses, *data.held_out_poses], strict=True):
        expected = camera.project(poses[Path(view.name).name].apply(POINTS))
        scale = view.camera.width / camera.width
        assert np.allclose(view.camera.project(pose.apply(points)), scale * expected, atol=1e-6)


def write_blender(folder: Path) -> None:
    """Nine views to train on and three tests, without extension, as the published files are."""
    names = list(POSES)
    for split, mine in (("train", names[:9]), ("test", names[9:])):
        write_pictures(folder / split, mine, alpha=True)
        frames = [
            {
                "file_path": f"./{split}/{Path(name).stem}",
                "transform_matrix": camera_to_world_from_pose(POSES[name], FROM_OPENGL).tolist(),
            }
            for name in mine
        ]
        angle = 2 * float(np.arctan(WIDTH / 2 / 64.0))
        content = {"camera_angle_x": angle, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(content))


def test_blender(tmp_path: Path) -> None:
    write_blender(tmp_path)
    data = read_blender(tmp_path, size_px=40)
    assert (len(data.views), len(data.held_out)) == (9, 3)
    assert data.views[0].rgb.shape == (30, 40, 3)
    assert data.views[0].camera is data.held_out[0].camera or data.held_out[0].camera.width == 40
    assert data.views[3].camera is data.views[0].camera
    check_reprojection(data, POSES, CENTRED)
    assert np.array_equal(data.views[5].rgb[0, [0, 39], 0], [255, 50])  # transparent is white
    assert (data.depth_range.near, data.depth_range.far) == (2.0, 6.0)
    assert data.bounded and data.background == "white"
    assert [view.name for view in read_blender(tmp_path, 40, tests=2).held_out] == [
        "test/photo_09.png",
        "test/photo_11.png",
    ]


def test_llff(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", list(POSES))
    full = Camera("SIMPLE_PINHOLE", 4 * WIDTH, 4 * HEIGHT, 4 * CENTRED.params)
    bounds = np.tile([4.0, 8.0], (12, 1))
    write_llff(tmp_path / "poses_bounds.npy", LlffPoses(WORLD.poses, (full,) * len(POSES), bounds))
    data = read_forward_facing(tmp_path, size_px=40)
    assert [view.name for view in data.held_out] == ["photo_11.png"]  # a tenth of twelve, the last
    check_reprojection(data, POSES, CENTRED)
    # Published frame: the mean camera is the identity, 0.75 of the nearest depth is 1.
    poses = [*data.poses, *data.held_out_poses]
    assert np.allclose(np.mean([pose.center for pose in poses], axis=0), 0.0, atol=1e-12)
    forward = np.mean([pose.rotation[2] for pose in poses], axis=0)
    assert np.allclose(forward / np.linalg.norm(forward), [0, 0, 1], atol=1e-12)
    assert data.field_from_world.scale == pytest.approx(1 / 3.0)
    assert data.depth_range.inverse and data.depth_range.far == np.inf


def test_llff_takes_the_smallest_pictures_that_are_large_enough(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images_2", list(POSES))
    (tmp_path / "images").mkdir()
    for name in POSES:
        picture = cv2.imread(str(tmp_path / "images_2" / name))
        assert picture is not None
        cv2.imwrite(str(tmp_path / "images" / name), 255 - np.kron(picture, np.ones((2, 2, 1))))
    bounds = np.tile([4.0, 8.0], (12, 1))
    write_llff(tmp_path / "poses_bounds.npy", LlffPoses(WORLD.poses, (CENTRED,) * 12, bounds))
    assert read_forward_facing(tmp_path, size_px=80).views[2].rgb[0, 0, 0] == 20
    assert read_forward_facing(tmp_path, size_px=81).views[2].rgb[0, 0, 0] == 235
    assert read_forward_facing(tmp_path).views[2].rgb.shape == (120, 160, 3)


def test_transforms_of_any_kind(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", list(POSES))
    photos = PosedPhotos(POSES, dict.fromkeys(POSES, CURVED))
    write_transforms(tmp_path / "transforms.json", photos)
    data = read_posed_scene(tmp_path / "transforms.json", size_px=40, holdout=0.25)
    assert (len(data.views), len(data.held_out)) == (9, 3)
    check_reprojection(data, POSES, CURVED)


def test_colmap_model_places_the_scene_by_its_points(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", list(POSES))
    pixels = [CURVED.project(pose.apply(POINTS)) for pose in POSES.values()]
    count = len(POINTS)
    images = {
        i + 1: RegisteredImage(name, 1, pose, pixels[i], np.arange(count) + 1)
        for i, (name, pose) in enumerate(POSES.items())
    }
    points = Points(
        np.arange(count) + 1,
        POINTS,
        np.zeros((count, 3), np.uint8),
        np.zeros(count),
        np.arange(count + 1) * len(POSES),
        np.tile(np.arange(len(POSES)) + 1, count),
        np.repeat(np.arange(count), len(POSES)),
    )
    write_model(SparseModel({1: CURVED}, images, points), tmp_path / "sparse" / "0")
    data = read_posed_scene(tmp_path, size_px=40, holdout=0.0)
    assert len(data.views) == 12 and not data.held_out
    check_reprojection(data, POSES, CURVED)
    inside = np.abs(data.field_from_world.apply(POINTS)) <= np.abs(data.box[1])
    assert inside.all(axis=1).mean() > 0.85
    depths = [pose.apply(data.field_from_world.apply(POINTS))[:, 2] for pose in data.poses]
    assert data.depth_range.near < np.min(depths) and np.max(depths) < data.depth_range.far


def test_where_experiments_start(tmp_path: Path) -> None:
    write_blender(tmp_path)
    data = read_blender(tmp_path, size_px=40)
    known = problem_of(data, Start("known"))
    assert known.poses == data.poses and known.held_out_poses == data.held_out_poses
    noisy = problem_of(data, Start("noise", sigma=0.1, seed=2))
    assert not np.allclose(noisy.poses[0].rotation, data.poses[0].rotation, atol=1e-3)
    assert noisy.held_out_poses == data.held_out_poses
    unknown = problem_of(data, Start("unknown"))
    assert all(np.array_equal(pose.rotation, np.eye(3)) for pose in unknown.poses)
    assert all(np.array_equal(pose.center, np.zeros(3)) for pose in unknown.held_out_poses)
    words = [str(Start("noise", sigma=0.1, seed=2)), str(Start("displaced"))]
    assert words == ["noise 0.1, seed 2", "2 deg and 2 % off, seed 0"]


def test_what_is_wrong_with_a_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"transforms_train\.json"):
        read_blender(tmp_path)
    write_blender(tmp_path)
    (tmp_path / "train" / "photo_03.png").unlink()
    with pytest.raises(PipelineError, match="photo_03"):
        read_blender(tmp_path)
    (tmp_path / "train" / "photo_03.png").write_bytes(b"no picture")
    with pytest.raises(PipelineError, match="photo_03"):
        read_blender(tmp_path, size_px=40)
    llff = LlffPoses(WORLD.poses, (CENTRED,) * 12, np.tile([4.0, 8.0], (12, 1)))
    write_llff(tmp_path / "poses_bounds.npy", llff)
    with pytest.raises(PipelineError, match="no pictures in images"):
        read_forward_facing(tmp_path)
    apart = tmp_path / "apart"
    apart.mkdir()
    write_transforms(apart / "transforms.json", PosedPhotos(POSES, dict.fromkeys(POSES, CURVED)))
    with pytest.raises(PipelineError, match="is not found"):
        read_posed_scene(apart / "transforms.json")


def test_pictures_are_scaled_by_area(tmp_path: Path) -> None:
    """Every new pixel is the mean of what it covers; half transparency mixes with white."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    small = read_picture(tmp_path / "a.png", 30)
    means = picture[:, :, ::-1].reshape(20, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.51
    assert read_picture(tmp_path / "a.png", 100).shape == (40, 60, 3)
    grey = np.full((40, 60, 4), 100, np.uint8)
    grey[:, :, 3] = 51  # a fifth
    cv2.imwrite(str(tmp_path / "b.png"), grey)
    assert (read_picture(tmp_path / "b.png", None) == 224).all()  # 0.2 * 100 + 0.8 * 255


def test_evenly() -> None:
    assert evenly("abcdef", 3) == ["b", "d", "f"]
    assert evenly("abc", 7) == evenly("abc", None) == ["a", "b", "c"]
