"""GLB files of points and meshes: read back by an independent reader, and seen by their cameras."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.glb import GlbCamera, read_glb_counts, write_glb
from pipeline.formats.ply import PointCloud
from pipeline.formats.triangle_mesh import Texture, TriangleMesh
from pipeline.geometry.cameras import Camera
from tests.formats.glb_reading import Glb, read_glb
from tests.formats.models import make_poses

UNTURN = np.diag([1.0, -1.0, -1.0])


def make_mesh(seed: int = 0, vertices: int = 12, faces: int = 20) -> TriangleMesh:
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(vertices, 3))
    return TriangleMesh(
        rng.normal(size=(vertices, 3)).astype(np.float32),
        rng.integers(0, vertices, (faces, 3)),
        rng.integers(0, 256, (vertices, 3), dtype=np.uint8),
        (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
    )


def make_texture(faces: int, seed: int = 0, places: int = 15) -> Texture:
    rng = np.random.default_rng(seed)
    picture = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(picture, "PNG")
    return Texture(
        picture.getvalue(),
        rng.random((places, 2)).astype(np.float32),
        rng.integers(0, places, (faces, 3)),
    )


def written(geometry: PointCloud | TriangleMesh, cameras: tuple[GlbCamera, ...] = ()) -> Glb:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.glb"
        write_glb(path, geometry, cameras)
        return read_glb(path)


def srgb_from_linear(value: np.ndarray) -> np.ndarray:
    curve = 1.055 * value ** (1 / 2.4) - 0.055
    return np.asarray(np.round(255.0 * np.where(value <= 0.0031308, 12.92 * value, curve)))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 60), st.booleans(), st.integers(0, 1000))
def test_points_round_trip(n: int, coloured: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cloud = PointCloud(
        rng.normal(size=(n, 3)).astype(np.float32),
        rng.integers(0, 256, (n, 3), dtype=np.uint8) if coloured else None,
    )
    glb = written(cloud)
    assert glb.primitive["mode"] == 0
    positions = glb.attribute("POSITION")
    np.testing.assert_array_equal(positions @ UNTURN, cloud.xyz)
    bounds = glb.content["accessors"][glb.primitive["attributes"]["POSITION"]]
    np.testing.assert_array_equal(bounds["min"], positions.min(axis=0))
    np.testing.assert_array_equal(bounds["max"], positions.max(axis=0))
    assert ("COLOR_0" in glb.primitive["attributes"]) is coloured
    if cloud.rgb is not None:
        rgba = glb.attribute("COLOR_0")
        np.testing.assert_array_equal(srgb_from_linear(rgba[:, :3]), cloud.rgb)
        assert (rgba[:, 3] == 1.0).all()


def test_every_dark_tone_survives() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    glb = written(PointCloud(np.zeros((256, 3), np.float32), grey))
    np.testing.assert_array_equal(srgb_from_linear(glb.attribute("COLOR_0")[:, :3]), grey)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 60), st.booleans(), st.integers(0, 1000))
def test_meshes_round_trip(vertices: int, faces: int, textured: bool, seed: int) -> None:
    plain = make_mesh(seed, vertices, faces)
    texture = make_texture(faces, seed) if textured else None
    mesh = TriangleMesh(plain.xyz, plain.faces, plain.rgb, plain.normals, texture)
    glb = written(mesh)
    assert glb.primitive["mode"] == 4
    corners = glb.accessor(glb.primitive["indices"]).ravel()
    np.testing.assert_array_equal(
        glb.attribute("POSITION")[corners] @ UNTURN, mesh.xyz[mesh.faces.ravel()]
    )
    assert mesh.normals is not None and mesh.rgb is not None
    np.testing.assert_array_equal(
        glb.attribute("NORMAL")[corners] @ UNTURN, mesh.normals[mesh.faces.ravel()]
    )
    if texture is None:
        np.testing.assert_array_equal(
            srgb_from_linear(glb.attribute("COLOR_0")[corners, :3]), mesh.rgb[mesh.faces.ravel()]
        )
        return
    assert "COLOR_0" not in glb.primitive["attributes"], "glTF would multiply them"
    np.testing.assert_array_equal(
        glb.attribute("TEXCOORD_0")[corners], texture.uv[texture.faces.ravel()]
    )
    (material,) = glb.content["materials"]
    number = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    image = glb.content["images"][glb.content["textures"][number]["source"]]
    assert glb.view(image["bufferView"]) == texture.image and image["mimeType"] == "image/png"


def test_a_face_keeps_its_outer_side() -> None:
    """The turn of the world mirrors nothing: a normal by the winding turns with it."""
    xyz = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1]], np.float32)
    glb = written(TriangleMesh(xyz, np.array([[0, 1, 2]])))
    a, b, c = glb.attribute("POSITION") @ UNTURN
    np.testing.assert_array_equal(np.cross(b - a, c - a), [0, 0, 1])


def test_cameras_see_the_points_where_ours_do() -> None:
    """A camera node with its extras projects as the model; its perspective has our field of
    view."""
    rng = np.random.default_rng(4)
    xyz = np.column_stack([rng.uniform(-1, 1, (30, 2)), rng.uniform(4, 7, 30)]).astype(np.float32)
    camera = Camera("PINHOLE", 800, 600, np.array([700.0, 705.0, 400.0, 300.0]))
    cameras = tuple(
        GlbCamera(f"föto {i}.jpg", camera, pose) for i, pose in enumerate(make_poses(3, rng))
    )
    glb = written(PointCloud(xyz), cameras)
    nodes = [node for node in glb.content["nodes"] if "camera" in node]
    assert [node["name"] for node in nodes] == ["föto 0.jpg", "föto 1.jpg", "föto 2.jpg"]
    homogeneous = np.column_stack([glb.attribute("POSITION"), np.ones(30)]).astype(float)
    for node, ours in zip(nodes, cameras, strict=True):
        world_from_node = np.reshape(node["matrix"], (4, 4)).T
        x, y, z = (homogeneous @ np.linalg.inv(world_from_node).T)[:, :3].T
        lens = glb.content["cameras"][node["camera"]]["perspective"]
        focal = 1 / np.tan(lens["yfov"] / 2)  # glTF 2.0, 3.10.3.3
        u = (1 + focal / lens["aspectRatio"] * x / -z) / 2 * 800
        v = (1 - focal * y / -z) / 2 * 600
        expected = camera.project(ours.cam_from_world.apply(xyz.astype(np.float64)))
        assert np.abs(np.column_stack([u, v]) - expected).max() < 1e-6
        assert node["extras"]["params"] == camera.params.tolist()


@pytest.mark.parametrize(
    "geometry",
    [
        PointCloud(np.zeros((0, 3), np.float32)),
        PointCloud(np.full((1, 3), np.nan, np.float32)),
        TriangleMesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int64)),
    ],
)
def test_what_gltf_cannot_hold_is_refused(
    tmp_path: Path, geometry: PointCloud | TriangleMesh
) -> None:
    with pytest.raises(ValueError, match="at least one point or triangle"):
        write_glb(tmp_path / "scene.glb", geometry)


@pytest.mark.parametrize("textured", [False, True])
def test_vertices_and_triangles_are_counted(tmp_path: Path, textured: bool) -> None:
    mesh = make_mesh(faces=9)
    if textured:
        mesh = TriangleMesh(mesh.xyz, mesh.faces, texture=make_texture(9))
    path = tmp_path / "scene.glb"
    write_glb(path, mesh)
    assert read_glb_counts(path) == (len(read_glb(path).attribute("POSITION")), 9)
    whole = path.read_bytes()
    for content in (b"", whole[:19], whole[:-1], b"OBJ" + whole[3:]):
        path.write_bytes(content)
        with pytest.raises(PipelineError, match=r"scene\.glb: it is no GLB file"):
            read_glb_counts(path)
    write_glb(path, PointCloud(mesh.xyz))
    with pytest.raises(PipelineError, match="no GLB file of a mesh"):
        read_glb_counts(path)


def test_a_mesh_that_does_not_hang_together_is_refused() -> None:
    xyz, faces = np.zeros((3, 3), np.float32), np.array([[0, 1, 3]])
    with pytest.raises(ValueError, match="from 0 to 3, of 3"):
        TriangleMesh(xyz, faces)
    with pytest.raises(ValueError, match="2 in the texture"):
        TriangleMesh(xyz, np.array([[0, 1, 2]]), texture=make_texture(2))
    with pytest.raises(ValueError, match="PNG or a JPEG"):
        Texture(b"GIF89a", np.zeros((3, 2), np.float32), np.array([[0, 1, 2]]))
