"""Recognising what a user hands over as poses or intrinsics."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import write_model
from pipeline.formats.colmap_text import write_text_model
from pipeline.formats.llff import LlffPoses, write_llff
from pipeline.formats.reference import PosedPhotos, read_intrinsics, read_posed_photos
from pipeline.formats.transforms import write_transforms
from pipeline.geometry.cameras import Camera
from pipeline.products import SparseModel
from tests.formats.models import make_model, make_poses

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
CAMERA = Camera("SIMPLE_PINHOLE", 64, 48, np.array([60.0, 32.0, 24.0]))


def posed_photos() -> PosedPhotos:
    poses = make_poses(len(NAMES), np.random.default_rng(0))
    return PosedPhotos(dict(zip(NAMES, poses, strict=True)), dict.fromkeys(NAMES, CAMERA))


def make_photos(folder: Path, names: list[str] = NAMES) -> None:
    for name in names:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(folder / "images" / name)


def as_transforms(folder: Path) -> Path:
    write_transforms(folder / "transforms.json", posed_photos())
    return folder / "transforms.json"


def as_llff(folder: Path) -> Path:
    poses = tuple(posed_photos().cam_from_world.values())
    path = folder / "poses_bounds.npy"
    write_llff(path, LlffPoses(poses, (CAMERA,) * len(poses), np.ones((len(poses), 2))))
    return path


def as_ground_truth(folder: Path) -> Path:
    entries = {
        name: {
            "K": CAMERA.calibration_matrix.tolist(),
            "R_c2w": pose.rotation.T.tolist(),
            "center": pose.center.tolist(),
        }
        for name, pose in posed_photos().cam_from_world.items()
    }
    (folder / "ground_truth.json").write_text(json.dumps(entries))
    return folder / "ground_truth.json"


@pytest.mark.parametrize("write", [as_transforms, as_llff, as_ground_truth])
@pytest.mark.parametrize("give_folder", [False, True])
def test_files_and_scene_folders(
    write: Callable[[Path], Path], give_folder: bool, tmp_path: Path
) -> None:
    make_photos(tmp_path)
    path = write(tmp_path)
    found = read_posed_photos(tmp_path if give_folder else path, NAMES[:2])
    assert list(found.cam_from_world) == NAMES[:2] == list(found.intrinsics)
    for name, pose in found.cam_from_world.items():
        truth = posed_photos().cam_from_world[name]
        np.testing.assert_allclose(pose.rotation, truth.rotation, atol=1e-12)
        np.testing.assert_allclose(pose.center, truth.center, atol=1e-12)
        np.testing.assert_allclose(found.intrinsics[name].params, CAMERA.params)


@pytest.mark.parametrize("where", ["", "sparse/0", "sparse", "colmap/sparse/0"])
@pytest.mark.parametrize("write", [write_model, write_text_model])
def test_colmap_folders(
    write: Callable[[SparseModel, Path], None], where: str, tmp_path: Path
) -> None:
    model = make_model(0)
    write(model, tmp_path / where)
    found = read_posed_photos(tmp_path)
    for image in model.images.values():
        np.testing.assert_allclose(
            found.cam_from_world[image.name].center, image.cam_from_world.center, atol=1e-12
        )
        assert found.intrinsics[image.name].model == model.cameras[image.camera].model
    suffix = "bin" if write is write_model else "txt"
    assert len(read_posed_photos(tmp_path / where / f"images.{suffix}")) == len(found)


def test_run_directories(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("")
    as_transforms(tmp_path)  # a run is its model and nothing else
    with pytest.raises(PipelineError, match="has no sparse/0"):
        read_posed_photos(tmp_path)
    write_model(make_model(0), tmp_path / "sparse" / "0")
    assert len(read_posed_photos(tmp_path)) == 4


def test_names_match_by_base_name(tmp_path: Path) -> None:
    write_model(make_model(0, name="album-{}/{}.jpg"), tmp_path)
    found = read_posed_photos(tmp_path, ["3.jpg", "elsewhere/1.jpg", "album-0/2.jpg", "9.jpg"])
    assert list(found.cam_from_world) == ["3.jpg", "elsewhere/1.jpg", "album-0/2.jpg"]
    with pytest.raises(PipelineError, match=r"such as album-0/0\.jpg, .* such as x\.jpg"):
        read_posed_photos(tmp_path, ["x.jpg"])


def test_llff_takes_names_from_the_photo_list_where_no_images_lie_beside(tmp_path: Path) -> None:
    path = as_llff(tmp_path)
    assert list(read_posed_photos(path, NAMES[::-1]).cam_from_world) == NAMES[::-1]
    for names in (None, NAMES[:2]):
        with pytest.raises(PipelineError, match="3 rows, but there are"):
            read_posed_photos(path, names)


def test_scene_with_several_transforms(tmp_path: Path) -> None:
    as_transforms(tmp_path).rename(tmp_path / "transforms_train.json")
    assert len(read_posed_photos(tmp_path)) == 3
    as_transforms(tmp_path).rename(tmp_path / "transforms_test.json")
    with pytest.raises(PipelineError, match=r"transforms_test\.json, transforms_train\.json"):
        read_posed_photos(tmp_path)


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="nothing does not exist"):
        read_posed_photos(tmp_path / "nothing")
    with pytest.raises(PipelineError, match="nothing in") as caught:
        read_posed_photos(tmp_path)
    assert "ground_truth.json" in caught.value.hint
    (tmp_path / "poses.csv").write_text("1,2,3")
    with pytest.raises(PipelineError, match=r"poses\.csv is of no format"):
        read_posed_photos(tmp_path / "poses.csv")


def test_intrinsics_of_one_camera_hold_for_all(tmp_path: Path) -> None:
    text = tmp_path / "cameras.txt"
    text.write_text("# one camera\n1 RADIAL 640 480 500 320 240 0.1 0.01\n")
    values = {"model": "RADIAL", "params": [500, 320, 240, 0.1, 0.01], "width": 640, "height": 480}
    (tmp_path / "camera.json").write_text(json.dumps(values))
    for path in (text, tmp_path / "camera.json"):
        found = read_intrinsics(path, NAMES)
        assert list(found) == NAMES
        for camera in found.values():
            assert camera.model == "RADIAL" and (camera.width, camera.height) == (640, 480)
            assert camera.params.tolist() == [500.0, 320.0, 240.0, 0.1, 0.01]
            assert camera.has_focal_prior


def test_intrinsics_of_many_cameras_are_matched_by_name(tmp_path: Path) -> None:
    model = make_model(0, name="{}{}.jpg")
    write_text_model(model, tmp_path / "model")
    names = [image.name for image in model.images.values()]
    found = read_intrinsics(tmp_path / "model", [*names, "other.jpg"])
    assert list(found) == names and all(camera.has_focal_prior for camera in found.values())
    assert found[names[1]].model == "PINHOLE"
    with pytest.raises(PipelineError, match="does not say whose"):
        read_intrinsics(tmp_path / "model" / "cameras.txt", names)


def test_intrinsics_without_an_image_size(tmp_path: Path) -> None:
    path = as_ground_truth(tmp_path)
    with pytest.raises(PipelineError, match="no usable intrinsics"):
        read_intrinsics(path, NAMES)
    make_photos(tmp_path)
    assert len(read_intrinsics(path, NAMES)) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "FOV"}, "FOV"),
        ({"params": [500, 320]}, "SIMPLE_PINHOLE has 3 parameters, not 2"),
        ({"params": ["x"]}, "not a list of numbers"),
        ({"params": [-500, 320, 240]}, "parameters are"),
        ({"width": "640"}, "width and height are '640'"),
        ({"height": 0}, "640 x 0 pixels"),
        ({"focal": 500}, "unknown key 'focal'"),
    ],
)
def test_malformed_intrinsics_are_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    values = {"model": "SIMPLE_PINHOLE", "params": [500, 320, 240], "width": 640, "height": 480}
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({**values, **change}))
    with pytest.raises(PipelineError, match=reason) as caught:
        read_intrinsics(path, NAMES)
    assert str(path) in caught.value.message


@pytest.mark.skipif(not os.environ.get("BARFIELD_SCENES"), reason="BARFIELD_SCENES is not set")
@pytest.mark.parametrize(
    ("scene", "file", "poses", "size", "focal_px"),
    [
        ("fountain-P11", "", 11, (1536, 1024), 1380.91),
        ("fern", "", 20, (4032, 3024), 3260.53),
        ("fox", "", 67, (1080, 1920), 1375.0),
        ("lego", "transforms_test.json", 200, (400, 400), 555.56),
    ],
)
def test_public_scenes(
    scene: str, file: str, poses: int, size: tuple[int, int], focal_px: float
) -> None:
    found = read_posed_photos(Path(os.environ["BARFIELD_SCENES"]) / scene / file)
    assert len(found) == poses
    assert len(found.intrinsics) > 0
    for camera in found.intrinsics.values():
        assert (camera.width, camera.height) == size
        assert abs(camera.focal_px - focal_px) < 0.01
