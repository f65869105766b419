"""PLY point clouds: round trips, other writers' layouts, and damaged files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.ply import PointCloud, read_ply, write_ply


def make_cloud(n: int, coloured: bool, oriented: bool, seed: int = 0) -> PointCloud:
    rng = np.random.default_rng(seed)
    return PointCloud(
        rng.normal(size=(n, 3)).astype(np.float32),
        rng.integers(0, 256, (n, 3), dtype=np.uint8) if coloured else None,
        rng.normal(size=(n, 3)).astype(np.float32) if oriented else None,
    )


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 50), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_round_trip(n: int, coloured: bool, oriented: bool, seed: int) -> None:
    cloud = make_cloud(n, coloured, oriented, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.ply"
        write_ply(path, cloud)
        found = read_ply(path)
    for ours, theirs in (
        (cloud.xyz, found.xyz),
        (cloud.rgb, found.rgb),
        (cloud.normals, found.normals),
    ):
        if ours is None or theirs is None:
            assert ours is None and theirs is None
        else:
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype


def test_layout_of_the_file(tmp_path: Path) -> None:
    write_ply(tmp_path / "points.ply", make_cloud(3, coloured=True, oriented=True))
    header, _, body = (tmp_path / "points.ply").read_bytes().partition(b"end_header\n")
    assert header.decode().splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "element vertex 3",
        *[f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")],
        *[f"property uchar {name}" for name in ("red", "green", "blue")],
    ]
    assert len(body) == 3 * (6 * 4 + 3)


def test_other_properties_and_elements_are_passed_by(tmp_path: Path) -> None:
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment made elsewhere\nelement vertex 2\n"
        "property double x\nproperty double y\nproperty double z\nproperty float quality\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty uchar alpha\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    layout = np.dtype([("xyz", "<f8", 3), ("quality", "<f4"), ("rgba", "u1", 4)])
    vertices = np.zeros(2, layout)
    vertices["xyz"] = [[1, 2, 3], [4, 5, 6]]
    vertices["rgba"] = [[9, 8, 7, 255], [6, 5, 4, 255]]
    path = tmp_path / "mesh.ply"
    path.write_bytes(header.encode() + vertices.tobytes() + b"\x03" + bytes(12))
    cloud = read_ply(path)
    np.testing.assert_array_equal(cloud.xyz, [[1, 2, 3], [4, 5, 6]])
    assert cloud.rgb is not None and cloud.rgb.tolist() == [[9, 8, 7], [6, 5, 4]]
    assert cloud.normals is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("plx\nend_header\n", "not a PLY"),
        ("ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "format ascii"),
        ("ply\nformat binary_little_endian 1.0\nelement face 2\nend_header\n", "first element"),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\n"
            "property float y\nproperty float z\nend_header\n",
            "9 vertices announced",
        ),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty float x\n"
            "end_header\n",
            "no x, y, z",
        ),
        ("ply\nformat binary_little_endian 1.0\nelement vertex 9\nend_header\n", "no x, y, z"),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 0\n"
            "property list uchar int x\nend_header\n",
            "not understood",
        ),
        (
            "ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty float x\n"
            "property float x\nend_header\n",
            "header",
        ),
    ],
)
def test_other_files_are_refused(header: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "points.ply"
    path.write_text(header)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_ply(path)
    assert str(path) in caught.value.message


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        PointCloud(np.zeros((4, 3), np.float32), np.zeros((3, 3), np.uint8))
