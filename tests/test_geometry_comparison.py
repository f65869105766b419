"""A run's depth maps and meshes beside a reference on disk: what is found, aligned and refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.dense_codecs import save_depth
from pipeline.dense_products import DepthMap, DepthView, NoDepth
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import write_model
from pipeline.formats.ply import PointCloud, write_ply
from pipeline.formats.ply_mesh import write_ply_mesh
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.geometry_comparison import (
    SurfaceErrors,
    cameras_of,
    compare_surfaces,
    read_surface,
    read_true_depth,
)
from pipeline.products import Points, RegisteredImage, SparseModel
from tests.geometry.test_surfaces import grid

PHOTOGRAPH = Camera("SIMPLE_RADIAL", 120, 80, np.array([100.0, 60.0, 40.0, -0.05]))
MAP = Camera("PINHOLE", 60, 40, np.array([50.0, 50.0, 30.0, 20.0]))
WALL = 4.0
MOVE = Similarity(0.4, rotation_from_rotvec(np.array([1.0, 0.4, -0.2])), np.array([3.0, 1.0, -2.0]))
CENTERS = [(-0.8, 0.0, 0.0), (0.9, 0.1, 0.0), (0.0, -0.9, 0.2), (0.1, 0.8, -0.2)]
TRUE = {f"{i}.jpg": Pose(np.eye(3), -np.array(center)) for i, center in enumerate(CENTERS)}
ALL = ("mapping", "draft", "depth", "mesh")
DEPTH, MESH = ("mapping", "depth"), ("mapping", "depth", "mesh")


@dataclass
class Maps:
    views: Sequence[DepthView]
    maps: Sequence[DepthMap]
    model: SparseModel | None = None

    def __getitem__(self, n: int) -> DepthMap:
        return self.maps[n]


def depth_maps(factor: float = 1.0) -> Maps:
    """Maps of a wall in the run's world, all their depths wrong by a factor."""
    views, maps = [], []
    size = (MAP.height, MAP.width)
    for name, pose in TRUE.items():
        deep = (WALL - pose.center[2]) * MOVE.scale * factor
        blank = np.zeros((*size, 3), np.float32)
        depth = np.full(size, deep, np.float32)
        rgb = blank.astype(np.uint8)
        views.append(DepthView(name, MAP, MOVE.apply_to_pose(pose)))
        maps.append(DepthMap(depth, blank, np.ones(size, np.float32), rgb))
    return Maps(views, maps)


def wall(depth: float = WALL) -> TriangleMesh:
    vertices, faces = grid(20, 1.0)
    corner = np.array([-0.5, -0.5, depth])
    return TriangleMesh((vertices + corner).astype(np.float32), faces)


def write_run(run: Path, factor: float = 1.0, draft: float = WALL, mesh: float = WALL) -> None:
    images = {
        i + 1: RegisteredImage(name, 1, MOVE.apply_to_pose(p), np.zeros((0, 2)), np.zeros(0, int))
        for i, (name, p) in enumerate(TRUE.items())
    }
    write_model(SparseModel({1: PHOTOGRAPH}, images, Points.none()), run / "sparse/0")
    save_depth(depth_maps(factor), run)
    for stage, depth in (("draft", draft), ("mesh", mesh)):
        (run / stage).mkdir()
        true = wall(depth)
        xyz = MOVE.apply(true.xyz.astype(np.float64)).astype(np.float32)
        write_ply_mesh(run / stage / "mesh.ply", TriangleMesh(xyz, true.faces))


def write_reference(folder: Path) -> None:
    """Cameras without photographs, and `truth/`."""
    (folder / "truth").mkdir(parents=True)
    entries = {}
    for name, pose in TRUE.items():
        k = PHOTOGRAPH.calibration_matrix.tolist()
        entries[name] = {"K": k, "R_c2w": np.eye(3).tolist(), "center": pose.center.tolist()}
        depth = np.full((80, 120), WALL - pose.center[2], np.float32)
        np.save(folder / "truth" / f"{Path(name).stem}_depth_m.npy", depth)
    (folder / "ground_truth.json").write_text(json.dumps(entries))
    write_ply_mesh(folder / "truth/mesh.ply", wall())


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    write_reference(tmp_path / "scene")
    return tmp_path / "scene"


def compared(run: Path, reference: Path, made: Sequence[str] = ALL) -> SurfaceErrors:
    return compare_surfaces(run, run / "sparse/0", reference, sorted(TRUE), made)


def test_depth_mesh_and_draft_are_compared_in_the_true_frame(
    tmp_path: Path, reference: Path
) -> None:
    run = tmp_path / "run"
    write_run(run, factor=1.003, draft=WALL - 0.05, mesh=WALL - 0.002)
    found = compared(run, reference)
    assert found.depth is not None and found.mesh is not None and found.draft is not None
    assert (found.depth.photographs, found.depth.of) == (4, 4)
    assert found.depth.median_relative == pytest.approx(0.003, rel=0.01)
    assert (found.depth.within_1_percent, found.depth.missing) == (1.0, 0.0)
    assert found.mesh.mean_distance == pytest.approx(0.002, rel=0.02)
    assert found.draft.mean_distance == pytest.approx(0.05, rel=0.02)
    assert found.mesh.within_1_percent is not None and found.mesh.within_1_percent > 0.99
    assert found.draft.within_1_percent == 0.0


def test_only_what_both_have_and_what_is_current_is_compared(
    tmp_path: Path, reference: Path
) -> None:
    run = tmp_path / "run"
    write_run(run)
    some = compared(run, reference, DEPTH)
    assert some.depth is not None and some.mesh is None and some.draft is None
    (reference / "truth/mesh.ply").unlink()
    assert compared(run, reference).mesh is None
    for path in (reference / "truth").iterdir():
        path.unlink()
    assert compared(run, reference) == SurfaceErrors()


def test_a_run_without_depth_says_why(tmp_path: Path, reference: Path) -> None:
    run = tmp_path / "run"
    write_run(run)
    save_depth(NoDepth("too few photographs"), run)
    found = compared(run, reference, MESH)
    assert found.depth is not None and "too few photographs" in found.depth.reason
    assert found.mesh is not None and not found.mesh.reason


def test_a_single_ply_is_a_reference_with_the_cameras_beside_it(
    tmp_path: Path, reference: Path
) -> None:
    """A mesh in a folder below the cameras, and a cloud beside them, where there is no depth."""
    run = tmp_path / "run"
    write_run(run, mesh=WALL + 0.004)
    assert cameras_of(reference / "truth/mesh.ply") == reference
    found = compared(run, reference / "truth/mesh.ply", MESH)
    assert found.depth is None and found.mesh is not None
    assert found.mesh.mean_distance == pytest.approx(0.004, rel=0.02)

    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-0.5, 0.5, (9_000, 2)), np.full(9_000, WALL)])
    write_ply(reference / "scan.PLY", PointCloud(xyz.astype(np.float32)))
    cloud = compared(run, reference / "scan.PLY", MESH).mesh
    assert cloud is not None and cloud.mean_distance is not None
    assert 0.004 < cloud.mean_distance < 0.02


def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, reference: Path) -> None:
    run = tmp_path / "run"
    write_run(run)
    alone = tmp_path / "far/away/mesh.ply"
    alone.parent.mkdir(parents=True)
    write_ply_mesh(alone, wall())
    with pytest.raises(PipelineError, match="in no folder with known cameras"):
        cameras_of(alone)
    with pytest.raises(PipelineError, match=r"scan\.ply does not exist"):
        cameras_of(reference / "scan.ply")

    np.save(reference / "truth/1_depth_m.npy", np.zeros((3, 4, 5)))
    with pytest.raises(PipelineError, match=r"1_depth_m.npy: a depth map \(H, W\) is needed"):
        compared(run, reference, DEPTH)
    (reference / "truth/1_depth_m.npy").write_bytes(b"not numpy")
    with pytest.raises(PipelineError, match="no array of numpy"):
        compared(run, reference, DEPTH)
    (reference / "truth/1_depth_m.npy").unlink()
    some = compared(run, reference, DEPTH).depth
    assert some is not None and (some.photographs, some.of) == (3, 4)

    write_ply(reference / "truth/mesh.ply", PointCloud(np.full((3, 3), np.nan, np.float32)))
    with pytest.raises(PipelineError, match="not finite"):
        read_surface(reference / "truth/mesh.ply")
    write_ply(reference / "truth/mesh.ply", PointCloud(np.zeros((0, 3), np.float32)))
    with pytest.raises(PipelineError, match="no vertices"):
        compared(run, reference)

    (run / "depth/images/2.jpg").unlink()
    with pytest.raises(PipelineError, match=r"2\.jpg is missing"):
        compared(run, reference)


def test_true_depth_that_is_not_finite_is_sky(reference: Path) -> None:
    depth = np.full((80, 120), np.inf)
    depth[0, 0] = 3.0
    np.save(reference / "truth/0_depth_m.npy", depth)
    found = read_true_depth(reference).depth("some/0.png")
    assert found is not None and found.dtype == np.float32
    assert found[0, 0] == 3.0 and not found.ravel()[1:].any()
