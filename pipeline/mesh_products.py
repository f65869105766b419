"""What `draft` and `mesh` make: surfaces of a model, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.formats.ply import PointCloud
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import Int64s, UInt32s


@dataclass(frozen=True)
class NoMesh:
    """Why there is no mesh, in words."""

    reason: str


@dataclass(frozen=True, eq=False)
class FusedCloud:
    """A cloud that depth maps agree on, and which of them.

    cloud: with colours and unit normals, in the world. starts: (N + 1,) and images: (M,), so that
    point n is seen by views ``images[starts[n]:starts[n + 1]]``, numbered as `DepthMaps.views`.
    """

    cloud: PointCloud
    starts: Int64s
    images: UInt32s

    def __post_init__(self) -> None:
        n = len(self.cloud.xyz)
        if self.starts.shape != (n + 1,) or int(self.starts[-1]) != len(self.images):
            raise ValueError(f"{n} points, and what sees them does not agree")


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """The outcome of `mesh`, in the model's world.

    fused: what the depth maps agree on. mesh: with colours and normals of its vertices. textured: a
    simpler mesh with a texture made of the photographs; None where it was not asked for, and where
    the product was read from a run directory.
    """

    fused: FusedCloud
    mesh: TriangleMesh
    textured: TriangleMesh | None
