"""LLFF's poses_bounds.npy: N x 17 numbers, one row per photograph in the order of their names.

A row is the 3 x 5 matrix [R | t | (height, width, focal)], camera to world with camera axes down,
right, backward, then the nearest and the farthest depth. The principal point is the image centre.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.axes import FROM_LLFF, camera_to_world_from_pose, pose_from_camera_to_world
from pipeline.formats.files import malformed, read_bytes
from pipeline.formats.posed import is_centred_pinhole
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose


@dataclass(frozen=True, eq=False)
class LlffPoses:
    """Poses, cameras and depth bounds in the order of the photographs' names.

    depth_bounds: (N, 2) nearest and farthest depth, in world units.
    """

    cam_from_world: tuple[Pose, ...]
    cameras: tuple[Camera, ...]
    depth_bounds: Float64s

    def __post_init__(self) -> None:
        n = len(self.cam_from_world)
        if len(self.cameras) != n or self.depth_bounds.shape != (n, 2):
            raise ValueError(
                f"{n} poses, but {len(self.cameras)} cameras and bounds {self.depth_bounds.shape}"
            )


def read_llff(path: Path) -> LlffPoses:
    """Read a poses_bounds.npy. Raises PipelineError naming a file that is missing or none."""
    try:
        table = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise malformed(path, f"not a numpy array: {error}") from None
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != 17:
        raise malformed(path, "an array of N x 17 numbers is needed")
    rows = table.astype(np.float64)
    poses: list[Pose] = []
    cameras: list[Camera] = []
    for i, row in enumerate(rows):
        matrix = row[:15].reshape(3, 5)
        height, width, focal = matrix[:, 4]
        if not (np.isfinite(matrix).all() and min(height, width, focal) > 0):
            raise malformed(path, f"row {i}: height, width, focal are {height}, {width}, {focal}")
        try:
            poses.append(pose_from_camera_to_world(matrix[:, :4], FROM_LLFF))
        except ValueError as error:
            raise malformed(path, f"row {i}: {error}") from None
        params = np.array([focal, width / 2, height / 2])
        cameras.append(Camera("SIMPLE_PINHOLE", round(width), round(height), params))
    return LlffPoses(tuple(poses), tuple(cameras), rows[:, 15:].copy())


def write_llff(path: Path, poses: LlffPoses) -> None:
    """Write a poses_bounds.npy; rows keep the order given, which must be that of the names.

    Raises PipelineError for a camera that the format cannot hold: it has one focal length, a
    centred principal point and no distortion.
    """
    rows = np.empty((len(poses.cameras), 17))
    for row, pose, camera in zip(rows, poses.cam_from_world, poses.cameras, strict=True):
        _refuse_unstorable(path, camera)
        matrix = np.empty((3, 5))
        matrix[:, :4] = camera_to_world_from_pose(pose, FROM_LLFF)[:3]
        matrix[:, 4] = camera.height, camera.width, camera.focal_px
        row[:15] = matrix.ravel()
    rows[:, 15:] = poses.depth_bounds
    with path.open("wb") as file:  # np.save would append .npy to another name
        np.save(file, rows)


def _refuse_unstorable(path: Path, camera: Camera) -> None:
    if not is_centred_pinhole(camera):
        raise PipelineError(
            "Camera not storable",
            f"{path}: LLFF holds one focal length and a centred principal point, no distortion, "
            f"but a {camera.model} camera has {camera.params.tolist()}",
            "Undistort the photographs first, or choose another format.",
        )


def names_for_rows(path: Path, rows: int, names: Sequence[str]) -> list[str]:
    """The sorted names of the photographs of a file's rows; PipelineError on another count."""
    if len(names) != rows:
        raise PipelineError(
            "Rows and photographs differ",
            f"{path} has {rows} rows, but there are {len(names)} photographs",
            "The file names no photographs: put exactly those it belongs to in images/ beside it.",
        )
    return sorted(names)
