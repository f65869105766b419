"""Surfaces from depth maps of a ball on a floor, and of what is no such thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pipeline.dense.depth_views import MeshViews
from pipeline.dense.surface_making import Outcome, make_surfaces
from pipeline.dense_codecs import load_mesh, save_mesh
from pipeline.formats.colmap_fused import read_visibility
from pipeline.geometry.arrays import Float64s
from pipeline.item_store import DiskStore
from pipeline.mesh_config import MeshConfig
from pipeline.mesh_products import NoMesh, SurfaceMesh
from tests.dense.ball_world import FLOOR, BallMaps, ball_maps, off_surface

pytestmark = pytest.mark.open3d
QUICK = MeshConfig(method="tsdf", voxel_px=3.0, texture_triangles=2000)


def made(maps: BallMaps, config: MeshConfig = QUICK) -> Outcome | NoMesh:
    work = make_surfaces(MeshViews(maps), config)
    while True:
        try:
            next(work)
        except StopIteration as end:
            outcome: Outcome | NoMesh = end.value
            return outcome


def outcome_of(maps: BallMaps, **config: Any) -> Outcome:
    outcome = made(maps, QUICK.model_copy(update=config))
    assert isinstance(outcome, Outcome), outcome
    return outcome


def middles(product: SurfaceMesh) -> Float64s:
    mesh = product.mesh
    return np.asarray(mesh.xyz[mesh.faces].astype(np.float64).mean(axis=1))


@pytest.fixture(scope="module")
def whole() -> Outcome:
    return outcome_of(ball_maps(noise=0.002, holes=0.05))


@pytest.mark.parametrize("method", ["tsdf", "poisson"])
def test_the_surface_is_that_of_ball_and_floor(method: str) -> None:
    maps = ball_maps(noise=0.002, holes=0.05)
    product = outcome_of(maps, method=method, texture=False).product
    places = middles(product)
    off = off_surface(places)
    assert 0.0005 < off.mean() < 0.02 and np.quantile(off, 0.98) < 0.1
    assert np.abs(places[:, [0, 2]]).max() < 3.3  # nothing beyond a gap where no view saw anything
    assert product.textured is None
    mesh = product.mesh
    assert mesh.normals is not None and mesh.rgb is not None
    upper = (mesh.xyz[:, 1] < 0.5) & (np.linalg.norm(mesh.xyz, axis=1) < 1.1)
    assert upper.sum() > 500
    assert (np.sum(mesh.xyz * mesh.normals, axis=1)[upper] > 0.8).mean() > 0.97
    assert np.abs(np.median(mesh.rgb[upper], axis=0) - (200, 40, 40)).max() < 10


def test_it_is_the_same_again(whole: Outcome) -> None:
    again = outcome_of(ball_maps(noise=0.002, holes=0.05))
    for name in ("xyz", "faces", "rgb", "normals"):
        np.testing.assert_array_equal(
            getattr(whole.product.mesh, name), getattr(again.product.mesh, name)
        )
    assert whole.product.textured is not None and again.product.textured is not None
    np.testing.assert_array_equal(whole.product.textured.faces, again.product.textured.faces)
    assert whole.product.textured.texture is not None
    assert again.product.textured.texture is not None
    assert whole.product.textured.texture.image == again.product.textured.texture.image


def test_the_mesh_with_a_texture_is_simpler(whole: Outcome) -> None:
    textured = whole.product.textured
    assert textured is not None and textured.texture is not None
    assert 1000 < len(textured.faces) <= 2000 < len(whole.product.mesh.faces)
    places = textured.xyz[textured.faces].astype(np.float64).mean(axis=1)
    assert off_surface(places).mean() < 0.03
    assert whole.report["textured_triangles"] == len(textured.faces)


def test_what_one_map_alone_says_leaves_no_surface() -> None:
    maps = ball_maps()
    lie = maps.maps[0].depth.copy()
    lie[10:16, 10:16] = 2.0  # in front of everything
    maps.maps[0] = replace(maps.maps[0], depth=lie)
    outcome = outcome_of(maps, texture=False)
    assert np.quantile(off_surface(middles(outcome.product)), 0.999) < 0.3
    islands = outcome.report["triangles_of_islands"]
    assert isinstance(islands, int) and islands > 0


def test_holes_are_closed_and_counted(whole: Outcome) -> None:
    maps = ball_maps()
    for n, found in enumerate(maps.maps):
        depth = found.depth.copy()
        places = middles_of(maps, n)
        depth[np.linalg.norm(places - (0.0, -1.0, 0.0), axis=2) < 0.12] = 0.0
        maps.maps[n] = replace(found, depth=depth)
    closed, left = outcome_of(maps, texture=False), outcome_of(maps, texture=False, max_hole=0)
    assert closed.report["holes_closed"] != 0 and left.report["holes_closed"] == 0
    largest = closed.report["largest_hole"]
    assert isinstance(largest, float) and 0.1 < largest < 0.5
    near = [
        np.linalg.norm(middles(o.product) - (0.0, -1.0, 0.0), axis=1).min() for o in (closed, left)
    ]
    assert near[0] < near[1]


def test_a_surface_bridges_what_no_view_knows_but_not_what_one_sees_through() -> None:
    """Two strips of the floor are known to nobody; of one, a view knows what is behind."""
    maps = ball_maps()
    strips = {"unknown": (-2.4, -2.1), "open": (2.1, 2.4)}
    for n, found in enumerate(maps.maps):
        depth, places = found.depth.copy(), middles_of(maps, n)
        on_floor = np.abs(places[..., 1] - FLOOR) < 0.05
        for name, (low, high) in strips.items():
            within = on_floor & (places[..., 0] > low) & (places[..., 0] < high)
            depth[within] = 2.0 * depth[within] if name == "open" and n == 0 else 0.0
        maps.maps[n] = replace(found, depth=depth)

    def share_on(max_gap: float, name: str) -> float:
        """Of a strip, how many places have a triangle near."""
        outcome = outcome_of(maps, method="poisson", texture=False, max_gap=max_gap, max_hole=0)
        bridging = outcome.report["triangles_bridging"]
        assert isinstance(bridging, int) and (bridging > 0) == (max_gap > 0)
        x = np.linspace(*strips[name], 7)[1:-1]
        z = np.linspace(-1.5, 1.5, 31)
        wanted = np.stack([*np.meshgrid(x, [FLOOR], z, indexing="ij")], axis=-1).reshape(-1, 3)
        near = cKDTree(middles(outcome.product)).query(wanted)[0]
        return float((near < 0.06).mean())

    assert share_on(6.0, "unknown") > 0.9 > 0.2 > share_on(6.0, "open")
    assert share_on(0.0, "unknown") < 0.2


def middles_of(maps: BallMaps, n: int) -> Float64s:
    """(H, W, 3) of what each pixel of a view sees."""
    view, depth = maps.views[n], maps[n].depth
    fx, fy, cx, cy = view.camera.params
    y, x = np.mgrid[0 : view.camera.height, 0 : view.camera.width] + 0.5
    rays = np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], axis=2)
    in_camera = rays * depth[..., None] - view.cam_from_world.translation
    return np.asarray(in_camera @ view.cam_from_world.rotation)


def test_voxels_grow_where_memory_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = outcome_of(ball_maps(), texture=False).report["voxel"]
    monkeypatch.setattr("pipeline.dense.volumes._MOST_BLOCKS", 300)
    coarse = outcome_of(ball_maps(), texture=False).report["voxel"]
    assert isinstance(fine, float) and isinstance(coarse, float) and coarse > 1.4 * fine


def test_it_comes_back_from_the_run_directory(whole: Outcome, tmp_path: Path) -> None:
    save_mesh(whole.product, tmp_path)
    loaded = load_mesh(tmp_path, DiskStore(tmp_path))
    assert isinstance(loaded, SurfaceMesh)
    np.testing.assert_array_equal(loaded.mesh.xyz, whole.product.mesh.xyz)
    np.testing.assert_array_equal(loaded.mesh.faces, whole.product.mesh.faces)
    starts, images = read_visibility(tmp_path / "mesh/fused.ply.vis")
    np.testing.assert_array_equal(starts, whole.product.fused.starts)
    np.testing.assert_array_equal(images, whole.product.fused.images)
    files = {p.relative_to(tmp_path / "mesh").as_posix() for p in tmp_path.rglob("mesh/**/*")}
    assert files == {
        "fused.ply", "fused.ply.vis", "mesh.ply", "mesh.glb", "verdict.json", "textured",
        "textured/mesh.obj", "textured/mesh.mtl", "textured/texture.png",
    }  # fmt: skip


def test_nothing_is_made_of_maps_that_do_not_agree() -> None:
    maps = ball_maps()
    empty = [replace(found, depth=np.zeros_like(found.depth)) for found in maps.maps]
    none = made(BallMaps(maps.views, empty))
    assert isinstance(none, NoMesh) and none.reason.startswith("0 places are seen alike by")
    crumbs = made(maps, QUICK.model_copy(update={"min_island": 10**6}))
    assert isinstance(crumbs, NoMesh) and "no part of the surface" in crumbs.reason
