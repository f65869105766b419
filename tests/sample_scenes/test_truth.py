"""The true geometry of the scenes is written alone, and its depth maps and mesh agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.formats.ply import read_ply
from sample_scenes.render import main, scene_spec

ONLY, SCALE = ("2", "30"), 0.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("desk")
    main(["desk", "--truth-only", "--only", *ONLY, "--scale", str(SCALE), "--out", str(out)])
    return out


@pytest.mark.open3d
def test_truth_alone_is_depth_per_photograph_and_the_mesh(folder: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert names == ["truth/desk_002_depth_m.npy", "truth/desk_030_depth_m.npy", "truth/mesh.ply"]
    depth = np.load(folder / names[0])
    assert (depth.shape, depth.dtype) == ((160, 240), np.float32)
    assert 0.3 < depth[depth > 0].min() < 1.0 < np.median(depth) < 3.0
    mesh = read_ply(folder / names[2])
    assert mesh.rgb is None
    assert len(mesh.xyz) == sum(len(part.vertices) for part in scene_spec("desk").parts())


@pytest.mark.open3d
def test_vertices_of_the_mesh_lie_on_the_depth_maps_or_behind_them(folder: Path) -> None:
    """Vertices that project near a pixel's centre are as deep as it, or hidden behind it."""
    points = read_ply(folder / "truth/mesh.ply").xyz.astype(np.float64)
    for number in ONLY:
        view = scene_spec("desk").views()[int(number) - 1].scaled(SCALE)
        truth: NDArray[np.float32] = np.load(folder / f"truth/desk_{int(number):03d}_depth_m.npy")
        pixels, depth = view.camera.project(points)
        size = (view.camera.width, view.camera.height)
        inside = (depth > 0.1) & ((pixels >= 0) & (pixels < size)).all(axis=1)
        at = np.floor(pixels[inside]).astype(int)
        near_centre = np.linalg.norm(pixels[inside] - at - 0.5, axis=1) < 0.07
        column, row = at[near_centre].T
        beyond = depth[inside][near_centre] / truth[row, column] - 1.0
        seen = np.abs(beyond) < 0.01
        assert 0.3 < seen.mean() < 0.95
        assert 1e-6 < np.median(np.abs(beyond[seen])) < 1e-3
        assert np.mean(beyond < -0.01) < 0.1  # edges of things: the ray passes just beside
