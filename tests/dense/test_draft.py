"""The draft mesh of points on a ball and a floor; its degenerate twins; the stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.dense.draft import draft_mesh, spread_points, stray_points
from pipeline.dense.draft_stage import DraftMesh
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import Float64s
from pipeline.mesh_config import DraftConfig
from pipeline.mesh_products import NoMesh
from pipeline.products import ItemStore, Points, Reconstruction, SparseModel
from pipeline.stage import Stage
from tests.contracts.stage_contract import StageContract
from tests.dense.ball_world import ball_model, off_surface

STRAYS = 60


def made(model: SparseModel, **config: Any) -> TriangleMesh | NoMesh:
    work = draft_mesh(model, DraftConfig(**config))
    while True:
        try:
            next(work)
        except StopIteration as end:
            mesh: TriangleMesh | NoMesh = end.value.mesh
            return mesh


def mesh_of(model: SparseModel, **config: Any) -> TriangleMesh:
    mesh = made(model, **config)
    assert isinstance(mesh, TriangleMesh), mesh
    return mesh


def middles(mesh: TriangleMesh) -> Float64s:
    return np.asarray(mesh.xyz[mesh.faces].astype(np.float64).mean(axis=1))


def test_the_surface_is_where_it_was_and_strays_leave_nothing() -> None:
    mesh = mesh_of(ball_model(strays=STRAYS))
    off = off_surface(middles(mesh))
    assert 0.002 < np.mean(off) < 0.03 and np.quantile(off, 0.99) < 0.25
    assert 4000 < len(mesh.faces) < 8000
    assert mesh.xyz[:, 1].min() > -1.1  # no stray above the ball


def test_normals_look_at_the_cameras_and_colours_are_those_of_the_points() -> None:
    mesh = mesh_of(ball_model())
    assert mesh.normals is not None and mesh.rgb is not None
    radii = np.linalg.norm(mesh.xyz, axis=1)
    on_ball = (np.abs(radii - 1.0) < 0.02) & (mesh.xyz[:, 1] < 0.6)
    on_floor = (np.abs(mesh.xyz[:, 1] - 1.0) < 0.02) & (radii > 1.6) & (radii < 2.8)
    assert on_ball.sum() > 800 and on_floor.sum() > 700
    assert (np.sum(mesh.normals * mesh.xyz, axis=1)[on_ball] > 0.9).mean() > 0.95
    assert (mesh.normals[on_floor, 1] < -0.9).mean() > 0.95  # y is down
    assert (mesh.rgb[on_ball] == 200).all() and (mesh.rgb[on_floor] == 60).all()


def test_it_is_the_same_again() -> None:
    first, second = mesh_of(ball_model()), mesh_of(ball_model())
    np.testing.assert_array_equal(first.xyz, second.xyz)
    np.testing.assert_array_equal(first.faces, second.faces)


def test_fewer_points_are_spread_over_the_scene() -> None:
    model = ball_model()
    lengths = np.diff(model.points.track_starts)
    rows = spread_points(model.points.xyz_world, lengths, 700)
    assert 600 < len(rows) <= 700 == len(np.unique(rows)) + 700 - len(rows)
    assert lengths[rows].mean() > lengths.mean()
    assert 400 < len(mesh_of(model, max_points=400).faces) < 900


def test_strays_are_found_where_points_are_also_near_and_far() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.uniform(-1, 1, (2000, 3)), rng.uniform(-1, 1, (500, 3)) * 8 + (0, 0, 20)
    near[:, 2] *= 0.01
    far[:, 2] = 20.0
    alone = np.array([[0.0, 0.0, 8.0], [5.0, 5.0, 12.0], [np.nan, 0.0, 0.0], [1e12, 0.0, 0.0]])
    strays = stray_points(np.concatenate([near, far, alone]))
    assert strays[-4:].all() and strays[:-4].mean() < 0.02


def test_points_on_a_plane_are_a_surface() -> None:
    rng = np.random.default_rng(0)
    model = ball_model(points=1000)
    xyz = rng.uniform(-3, 3, model.points.xyz_world.shape) * (1.0, 0.0, 1.0)
    mesh = mesh_of(moved(model, xyz))
    np.testing.assert_allclose(mesh.xyz[:, 1], 0.0, atol=1e-9)
    assert mesh.normals is not None and (mesh.normals[:, 1] < -0.99).mean() > 0.98


def moved(model: SparseModel, xyz: Float64s) -> SparseModel:
    return replace(model, points=replace(model.points, xyz_world=xyz))


def test_there_is_none_of_what_has_no_surface() -> None:
    model = ball_model(points=200)
    xyz = model.points.xyz_world
    assert made(moved(model, np.full_like(xyz, np.nan))) == NoMesh(
        "0 points without strays, 50 needed"
    )
    line = made(moved(model, xyz * (1.0, 0.0, 0.0)))
    assert line == NoMesh("no surface lies between the points")
    empty = made(SparseModel(model.cameras, model.images, Points.none()))
    assert empty == NoMesh("0 points without strays, 50 needed")


class TestDraftStage(StageContract):
    def make_stage(self) -> Stage:
        return DraftMesh()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"reconstruction": Reconstruction((ball_model(points=600),), ())}

    def test_it_counts_what_it_made(self, control: Any) -> None:
        records, products = self.run(control)
        report = records[-1].to_json()["data"]
        assert report["triangles"] == len(products["draft"].faces) > 500
        assert report["used"] <= report["points"]


class TestDraftOfNothing(TestDraftStage):
    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"reconstruction": Reconstruction((), ())}

    def test_it_counts_what_it_made(self, control: Any) -> None:
        records, products = self.run(control)
        assert products["draft"] == NoMesh("mapping found no model")
        assert "mapping found no model" in records[-2].to_json()["message"]


def test_the_configuration_has_the_stage() -> None:
    assert RunConfig().draft == DraftConfig()
    with pytest.raises(ValueError, match="max_points"):
        DraftConfig(max_points=3)
