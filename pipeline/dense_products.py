"""What flows from `depth` to `mesh`: depth maps of undistorted photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.geometry.arrays import Float32s, UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import SparseModel


@dataclass(frozen=True, eq=False)
class DepthView:
    """A photograph as depth is found for it: scaled and undistorted.

    name: as in `Photo`. camera: a PINHOLE of the map's size.
    """

    name: str
    camera: Camera
    cam_from_world: Pose


@dataclass(frozen=True, eq=False)
class DepthMap:
    """What is known of the surfaces that a view sees, pixel by pixel.

    depth: (H, W) float32, along the optical axis, in units of the world, of the ray through the
    pixel's centre; 0 where none is known. normals: (H, W, 3) float32, unit, in camera axes, towards
    the camera; 0 where none is known. confidence: (H, W) float32 from 0 to 1; 0 where no depth is
    known. rgb: (H, W, 3) uint8, the undistorted photograph.
    """

    depth: Float32s
    normals: Float32s
    confidence: Float32s
    rgb: UInt8s

    def __post_init__(self) -> None:
        shape = self.depth.shape
        if self.confidence.shape != shape or {self.normals.shape, self.rgb.shape} != {(*shape, 3)}:
            raise ValueError(f"depth is {shape}, and the others do not agree")


class DepthMaps(Protocol):
    """The depth maps of a model's photographs, read one by one."""

    @property
    def views(self) -> Sequence[DepthView]:
        """What there are maps of."""
        ...

    @property
    def model(self) -> SparseModel | None:
        """The sparse model that they belong to, undistorted: image n + 1 is `views[n]`. None where
        it is not known."""
        ...

    def __getitem__(self, n: int) -> DepthMap:
        """The map of `views[n]`. Raises PipelineError where it cannot be read."""
        ...


@dataclass(frozen=True)
class NoDepth:
    """Why there are no depth maps, in words."""

    reason: str
