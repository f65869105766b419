"""OBJ meshes, read back by a small reader of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.obj import read_obj_counts, write_obj
from pipeline.formats.triangle_mesh import TriangleMesh
from tests.formats.obj_reading import obj_mesh
from tests.formats.test_glb import make_mesh, make_texture


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    st.integers(1, 40),
    st.integers(0, 60),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_round_trip(
    vertices: int, faces: int, colours: bool, normals: bool, textured: bool, seed: int
) -> None:
    plain = make_mesh(seed, vertices, faces)
    texture = make_texture(faces, seed) if textured else None
    mesh = TriangleMesh(
        plain.xyz,
        plain.faces,
        plain.rgb if colours else None,
        plain.normals if normals else None,
        texture,
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mesh.obj"
        write_obj(path, mesh)
        found = obj_mesh(path)
        assert read_obj_counts(path) == (vertices, faces)
        files = sorted(file.name for file in Path(name).iterdir())
        if texture is not None:
            assert files == ["mesh.mtl", "mesh.obj", "texture.png"]
            assert "map_Kd texture.png" in (Path(name) / "mesh.mtl").read_text()
            assert (Path(name) / "texture.png").read_bytes() == texture.image
            assert found["mtllib"] == ["mesh.mtl"]
        else:
            assert files == ["mesh.obj"]
    np.testing.assert_array_equal(found["v"][:, :3].astype(np.float32), mesh.xyz)
    if mesh.rgb is not None and texture is None:
        np.testing.assert_array_equal(np.round(found["v"][:, 3:] * 255), mesh.rgb)
    else:
        assert found["v"].shape[1] == 3
    if not faces:
        return
    corners = found["f"].reshape(faces, 3, -1)
    np.testing.assert_array_equal(corners[:, :, 0] - 1, mesh.faces)
    if texture is not None:
        uv = found["vt"][corners[:, :, 1] - 1] * (1, -1) + (0, 1)
        np.testing.assert_allclose(uv, texture.uv[texture.faces], atol=1e-7)
    if mesh.normals is not None:
        np.testing.assert_array_equal(corners[:, :, 2] - 1, mesh.faces)
        np.testing.assert_array_equal(found["vn"].astype(np.float32), mesh.normals)


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    mesh = TriangleMesh(np.full((3, 3), np.inf, np.float32), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="finite"):
        write_obj(tmp_path / "mesh.obj", mesh)
