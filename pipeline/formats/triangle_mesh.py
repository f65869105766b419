"""Triangle meshes, as the writers of GLB and OBJ take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float32s, Int64s, UInt8s

_MEDIA_TYPES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True, eq=False)
class Texture:
    """One picture that covers a mesh.

    image: a PNG or JPEG file. uv: (T, 2) float32, places in the picture: u to the right, v
    downwards, (0, 0) its top left and (1, 1) its bottom right corner, as in glTF. faces: (F, 3)
    int64, row of `uv` at each corner of each triangle of the mesh.
    """

    image: bytes
    uv: Float32s
    faces: Int64s

    def __post_init__(self) -> None:
        if self.uv.shape != (len(self.uv), 2):
            raise ValueError(f"places in a texture are (T, 2), not {self.uv.shape}")
        _check_indices("places in the texture", self.faces, len(self.uv))
        if not any(self.image.startswith(magic) for magic, _ in _MEDIA_TYPES):
            raise ValueError("a texture is a PNG or a JPEG file")

    @property
    def media_type(self) -> str:
        """image/png or image/jpeg."""
        return next(kind for magic, kind in _MEDIA_TYPES if self.image.startswith(magic))


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles in a model's world, their outer side where the corners run counter-clockwise.

    xyz: (V, 3) float32. faces: (F, 3) int64, rows of `xyz`. rgb: (V, 3) uint8, sRGB, or None.
    normals: (V, 3) float32 of unit length, or None. texture: None where colours are the vertices'.
    """

    xyz: Float32s
    faces: Int64s
    rgb: UInt8s | None = None
    normals: Float32s | None = None
    texture: Texture | None = None

    def __post_init__(self) -> None:
        shape = (len(self.xyz), 3)
        given = [a for a in (self.xyz, self.rgb, self.normals) if a is not None]
        if any(array.shape != shape for array in given):
            raise ValueError(f"(V, 3) arrays needed, not {[array.shape for array in given]}")
        _check_indices("vertices", self.faces, len(self.xyz))
        if self.texture is not None and len(self.texture.faces) != len(self.faces):
            raise ValueError(
                f"{len(self.faces)} triangles, but {len(self.texture.faces)} in the texture"
            )


def _check_indices(what: str, faces: Int64s, count: int) -> None:
    if faces.shape != (len(faces), 3):
        raise ValueError(f"triangles are (F, 3), not {faces.shape}")
    if len(faces) and not (faces.min() >= 0 and faces.max() < count):
        raise ValueError(
            f"triangles name {what} from {faces.min()} to {faces.max()}, of {count} there are"
        )


def corners_of_both(mesh: TriangleMesh, texture: Texture) -> tuple[Int64s, Int64s, Int64s]:
    """The vertices that a mesh needs where each has one place in the texture, as in glTF.

    Result: (N,) row of `mesh.xyz` and (N,) row of `texture.uv` of each, and the triangles (F, 3)
    as rows of these.
    """
    both = np.stack([mesh.faces.ravel(), texture.faces.ravel()], axis=1)
    unique, faces = np.unique(both, axis=0, return_inverse=True)
    return unique[:, 0], unique[:, 1], faces.reshape(-1, 3).astype(np.int64)
