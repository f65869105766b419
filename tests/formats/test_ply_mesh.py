"""Triangle meshes as PLY: round trips, other writers' layouts, and damaged files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.ply import read_ply
from pipeline.formats.ply_mesh import read_ply_mesh, write_ply_mesh
from pipeline.formats.triangle_mesh import TriangleMesh
from tests.formats.test_glb import make_mesh


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(0, 60), st.booleans(), st.integers(0, 1000))
def test_round_trip(vertices: int, faces: int, coloured: bool, seed: int) -> None:
    plain = make_mesh(seed, vertices, faces)
    mesh = plain if coloured else TriangleMesh(plain.xyz, plain.faces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.ply"
        write_ply_mesh(path, mesh)
        found, cloud = read_ply_mesh(path), read_ply(path)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    for ours, theirs in (
        (mesh.xyz, found.xyz), (mesh.rgb, found.rgb), (mesh.normals, found.normals),
        (mesh.xyz, cloud.xyz),
    ):  # fmt: skip
        if ours is None or theirs is None:
            assert ours is None and theirs is None
        else:
            np.testing.assert_array_equal(theirs, ours)


def as_open3d_writes(corners: bytes = b"\x03", announced: int = 1) -> bytes:
    """Doubles, a comment, and unsigned indices."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment Created by Open3D\nelement vertex 3\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {announced}\nproperty list uchar uint vertex_indices\nend_header\n"
    )
    vertices = np.arange(9, dtype="<f8").tobytes()
    return header.encode() + vertices + corners + np.array([2, 0, 1], "<u4").tobytes()


def test_open3d_and_its_doubles(tmp_path: Path) -> None:
    (tmp_path / "mesh.ply").write_bytes(as_open3d_writes())
    found = read_ply_mesh(tmp_path / "mesh.ply")
    assert found.faces.tolist() == [[2, 0, 1]] and found.xyz[2].tolist() == [6.0, 7.0, 8.0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (as_open3d_writes(corners=b"\x04"), "not all triangles"),
        (as_open3d_writes(announced=90), "ends before"),
        (as_open3d_writes()[:-1], "not all triangles|from .* to|ends before"),
        (as_open3d_writes().replace(b"list uchar uint", b"list uchar half"), "not lists"),
        (as_open3d_writes().replace(b"element face", b"element edge"), "and nothing else"),
        (as_open3d_writes()[:-4] + b"\x09\0\0\0", "from 0 to 9, of 3"),
        (b"ply\n", "not a PLY"),
    ],
)
def test_damaged_files_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_ply_mesh(path)
    assert str(path) in caught.value.message
