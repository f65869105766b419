"""Every format of cameras and points: written, read back by another reader, and projected.

Bars in pixels: files of text and JSON hold all digits of a double, and COLMAP's are doubles; PLY
and GLB hold coordinates in single precision, which moves a point by 1e-4 pixels.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.exports import models, surfaces
from pipeline.exports.pinhole import centred_pinhole, undistorted_model
from pipeline.exports.scene import Export
from pipeline.formats.ply import read_ply
from pipeline.formats.transforms import read_transforms
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.similarity import Similarity
from pipeline.products import Points, SparseModel
from tests.exports import readers
from tests.exports.runs import export_of, projections
from tests.formats.glb_reading import read_glb
from tests.formats.models import make_model

EXACT_PX, SINGLE_PX = 1e-6, 1e-3
SEEDS = st.integers(0, 2**16)
CAMERAS = st.lists(
    st.sampled_from(["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]),
    min_size=1,
    max_size=3,
    unique=True,
)
round_trip = settings(derandomize=True, deadline=None, max_examples=8)


def written(
    write: Callable[[Export, Path], None], model: SparseModel, check: Callable[[Path, Export], None]
) -> None:
    """Write into a folder, and check what is in it."""
    with tempfile.TemporaryDirectory() as name:
        export = export_of(model)
        write(export, Path(name))
        check(Path(name), export)


def model_of(seed: int, cameras: list[str], name: str = "album-{}/föto {}.jpg") -> SparseModel:
    return make_model(seed, n_images=4, n_points=20, models=tuple(cameras), name=name)


def furthest(found: dict[str, Float64s], expected: dict[str, Float64s]) -> float:
    """The largest distance between places of the same names, in pixels."""
    assert found.keys() == expected.keys()
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)


@round_trip
@given(SEEDS, CAMERAS)
def test_colmap(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        found = pycolmap.Reconstruction(folder / "sparse" / "0")
        seen = {
            image.name: np.array(
                [image.project_point(found.points3D[int(key)].xyz) for key in model.points.ids]
            )
            for image in found.images.values()
        }
        assert furthest(seen, projections(model)) < EXACT_PX

    written(models.write_colmap, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_nerfstudio(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        path = folder / "transforms.json"
        content = json.loads(path.read_text())
        assert content["applied_transform"] == [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
        xyz = model.points.xyz_world
        expected = {f"images/{name}": seen for name, seen in projections(model).items()}
        seen = readers.transforms_projections(path, readers.applied(path, xyz))
        assert furthest(seen, expected) < EXACT_PX
        cloud = read_ply(folder / content["ply_file_path"])  # in the file's world already
        seen = readers.transforms_projections(path, cloud.xyz.astype(np.float64))
        assert furthest(seen, expected) < SINGLE_PX

    written(models.write_nerfstudio, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_instant_ngp(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        path = folder / "transforms.json"
        xyz = model.points.xyz_world
        seen = readers.transforms_projections(path, readers.applied(path, xyz))
        expected = {f"./images/{name}": seen for name, seen in projections(model).items()}
        assert furthest(seen, expected) < EXACT_PX
        frames = json.loads(path.read_text())["frames"]
        centers = np.array([frame["transform_matrix"] for frame in frames])[:, :3, 3]
        np.testing.assert_allclose(np.linalg.norm(centers, axis=1).mean(), 4.0)

    written(models.write_instant_ngp, model, check)


@pytest.mark.parametrize("write", [models.write_nerfstudio, models.write_instant_ngp])
def test_our_own_reader_undoes_the_world_of_the_file(
    write: Callable[[Export, Path], None], tmp_path: Path
) -> None:
    model = model_of(3, ["OPENCV", "RADIAL"])
    write(export_of(model), tmp_path)
    found = read_transforms(tmp_path / "transforms.json")
    seen = {
        name: found.intrinsics[name].project(pose.apply(model.points.xyz_world))
        for name, pose in found.cam_from_world.items()
    }
    expected = {f"images/{name}": places for name, places in projections(model).items()}
    assert furthest(seen, expected) < EXACT_PX


@round_trip
@given(SEEDS, CAMERAS)
def test_llff(seed: int, cameras: list[str]) -> None:
    """One pinhole camera for all: points are where the undistorted photographs show them."""
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        pinhole = centred_pinhole([model.cameras[i.camera] for i in model.images.values()])
        assert pinhole is not None
        seen_by = undistorted_model(model, dict.fromkeys(model.cameras, pinhole))
        expected = {name.split("/")[1]: places for name, places in projections(seen_by).items()}
        path, names = folder / "poses_bounds.npy", sorted(expected)
        xyz = model.points.xyz_world
        assert furthest(readers.llff_projections(path, names, xyz), expected) < EXACT_PX
        bounds = np.load(path)[:, 15:]
        for (near, far), name in zip(bounds, names, strict=True):
            (image,) = (i for i in model.images.values() if i.name.endswith(name))
            mine = set(image.point_ids.tolist()) & set(model.points.ids.tolist())
            depths = image.cam_from_world.apply(xyz[np.isin(model.points.ids, list(mine))])[:, 2]
            assert depths.min() <= near < np.median(depths) < far <= depths.max()

    written(models.write_llff_folder, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_nvm(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        pinholes = {}
        for key, camera in model.cameras.items():
            pinhole = centred_pinhole([camera])
            assert pinhole is not None
            pinholes[key] = pinhole
        seen_by = undistorted_model(model, pinholes)
        names = {name: f"images/{name.replace(' ', '_')}" for name in projections(model)}
        expected = {names[name]: places for name, places in projections(seen_by).items()}
        path, sizes = folder / "model.nvm", dict.fromkeys(expected, (800, 600))
        _, points = readers.nvm_cameras(path)
        xyz = np.array([fields[:3] for fields in points], dtype=np.float64)
        found = readers.nvm_projections(path, sizes, xyz)
        assert furthest(found, expected) < EXACT_PX
        order = list(found)
        off = []
        for j, fields in enumerate(points):
            assert fields[3:6] == [str(c) for c in model.points.rgb[j]]
            seen = np.array(fields[7:], dtype=np.float64).reshape(-1, 4)
            assert len(seen) == int(fields[6])
            for image, _, x, y in seen:
                off.append(found[order[int(image)]][j] - (x + 400.0, y + 300.0))
        assert len(off) == len(model.points.track_images)
        # Measured with half a pixel of noise: about the middle, or they would be hundreds off.
        assert 0.1 < np.abs(off).mean() < 1.5

    written(models.write_nvm_folder, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_tum(seed: int, cameras: list[str]) -> None:
    """Poses alone: with the model's own intrinsics they see what it sees."""
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        lines = (folder / "rgb.txt").read_text().splitlines()
        names = dict(line.split(" ", 1) for line in lines if not line.startswith("#"))
        by_name = {image.name: image for image in model.images.values()}
        seen = {}
        for timestamp, (world_from_cam, center) in readers.tum_poses(
            folder / "trajectory.txt"
        ).items():
            name = names[str(timestamp)]
            cam = world_from_cam.inv().apply(model.points.xyz_world - center)
            seen[name] = model.cameras[by_name[name].camera].project(cam)
        assert furthest(seen, projections(model)) < EXACT_PX
        assert list(names.values()) == sorted(by_name)

    written(models.write_tum, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_opensfm(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)

    def check(folder: Path, export: Export) -> None:
        seen, ids = readers.opensfm_projections(folder / "reconstruction.json")
        assert ids == [str(key) for key in model.points.ids]
        names = {name: name.split("/")[1].replace(" ", "_") for name in projections(model)}
        expected = {names[name]: places for name, places in projections(model).items()}
        assert furthest(seen, expected) < EXACT_PX
        header, *lines = (folder / "tracks.csv").read_text().splitlines()
        assert header == "OPENSFM_TRACKS_VERSION_v2"
        assert len(lines) == len(model.points.track_images)
        keypoints = {names[image.name]: image.keypoints_px for image in model.images.values()}
        for fields in (line.split("\t") for line in lines):
            assert len(fields) == 11
            place = np.array(fields[3:5], dtype=np.float64) * 800 + (400, 300)
            np.testing.assert_allclose(place, keypoints[fields[0]][int(fields[2])], atol=EXACT_PX)

    written(models.write_opensfm, model, check)


@round_trip
@given(SEEDS, CAMERAS)
def test_ply_and_glb(seed: int, cameras: list[str]) -> None:
    model = model_of(seed, cameras)
    by_name = {image.name: image for image in model.images.values()}

    def projected(xyz: Float64s) -> dict[str, Float64s]:
        return {
            name: model.cameras[image.camera].project(image.cam_from_world.apply(xyz))
            for name, image in by_name.items()
        }

    def check_ply(folder: Path, export: Export) -> None:
        cloud = read_ply(folder / "points.ply")
        assert cloud.rgb is not None and (cloud.rgb == model.points.rgb).all()
        seen = projected(cloud.xyz.astype(np.float64))
        assert furthest(seen, projections(model)) < SINGLE_PX

    def check_glb(folder: Path, export: Export) -> None:
        glb = read_glb(folder / "scene.glb")
        xyz = readers.homogeneous(glb.attribute("POSITION").astype(np.float64))
        seen = {}
        for node in glb.content["nodes"]:
            if "camera" in node:
                cam = xyz @ np.linalg.inv(np.reshape(node["matrix"], (4, 4)).T).T
                camera = model.cameras[by_name[node["name"]].camera]
                assert node["extras"]["params"] == camera.params.tolist()
                seen[node["name"]] = camera.project(cam[:, :3] * (1.0, -1.0, -1.0))
        assert furthest(seen, projections(model)) < SINGLE_PX

    written(surfaces.write_ply_folder, model, check_ply)
    written(surfaces.write_glb_folder, model, check_glb)


def test_points_far_from_the_origin_are_told(tmp_path: Path) -> None:
    """As in a national grid: single precision has half a metre there."""
    model = model_of(4, ["RADIAL"])
    grid = Similarity(1.0, np.eye(3), np.array([4e6, 5e6, 0.0]))
    images = {
        key: replace(image, cam_from_world=grid.apply_to_pose(image.cam_from_world))
        for key, image in model.images.items()
    }
    points = replace(model.points, xyz_world=grid.apply(model.points.xyz_world))
    export = export_of(replace(model, images=images, points=points))
    surfaces.write_ply_folder(export, tmp_path)
    assert len(export.notes) == 1 and "moves them by up to 0.2" in export.notes[0]
    near = export_of(model)
    surfaces.write_ply_folder(near, tmp_path)
    assert near.notes == []


def test_several_sizes_are_refused_by_llff(tmp_path: Path) -> None:
    model = model_of(1, ["PINHOLE", "RADIAL"])
    key = max(model.cameras)
    smaller = type(model.cameras[key])("SIMPLE_PINHOLE", 640, 480, np.array([500.0, 320, 240]))
    mixed = SparseModel({**model.cameras, key: smaller}, model.images, model.points)
    with pytest.raises(PipelineError, match="2 sizes") as caught:
        models.write_llff_folder(export_of(mixed), tmp_path)
    assert "640 x 480" in caught.value.message and "nerfstudio" in caught.value.hint


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        (models.write_llff_folder, "nearest and the farthest depth"),
        (surfaces.write_ply_folder, "no points"),
        (surfaces.write_glb_folder, "no points"),
        (surfaces.write_obj_folder, "neither a mesh nor a draft"),
    ],
)
def test_without_points_some_formats_say_so(
    write: Callable[[Export, Path], None], refusal: str, tmp_path: Path
) -> None:
    model = model_of(2, ["RADIAL"])
    bare = SparseModel(model.cameras, model.images, Points.none())
    with pytest.raises(PipelineError, match=refusal) as caught:
        write(export_of(bare), tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "write",
    [
        models.write_colmap, models.write_nerfstudio, models.write_instant_ngp,
        models.write_nvm_folder, models.write_tum, models.write_opensfm,
    ],
)  # fmt: skip
def test_without_points_the_others_are_written(
    write: Callable[[Export, Path], None], tmp_path: Path
) -> None:
    model = model_of(2, ["RADIAL"])
    write(export_of(SparseModel(model.cameras, model.images, Points.none())), tmp_path)
    assert any(path.is_file() for path in tmp_path.rglob("*"))
