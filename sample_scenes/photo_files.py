"""The files of a rendered scene: JPEG with EXIF, ground truth, depth maps, the mesh."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from sample_scenes.scene import Device, View
from sample_scenes.texture_store import linear_to_srgb
from sample_scenes.world import World

_EXIF_IFD = 0x8769
_DIGITS = 9


def encode_photo(image: NDArray[np.uint8], view: View, device: Device, quality: int) -> bytes:
    """The photograph (H,W,3) as a JPEG file with the EXIF of `device`."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer, "JPEG", quality=quality, subsampling=2, optimize=True, exif=_exif(view, device)
    )
    return buffer.getvalue()


def ground_truth(views: Sequence[View]) -> str:
    """JSON text: photo name -> K, k1, R_c2w and centre (metres), for every view."""
    entries = {
        view.name: {
            "K": _rounded(view.camera.matrix),
            "k1": view.camera.k1,
            "R_c2w": _rounded(view.camera.rotation.T),
            "center": _rounded(view.camera.center),
        }
        for view in views
    }
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_mesh(path: Path, world: World, colours: bool = True) -> None:
    """The mesh as a binary PLY in metres, with vertex colours (sRGB, without light) or without."""
    fields = [("xyz", "<f4", 3), *([("rgb", "u1", 3)] if colours else [])]
    vertices = np.empty(len(world.vertices), dtype=fields)
    vertices["xyz"] = world.vertices
    if colours:
        vertices["rgb"] = _vertex_colours(world)
    faces = np.empty(len(world.triangles), dtype=[("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, world.triangles
    rgb = "property uchar red\nproperty uchar green\nproperty uchar blue\n" if colours else ""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\n"
        f"property float x\nproperty float y\nproperty float z\n{rgb}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path.write_bytes(header.encode("ascii") + vertices.tobytes() + faces.tobytes())


def _vertex_colours(world: World) -> NDArray[np.uint8]:
    picture = np.zeros(len(world.vertices), dtype=np.int64)
    spacing = np.zeros(len(world.vertices), dtype=np.float32)
    edges = world.vertices[world.triangles[:, 1]] - world.vertices[world.triangles[:, 0]]
    level = np.log2(np.maximum(np.linalg.norm(edges, axis=1) / world.texel_m, 1.0))
    for corner in range(3):
        picture[world.triangles[:, corner]] = world.material
        spacing[world.triangles[:, corner]] = level
    linear = world.textures.sample(picture, world.uv, spacing)
    return np.rint(linear_to_srgb(np.clip(linear, 0.0, 1.0)) * 255.0).astype(np.uint8)


def _rounded(values: NDArray[np.float64]) -> object:
    return np.round(values, _DIGITS).tolist()


def _exif(view: View, device: Device) -> Image.Exif:
    taken = datetime.strptime(device.taken, "%Y:%m:%d %H:%M:%S") + timedelta(seconds=4 * view.index)
    stamp = taken.strftime("%Y:%m:%d %H:%M:%S")
    exif = Image.Exif()
    exif[0x010F] = device.make
    exif[0x0110] = device.model
    exif[0x0112] = 1
    exif[0x0132] = stamp
    details = exif.get_ifd(_EXIF_IFD)
    details[0x829A] = IFDRational(1, round(1.0 / (device.base_exposure_s * 2.0**view.exposure_ev)))
    details[0x829D] = IFDRational(round(device.f_number * 10), 10)
    details[0x8827] = device.iso
    details[0x9003] = stamp
    details[0x920A] = IFDRational(round(device.focal_length_mm * 100), 100)
    details[0xA002] = view.camera.width
    details[0xA003] = view.camera.height
    details[0xA405] = device.focal_length_35mm
    return exif
