"""What a field is trained on: views, the poses that they start from, tracks, and the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
from pipeline.radiance.rendering import DepthRange
from pipeline.radiance.views import View


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points that classical matching saw in several views.

    points: (J, 3) float64 in the field's frame. point_of: (N,) point, image_of: (N,) training view,
    and pixels: (N, 2), at the views' size with corner origin, of every observation. held_out: (J,)
    bool, points that stay out of the objective and judge the result.
    """

    points: Float64s
    point_of: Int64s
    image_of: Int64s
    pixels: Float64s
    held_out: Bools

    def __post_init__(self) -> None:
        n = len(self.point_of)
        if self.image_of.shape != (n,) or self.pixels.shape != (n, 2):
            raise ValueError(f"{n} observations, but {self.image_of.shape}, {self.pixels.shape}")
        if self.points.shape != (len(self.held_out), 3):
            raise ValueError(f"points are {self.points.shape}, marks {self.held_out.shape}")


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that training starts from; whatever made it (mapping, a data set, an experiment).

    views: to train on. poses: where training starts, camera from the field's frame, one per view.
    held_out: views that are never trained on, with their poses `held_out_poses`. field_from_world:
    undoes the frame for results. depth_range: along all rays, in the field's frame. box: (2, 3)
    least and greatest corner of what grids cover; what lies outside is contracted, or not there
    where `bounded`. background: behind everything.
    """

    views: tuple[View, ...]
    poses: tuple[Pose, ...]
    held_out: tuple[View, ...]
    held_out_poses: tuple[Pose, ...]
    field_from_world: Similarity
    depth_range: DepthRange
    box: Float64s
    bounded: bool
    background: Literal["white", "black", "learned", "none"]
    tracks: Tracks | None = None

    def __post_init__(self) -> None:
        if len(self.poses) != len(self.views) or len(self.held_out_poses) != len(self.held_out):
            raise ValueError("every view needs a pose")
