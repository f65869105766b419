"""Points and triangle meshes as GLB, the binary form of glTF 2.0.

glTF has y up and z towards the viewer: a model's world, with y down and z forward like its
cameras, is turned half around x. Colours of vertices are linear in glTF, those of textures sRGB.
Light is in the photographs already, so materials are unlit (KHR_materials_unlit) where a viewer
knows that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.files import malformed, read_bytes
from pipeline.formats.ply import PointCloud
from pipeline.formats.triangle_mesh import TriangleMesh, corners_of_both
from pipeline.geometry.arrays import Float32s, Float64s, UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose

# Both the world's axes and a camera's (glTF: right, up, backward).
GLTF_FROM_COLMAP: Float64s = np.diag([1.0, -1.0, -1.0])

_MAGIC, _VERSION, _JSON, _BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_MOST_BYTES = 2**32 - 1  # lengths are 32 bits
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_POINTS, _TRIANGLES = 0, 4
_COMPONENTS = {"<f4": 5126, "<u4": 5125, "<u2": 5123}
_SHAPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@dataclass(frozen=True, eq=False)
class GlbCamera:
    """A photograph's camera, for a node of its own."""

    name: str
    camera: Camera
    cam_from_world: Pose


def write_glb(
    path: Path, geometry: PointCloud | TriangleMesh, cameras: Sequence[GlbCamera] = ()
) -> None:
    """Write points or a triangle mesh, and cameras, as a GLB file. Source: glTF 2.0 specification.

    geometry: in the model's world; rgb is sRGB. A mesh with a texture is written with it, and
    without the colours of its vertices (glTF multiplies them). cameras: each becomes a node with
    glTF's symmetric perspective; its `extras` hold the intrinsics that this leaves out. Raises
    ValueError for geometry without points or triangles or with coordinates that are not finite,
    PipelineError where it is too large for the format.
    """
    empty = len(geometry.xyz) == 0 or (
        isinstance(geometry, TriangleMesh) and len(geometry.faces) == 0
    )
    if empty or not np.isfinite(geometry.xyz).all():
        raise ValueError("a GLB file needs at least one point or triangle, all finite")
    parts = _Parts()
    primitive = (
        _mesh(parts, geometry) if isinstance(geometry, TriangleMesh) else _points(parts, geometry)
    )
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "barfield"},
        "scene": 0,
        "scenes": [{"nodes": list(range(1 + len(cameras)))}],
        "nodes": [{"name": "scene", "mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "extensionsUsed": ["KHR_materials_unlit"],
        **parts.content,
    }
    if cameras:
        content["cameras"] = [_perspective(camera.camera) for camera in cameras]
        content["nodes"] += [_camera_node(n, camera) for n, camera in enumerate(cameras)]
    _write(path, content, parts.chunks)


def read_glb_counts(path: Path) -> tuple[int, int]:
    """How many vertices and triangles a mesh has that `write_glb` has written. Raises PipelineError
    naming a file that is missing, cut off or no such mesh."""
    data = read_bytes(path)
    try:
        magic, version, total, length, _ = np.frombuffer(data, "<u4", 5).tolist()
        if (magic, version, total) != (_MAGIC, _VERSION, len(data)):
            raise malformed(path, "it is no GLB file, or ends before its announced length")
        content = json.loads(data[20 : 20 + length])
        primitive, accessors = content["meshes"][0]["primitives"][0], content["accessors"]
        vertices = int(accessors[primitive["attributes"]["POSITION"]]["count"])
        return vertices, int(accessors[primitive["indices"]]["count"]) // 3
    except (ValueError, LookupError, TypeError):
        raise malformed(path, "it is no GLB file of a mesh") from None


def linear_from_srgb(rgb: UInt8s) -> Float64s:
    """Linear values from 0 to 1 of sRGB bytes of any shape (IEC 61966-2-1)."""
    value = rgb / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


class _Parts:
    """The binary chunk as it grows, and the descriptions of what is in it."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.content: dict[str, list[Any]] = {"bufferViews": [], "accessors": []}
        self._length = 0

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes; their number among the buffer views."""
        entry: dict[str, Any] = {
            "buffer": 0, "byteOffset": self._length, "byteLength": len(data)
        }  # fmt: skip
        if target is not None:
            entry["target"] = target
        self.content["bufferViews"].append(entry)
        self.chunks += [data, bytes(-len(data) % 4)]
        self._length += len(data) + -len(data) % 4
        return len(self.content["bufferViews"]) - 1

    def array(self, array: np.ndarray, kind: str, target: int, **more: Any) -> int:
        """Append an array (N,) or (N, K) as numpy's type `kind`; its number among the accessors."""
        width = array.shape[1] if array.ndim == 2 else 1
        self.content["accessors"].append(
            {
                "bufferView": self.view(np.ascontiguousarray(array, kind).tobytes(), target),
                "componentType": _COMPONENTS[kind],
                "count": len(array),
                "type": _SHAPES[width],
                **more,
            }
        )
        return len(self.content["accessors"]) - 1

    def positions(self, xyz_world: Float32s) -> int:
        """Append points (N, 3), turned into glTF's world."""
        xyz = _turned(xyz_world)
        low, high = xyz.min(axis=0).tolist(), xyz.max(axis=0).tolist()
        return self.array(xyz, "<f4", _ARRAY_BUFFER, min=low, max=high)

    def colors(self, rgb: UInt8s) -> int:
        """Append sRGB colours (N, 3). In 16 bits: 8 linear ones would lose half of the dark
        tones; with an alpha, because vertices have to begin at multiples of four bytes."""
        rgba = np.full((len(rgb), 4), 65535, np.uint16)
        rgba[:, :3] = np.round(linear_from_srgb(rgb) * 65535.0)
        return self.array(rgba, "<u2", _ARRAY_BUFFER, normalized=True)

    def material(self, **base_color: Any) -> int:
        """Append the one material: unlit, seen from both sides."""
        plain = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        self.content["materials"] = [
            {
                "pbrMetallicRoughness": {**base_color, **plain},
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ]
        return 0


def _points(parts: _Parts, cloud: PointCloud) -> dict[str, Any]:
    """The primitive of a cloud. Without its normals: they would have viewers shade the points."""
    attributes = {"POSITION": parts.positions(cloud.xyz)}
    if cloud.rgb is not None:
        attributes["COLOR_0"] = parts.colors(cloud.rgb)
    return {"attributes": attributes, "mode": _POINTS, "material": parts.material()}


def _mesh(parts: _Parts, mesh: TriangleMesh) -> dict[str, Any]:
    texture = mesh.texture
    if texture is None:
        rows, faces = np.arange(len(mesh.xyz)), mesh.faces
    else:
        rows, uv_rows, faces = corners_of_both(mesh, texture)
    attributes = {"POSITION": parts.positions(mesh.xyz[rows])}
    if mesh.normals is not None:
        attributes["NORMAL"] = parts.array(_turned(mesh.normals[rows]), "<f4", _ARRAY_BUFFER)
    base_color: dict[str, Any] = {}
    if texture is not None:
        attributes["TEXCOORD_0"] = parts.array(texture.uv[uv_rows], "<f4", _ARRAY_BUFFER)
        image = {"bufferView": parts.view(texture.image), "mimeType": texture.media_type}
        parts.content.update(images=[image], textures=[{"source": 0}])
        base_color = {"baseColorTexture": {"index": 0}}
    elif mesh.rgb is not None:
        attributes["COLOR_0"] = parts.colors(mesh.rgb)
    indices = parts.array(faces.ravel(), "<u4", _ELEMENT_ARRAY_BUFFER)
    material = parts.material(**base_color)
    return {
        "attributes": attributes, "indices": indices, "mode": _TRIANGLES, "material": material
    }  # fmt: skip


def _turned(vectors: Float32s) -> Float32s:
    """Vectors (N, 3) of the model's world in glTF's."""
    return vectors * np.diag(GLTF_FROM_COLMAP).astype(np.float32)


def _perspective(camera: Camera) -> dict[str, Any]:
    fx, fy = camera.opencv_params[:2]
    return {
        "type": "perspective",
        "perspective": {
            "aspectRatio": float(camera.width * fy / (camera.height * fx)),
            "yfov": float(2.0 * np.arctan2(0.5 * camera.height, fy)),
            "znear": 0.01,
        },
    }


def _camera_node(n: int, camera: GlbCamera) -> dict[str, Any]:
    matrix = np.eye(4)
    pose = camera.cam_from_world
    matrix[:3, :3] = GLTF_FROM_COLMAP @ pose.rotation.T @ GLTF_FROM_COLMAP
    matrix[:3, 3] = GLTF_FROM_COLMAP @ pose.center
    intrinsics = camera.camera
    return {
        "name": camera.name,
        "camera": n,
        "matrix": matrix.T.ravel().tolist(),  # glTF has the columns one after the other
        "extras": {
            "model": intrinsics.model,
            "width": intrinsics.width,
            "height": intrinsics.height,
            "params": intrinsics.params.tolist(),
        },
    }


def _write(path: Path, content: dict[str, Any], chunks: Sequence[bytes]) -> None:
    binary = sum(map(len, chunks))
    content["buffers"] = [{"byteLength": binary}]
    text = json.dumps(content, separators=(",", ":")).encode()  # escapes what is not ASCII
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + binary
    if total > _MOST_BYTES:
        raise PipelineError(
            "Too large for GLB",
            f"{path} would have {total / 1e9:.1f} GB; the format ends at 4.3 GB.",
            "Write PLY instead, or a coarser mesh.",
        )
    with path.open("wb") as file:
        file.write(np.array([_MAGIC, _VERSION, total, len(text), _JSON], "<u4").tobytes())
        file.write(text)
        file.write(np.array([binary, _BIN], "<u4").tobytes())
        file.writelines(chunks)
