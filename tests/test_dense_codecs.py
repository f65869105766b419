"""The dense products come back from the run directory as they were, or are known to be lost."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.array_files import DamagedFile
from pipeline.dense_codecs import (
    StoredDepthMaps,
    load_depth,
    load_draft,
    load_fused,
    load_mesh,
    save_depth,
    save_draft,
    save_mesh,
)
from pipeline.dense_products import DepthMap, DepthView, NoDepth
from pipeline.errors import PipelineError
from pipeline.formats.colmap_dense import read_map, write_map
from pipeline.formats.ply import PointCloud, write_ply
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.item_store import DiskStore
from pipeline.manifest import Ingredients, StageEntry
from pipeline.mesh_products import NoMesh, SurfaceMesh
from pipeline.products import SparseModel
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.dense.fused_run import fused_cloud, give_fused
from tests.formats.test_glb import make_mesh, make_texture

SIZES = {"b/one.png": (8, 6), "a two.jpg": (10, 4), "ü d.webp": (6, 6), "c.TIFF": (7, 3)}


@dataclass
class MapsInMemory:
    """Depth maps that have not been saved."""

    views: Sequence[DepthView]
    maps: Sequence[DepthMap]
    model: SparseModel | None = None

    def __getitem__(self, n: int) -> DepthMap:
        return self.maps[n]


def some_maps() -> MapsInMemory:
    rng = np.random.default_rng(3)
    views, maps = [], []
    for n, (name, (width, height)) in enumerate(SIZES.items()):
        params = np.array([90.0 + n, 91.0, width / 2, height / 2 + 0.25])
        pose = Pose(rotation_from_rotvec(np.array([0.1 * n, -0.2, 0.3])), rng.normal(size=3))
        views.append(DepthView(name, Camera("PINHOLE", width, height, params), pose))
        depth = rng.uniform(1, 9, (height, width)).astype(np.float32)
        depth[0] = 0.0
        normals = rng.normal(size=(height, width, 3)).astype(np.float32)
        rgb = np.full((height, width, 3), (40 * n, 90, 200), np.uint8)
        maps.append(DepthMap(depth, normals, rng.random(depth.shape, np.float32), rgb))
    return MapsInMemory(views, maps)


def test_depth_maps_come_back_as_they_were(tmp_path: Path) -> None:
    saved = some_maps()
    save_depth(saved, tmp_path)
    loaded = load_depth(tmp_path, DiskStore(tmp_path))
    assert isinstance(loaded, StoredDepthMaps)
    assert [view.name for view in loaded.views] == list(SIZES)
    for n, (before, after) in enumerate(zip(saved.views, loaded.views, strict=True)):
        assert (after.camera.model, after.camera.width) == ("PINHOLE", before.camera.width)
        np.testing.assert_array_equal(after.camera.params, before.camera.params)
        for part in ("rotation", "translation"):
            np.testing.assert_allclose(
                getattr(after.cam_from_world, part), getattr(before.cam_from_world, part),
                atol=1e-14,
            )  # fmt: skip
        for part in ("depth", "normals", "confidence"):
            np.testing.assert_array_equal(getattr(loaded[n], part), getattr(saved[n], part))
        error = np.abs(loaded[n].rgb.astype(int) - saved[n].rgb)
        assert error.max() <= (3 if before.name.endswith(("jpg", "webp")) else 0)


def test_the_reason_for_no_depth_takes_the_place_of_the_maps(tmp_path: Path) -> None:
    save_depth(some_maps(), tmp_path)
    save_depth(NoDepth("2 photographs, 3 needed"), tmp_path)
    assert load_depth(tmp_path, DiskStore(tmp_path)) == NoDepth("2 photographs, 3 needed")
    assert [path.name for path in (tmp_path / "depth").iterdir()] == ["verdict.json"]


@pytest.mark.parametrize("file", ["stereo/normal_maps/a two.jpg.geometric.bin", "images/b/one.png"])
def test_a_missing_file_is_told_at_once(tmp_path: Path, file: str) -> None:
    save_depth(some_maps(), tmp_path)
    (tmp_path / "depth" / file).unlink()
    with pytest.raises(DamagedFile, match=Path(file).name):
        load_depth(tmp_path, DiskStore(tmp_path))


@pytest.mark.parametrize("kind", ["depth_maps", "normal_maps", "confidence_maps"])
@pytest.mark.parametrize("length", [0, 3, 40, -1])
def test_a_map_that_was_cut_off_is_told_at_once(tmp_path: Path, kind: str, length: int) -> None:
    save_depth(some_maps(), tmp_path)
    path = tmp_path / f"depth/stereo/{kind}/b/one.png.geometric.bin"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedFile, match=r"one\.png\.geometric\.bin is not whole"):
        load_depth(tmp_path, DiskStore(tmp_path))


@pytest.mark.parametrize("file", ["images/a two.jpg", "sparse/images.bin", "stereo/fusion.cfg"])
def test_what_else_the_workspace_has_is_missed_when_it_is_cut_off(
    tmp_path: Path, file: str
) -> None:
    save_depth(some_maps(), tmp_path)
    cut_off(tmp_path / "depth" / file)
    with pytest.raises(DamagedFile, match=rf"{Path(file).name} is not whole"):
        load_depth(tmp_path, DiskStore(tmp_path))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def forget_sizes(folder: Path) -> None:
    """Make the verdict one of those that were written before sizes were recorded."""
    verdict = json.loads((folder / "verdict.json").read_text())
    del verdict["sizes"]
    (folder / "verdict.json").write_text(json.dumps(verdict))


def save_meshes(root: Path) -> None:
    mesh = make_mesh()
    save_draft(mesh, root)
    save_mesh(
        SurfaceMesh(fused_cloud(), mesh, replace(mesh, texture=make_texture(len(mesh.faces)))), root
    )


def load_meshes(root: Path) -> None:
    store = DiskStore(root)
    draft, mesh = load_draft(root, store), load_mesh(root, store)
    assert not isinstance(draft, NoMesh) and not isinstance(mesh, NoMesh)
    assert len(draft.faces) == len(mesh.mesh.faces) == 20 and len(mesh.fused.starts) == 501


@pytest.mark.parametrize(
    "file",
    [
        "draft/mesh.ply", "draft/mesh.glb", "mesh/mesh.ply", "mesh/mesh.glb", "mesh/fused.ply",
        "mesh/fused.ply.vis", "mesh/textured/mesh.obj", "mesh/textured/mesh.mtl",
        "mesh/textured/texture.png",
    ],
)  # fmt: skip
def test_a_mesh_is_lost_with_each_of_its_files(tmp_path: Path, file: str) -> None:
    save_meshes(tmp_path)
    load_meshes(tmp_path)
    cut_off(tmp_path / file)
    with pytest.raises(DamagedFile, match=rf"{re.escape(file)} is not whole: it has \d+ bytes of"):
        load_meshes(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(DamagedFile, match=rf"{re.escape(file)} is missing"):
        load_meshes(tmp_path)


def test_products_whose_sizes_nobody_has_recorded_are_loaded(tmp_path: Path) -> None:
    save_meshes(tmp_path)
    save_depth(some_maps(), tmp_path)
    for product in ("draft", "mesh", "depth"):
        forget_sizes(tmp_path / product)
    load_meshes(tmp_path)
    assert isinstance(load_depth(tmp_path, DiskStore(tmp_path)), StoredDepthMaps)
    (tmp_path / "draft/mesh.glb").unlink()
    with pytest.raises(DamagedFile, match=r"mesh\.glb is missing"):
        load_meshes(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"made": true, "reason": null, "sizes": 3}'])
def test_a_damaged_verdict_is_told(tmp_path: Path, text: str) -> None:
    save_draft(NoMesh("3 points, 50 needed"), tmp_path)
    assert load_draft(tmp_path, DiskStore(tmp_path)) == NoMesh("3 points, 50 needed")
    (tmp_path / "draft/verdict.json").write_text(text)
    with pytest.raises(DamagedFile, match=r"verdict\.json"):
        load_draft(tmp_path, DiskStore(tmp_path))


def test_a_damaged_file_is_told_when_it_is_read(tmp_path: Path) -> None:
    save_depth(some_maps(), tmp_path)
    loaded = load_depth(tmp_path, DiskStore(tmp_path))
    assert isinstance(loaded, StoredDepthMaps)
    path = tmp_path / "depth/stereo/depth_maps/b/one.png.geometric.bin"
    write_map(path, read_map(path)[:3])
    with pytest.raises(PipelineError, match=r"one\.png\.geometric\.bin is \(3, 8\)"):
        loaded[0]
    (tmp_path / "depth/images/a two.jpg").write_bytes(b"JFIF")
    with pytest.raises(PipelineError, match=r"a two\.jpg is no picture") as caught:
        loaded[1]
    assert "`barfield retry RUN --from depth`" in caught.value.hint


def give_fused_files(root: Path) -> Path:
    """Write a fused cloud of 500 points; its folder."""
    with RunDirectory(root, VERSION) as directory:
        directory.record(StageEntry(Ingredients("mapping", 1, {}, {}, {}), 1.0, {}))
        give_fused(directory, fused_cloud())
    return root / "mesh"


def test_a_fused_cloud_comes_back_as_it_was(tmp_path: Path) -> None:
    give_fused_files(tmp_path)
    saved, loaded = fused_cloud(), load_fused(tmp_path)
    np.testing.assert_array_equal(loaded.cloud.xyz, saved.cloud.xyz)
    np.testing.assert_array_equal(loaded.starts, saved.starts)
    np.testing.assert_array_equal(loaded.images, saved.images)


@pytest.mark.parametrize("file", ["fused.ply", "fused.ply.vis"])
@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_fused_cloud_that_was_cut_off_is_told(tmp_path: Path, file: str, length: int) -> None:
    path = give_fused_files(tmp_path) / file
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PipelineError, match=re.escape(file)):
        load_fused(tmp_path)
    path.unlink()
    with pytest.raises(PipelineError, match="does not exist"):
        load_fused(tmp_path)


def test_a_fused_cloud_of_other_points_or_without_colours_is_told(tmp_path: Path) -> None:
    path = give_fused_files(tmp_path) / "fused.ply"
    write_ply(path, PointCloud(fused_cloud().cloud.xyz))
    with pytest.raises(PipelineError, match="no colours"):
        load_fused(tmp_path)
    write_ply(path, fused_cloud(40).cloud)
    with pytest.raises(PipelineError, match=r"vis: of 500 points, but there are 40"):
        load_fused(tmp_path)


def test_colmap_opens_the_workspace(tmp_path: Path) -> None:
    import pycolmap

    saved = some_maps()
    names = [view for view in saved.views if view.name.isascii()]
    maps = [found for view, found in zip(saved.views, saved.maps, strict=True) if view in names]
    save_depth(replace(saved, views=names, maps=maps), tmp_path)
    fused = pycolmap.stereo_fusion(tmp_path, tmp_path / "depth")
    assert len(fused.images) == 3
