"""What of a problem stays with the field: its cameras, frame, depths and surroundings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.camera_json import camera_as_json, camera_from_json
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
from pipeline.radiance.problem import Problem
from pipeline.radiance.rendering import DepthRange


@dataclass(frozen=True, eq=False)
class Setup:
    """All that rendering needs beside what is learned; the words are those of `Problem`.

    names: of the training views. poses: where they started, camera from the field's frame.
    cameras: the distinct ones, at the views' sizes; camera_of_image: index into them of each view.
    """

    names: tuple[str, ...]
    poses: tuple[Pose, ...]
    cameras: tuple[Camera, ...]
    camera_of_image: tuple[int, ...]
    field_from_world: Similarity
    depth_range: DepthRange
    box: Float64s
    bounded: bool
    background: Literal["white", "black", "learned", "none"]

    @staticmethod
    def of(problem: Problem) -> Setup:
        """What rendering needs of a problem; views with equal intrinsics share a camera."""
        numbers: dict[tuple[Any, ...], int] = {}
        cameras: list[Camera] = []
        camera_of_image = []
        for view in problem.views:
            camera = view.camera
            key = (camera.model, camera.width, camera.height, *camera.params.tolist())
            if key not in numbers:
                numbers[key] = len(cameras)
                cameras.append(camera)
            camera_of_image.append(numbers[key])
        return Setup(
            tuple(view.name for view in problem.views),
            problem.poses,
            tuple(cameras),
            tuple(camera_of_image),
            problem.field_from_world,
            problem.depth_range,
            problem.box,
            problem.bounded,
            problem.background,
        )

    @property
    def scene_size(self) -> float:
        """Largest distance of a camera centre from the mean of all, at the start."""
        if not self.poses:
            return 0.0
        centers = np.array([pose.center for pose in self.poses])
        return float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())

    @property
    def looks_one_way(self) -> bool:
        """Whether the box lies before the frame's origin, as that of cameras which are unknown."""
        return not self.bounded and self.depth_range.inverse and bool(self.box[0, 2] > 0)

    @property
    def px_per_unit(self) -> float:
        """Pixels that a unit of the field's space spans in the photographs, about."""
        focals_px = [self.cameras[k].opencv_params[0] for k in self.camera_of_image]
        focal_px = float(np.median(focals_px))
        if self.looks_one_way:
            return focal_px  # that space consists of directions
        middle = self.box.mean(axis=0)
        distances = [np.linalg.norm(pose.center - middle) for pose in self.poses]
        return focal_px / max(float(np.median(distances)), 1e-6)

    def doubt(self, refine_poses: bool) -> str | None:
        """Why depth cannot be found, in words for the user; None where it can."""
        if len(self.poses) == 1:
            return "There is one photograph to learn from: depth cannot be found."
        if refine_poses or self.scene_size > 1e-6:
            return None
        return (
            "All photographs were taken from one place, and radiance.refine_poses is off: depth "
            "cannot be found."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; numbers keep all their digits."""
        frame, depths = self.field_from_world, self.depth_range
        return {
            "names": list(self.names),
            "poses": [_numbers(pose.rotation, pose.translation) for pose in self.poses],
            "cameras": [camera_as_json(camera) for camera in self.cameras],
            "camera_of_image": list(self.camera_of_image),
            "frame": [frame.scale, *_numbers(frame.rotation, frame.translation)],
            "depths": [depths.near, None if math.isinf(depths.far) else depths.far, depths.inverse],
            "box": self.box.tolist(),
            "bounded": self.bounded,
            "background": self.background,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Setup:
        """Inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError for other data."""
        poses = [np.array(numbers, np.float64) for numbers in data["poses"]]
        frame = np.array(data["frame"], np.float64)
        near, far, inverse = data["depths"]
        return Setup(
            tuple(data["names"]),
            tuple(Pose(pose[:9].reshape(3, 3), pose[9:]) for pose in poses),
            tuple(camera_from_json(camera) for camera in data["cameras"]),
            tuple(data["camera_of_image"]),
            Similarity(float(frame[0]), frame[1:10].reshape(3, 3), frame[10:]),
            DepthRange(near, math.inf if far is None else far, inverse),
            np.array(data["box"], np.float64),
            bool(data["bounded"]),
            data["background"],
        )


def _numbers(rotation: Float64s, translation: Float64s) -> list[float]:
    return [*rotation.ravel().tolist(), *translation.tolist()]
