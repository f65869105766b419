"""A sparse model as a cloud for browsers: cameras, the way up, and what there is without open3d."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.dense import clouds, neighbourhoods
from pipeline.dense.clouds import cameras_of, up_axis, write_cloud, write_fused
from pipeline.dense.neighbourhoods import look_around
from pipeline.formats.bundle import unpack
from pipeline.formats.ply import PointCloud
from pipeline.formats.point_stream import RECORD
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.mesh_products import FusedCloud
from pipeline.products import Points, SparseModel
from tests.dense.fused_run import fused_cloud
from tests.dense.models import SPEC, floor_model, model_of
from tests.formats.octrees import read_octree
from tests.synthetic import make_world


def turned(model: SparseModel, rotvec: tuple[float, float, float]) -> SparseModel:
    """The model in a world that is turned."""
    turn = rotation_from_rotvec(np.array(rotvec))
    images = {
        i: replace(
            image,
            cam_from_world=Pose(
                image.cam_from_world.rotation @ turn.T, image.cam_from_world.translation
            ),
        )
        for i, image in model.images.items()
    }
    points = replace(model.points, xyz_world=model.points.xyz_world @ turn.T)
    return SparseModel(model.cameras, images, points)


def up_of(model: SparseModel, floor: Float64s | None = None) -> Float64s:
    """The way up of a model that has one."""
    up = up_axis(model, floor)
    assert up is not None
    return np.array(up)


def test_up_is_against_the_cameras_down_and_along_the_floor() -> None:
    model = model_of(make_world(SPEC))
    up = up_of(model)
    assert up @ (0.0, -1.0, 0.0) > 0.98
    floor = np.array([0.02, 1.0, 0.01]) / np.linalg.norm([0.02, 1.0, 0.01])
    np.testing.assert_allclose(up_of(model, floor), -floor)
    np.testing.assert_allclose(up_of(model, np.array([1.0, 0.0, 0.0])), up)  # a wall
    turn = rotation_from_rotvec(np.array([0.0, 0.0, 1.2]))
    np.testing.assert_allclose(up_of(turned(model, (0.0, 0.0, 1.2))), turn @ up)


def test_cameras_that_are_held_in_all_directions_tell_no_up() -> None:
    model = model_of(make_world(SPEC))
    images = {}
    for n, (i, image) in enumerate(sorted(model.images.items())):
        roll = rotation_from_rotvec(np.array([0.0, 0.0, 2 * np.pi * n / len(model.images)]))
        pose = Pose(roll @ image.cam_from_world.rotation, image.cam_from_world.translation)
        images[i] = replace(image, cam_from_world=pose)
    assert up_axis(SparseModel(model.cameras, images, model.points)) is None
    assert up_axis(SparseModel({}, {}, Points.none())) is None


def test_cameras_are_told_with_what_they_see_and_how_well() -> None:
    world = make_world(SPEC)
    model = model_of(world)
    told = json.loads(json.dumps(cameras_of(model, {"01.png": 7})))
    (camera,) = told["cameras"]
    assert (camera["width"], camera["height"], camera["model"]) == (1000, 750, "SIMPLE_RADIAL")
    assert camera["fx"] == camera["fy"] == 800.0 and camera["params"][3] == -0.05
    assert [image["photo"] for image in told["images"]] == [None, 7, None, None, None, None]
    for image, pose in zip(told["images"], world.poses, strict=True):
        matrix = np.array(image["cam_from_world"])
        np.testing.assert_allclose(matrix[:, :3], pose.rotation)
        np.testing.assert_allclose(matrix[:, 3], pose.translation)
        assert image["points"] > 1000 and image["camera"] == 0
        assert 0.4 < image["error_px"] < 0.6  # the mean length of a normal error of 0.4 px
    blind = replace(model.images[1], point_ids=np.full_like(model.images[1].point_ids, -1))
    told = cameras_of(SparseModel(model.cameras, {1: blind}, Points.none()), {})
    assert told["images"][0]["points"] == 0 and told["images"][0]["error_px"] is None


def test_without_open3d_the_cloud_is_there_as_it_was_and_says_so(tmp_path: Path) -> None:
    model, strays = floor_model()
    about = write_cloud(tmp_path, model, {}, "it crashed")
    assert about["note"] == "not filtered, because open3d: it crashed"
    assert about["before"] == about["count"] == len(strays)
    assert about["strays"] < strays.sum()  # only what lies beyond everything else
    header, buffers = unpack((tmp_path / "points.bin").read_bytes())
    records = np.frombuffer(buffers["records"], RECORD)
    assert header["count"] == len(records) == len(strays)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "cameras.json",
        "details.bin",
        "points.bin",
    ]


def test_a_cloud_that_is_too_large_for_a_stream_is_an_octree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clouds, "MOST_STREAMED", 2999)
    model, strays = floor_model()
    about = write_cloud(tmp_path, model, {}, "it crashed")
    assert about["format"] == "potree" and about["before"] == len(strays)
    assert about["count"] == len(strays) - about["strays"] and about["strays"] >= 1
    told, nodes = read_octree(tmp_path)
    assert told["points"] == about["count"] == sum(len(node.records) for node in nodes)
    names = ["cameras.json", "hierarchy.bin", "metadata.json", "octree.bin"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert told["boundingBox"]["min"] == pytest.approx(about["bounds"][0])


def test_a_fused_cloud_keeps_its_normals_and_how_many_photographs_see_it(tmp_path: Path) -> None:
    model, fused = floor_model()[0], fused_cloud()
    about = write_fused(tmp_path, fused, model, {})
    assert (about["count"], about["before"], about["strays"], about["note"]) == (500, 500, 0, "")
    assert about["up"] == up_axis(model)
    header, buffers = unpack((tmp_path / "points.bin").read_bytes())
    records = np.frombuffer(buffers["records"], RECORD)
    found = np.array(header["origin"]) + records["q"] * np.array(header["step"])
    assert fused.cloud.rgb is not None
    order = np.array(
        [np.flatnonzero((fused.cloud.rgb == rgb).all(axis=1))[0] for rgb in records["rgb"]]
    )
    np.testing.assert_allclose(found, fused.cloud.xyz[order], atol=1e-4)
    _, details = unpack((tmp_path / "details.bin").read_bytes())
    seen = np.frombuffer(details["track_length"], np.uint8)
    np.testing.assert_array_equal(seen, np.diff(fused.starts)[order])
    normals = np.frombuffer(details["normal"], np.uint8).reshape(-1, 3)
    assert (normals == [127, 0, 127]).all() and "error" not in details
    cameras = json.loads((tmp_path / "cameras.json").read_text())
    assert len(cameras["images"]) == len(model.images)


def test_the_way_up_of_a_fused_cloud_may_be_known_from_elsewhere(tmp_path: Path) -> None:
    about = write_fused(tmp_path, fused_cloud(), floor_model()[0], {}, (0.0, 0.0, 1.0))
    header, _ = unpack((tmp_path / "points.bin").read_bytes())
    assert about["up"] == (0.0, 0.0, 1.0) and header["up"] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("most", "kind"), [(1000, "points"), (100, "potree")])
def test_points_of_a_fused_cloud_that_are_nowhere_are_strays(
    tmp_path: Path, most: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clouds, "MOST_STREAMED", most)
    fused = fused_cloud()
    xyz = fused.cloud.xyz.copy()
    xyz[3, 1], xyz[7] = np.nan, np.inf
    nowhere = FusedCloud(PointCloud(xyz, fused.cloud.rgb), fused.starts, fused.images)
    about = write_fused(tmp_path, nowhere, floor_model()[0], {})
    assert (about["format"], about["before"], about["strays"]) == (kind, 500, 2)
    if kind == "potree":
        assert about["count"] == 498 == read_octree(tmp_path)[0]["points"]


def test_a_model_without_points(tmp_path: Path) -> None:
    model = model_of(make_world(SPEC))
    images = {
        i: replace(image, point_ids=np.full_like(image.point_ids, -1))
        for i, image in model.images.items()
    }
    about = write_cloud(tmp_path, SparseModel(model.cameras, images, Points.none()), {})
    assert about["count"] == about["strays"] == 0 and about["note"] == ""


@pytest.mark.open3d
def test_strays_are_marked_and_normals_look_at_the_cameras(tmp_path: Path) -> None:
    model, strays = floor_model()
    about = write_cloud(tmp_path, model, {})
    assert about["note"] == ""
    header, buffers = unpack((tmp_path / "points.bin").read_bytes())
    flags = np.frombuffer(buffers["records"], RECORD)["flags"]
    assert about["strays"] == header["strays"] == flags.sum()
    assert strays.sum() - 2 <= about["strays"] < 0.05 * len(strays)
    up = np.array(about["up"])
    assert up @ (0.0, -1.0, 0.0) > 0.9999  # the floor's, where the cameras wobble
    _, details = unpack((tmp_path / "details.bin").read_bytes())
    normals = (np.frombuffer(details["normal"], np.uint8).reshape(-1, 3) - 127.0) / 127.0
    lengths = np.linalg.norm(normals, axis=1)
    np.testing.assert_array_equal(lengths == 0, flags == 1)
    flat = np.abs(normals[:, 1]) > 0.95
    assert flat.sum() > 1800 and (normals[flat, 1] < 0).mean() > 0.97  # seen from above


def test_a_cloud_that_takes_too_long_is_not_filtered_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbourhoods, "_MOST", 2000)
    xyz = np.random.default_rng(0).normal(size=(2500, 3))
    xyz[0] = 1e6
    found = look_around(xyz, np.full(xyz.shape, np.nan))
    assert found.note == "not filtered: above 2,000 points"
    assert found.strays.sum() == 1 and np.isnan(found.normals).all()  # what is far away is one


@pytest.mark.open3d
def test_neighbourhoods_find_each_stray_and_are_the_same_again() -> None:
    model, strays = floor_model()
    xyz = model.points.xyz_world
    found = look_around(xyz, np.full(xyz.shape, np.nan))
    again = look_around(xyz, np.full(xyz.shape, np.nan))
    assert found.strays[strays].mean() > 0.95 and found.strays[~strays].mean() < 0.04
    np.testing.assert_array_equal(found.normals, again.normals)
    assert found.floor is not None and again.floor is not None
    assert abs(found.floor @ again.floor) > 0.9999
    heap = np.random.default_rng(0).normal(size=(3000, 3))
    assert look_around(heap, np.zeros((3000, 3))).floor is None
