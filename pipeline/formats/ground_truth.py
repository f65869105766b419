"""The scenes' ground_truth.json: photo name -> K (3 x 3), R_c2w (3 x 3), center (3), optional k1.

R_c2w is camera to world with our camera axes; K is in pixels with the corner as origin. The image
size is not in the file: it is taken from the photographs in images/ beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.formats.axes import FROM_OPENCV, pose_from_camera_to_world
from pipeline.formats.files import malformed, read_json_object
from pipeline.formats.posed import PosedPhotos, photo_size, simplest_camera
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose


def read_ground_truth(path: Path) -> PosedPhotos:
    """Read a ground_truth.json; a photograph that is not there to be measured has no intrinsics.

    Raises PipelineError naming the file and the entry that is missing or malformed.
    """
    poses: dict[str, Pose] = {}
    intrinsics: dict[str, Camera] = {}
    for name, entry in read_json_object(path).items():
        center = _array(path, name, entry, "center", (3,))
        rotation = _array(path, name, entry, "R_c2w", (3, 3))
        k = _array(path, name, entry, "K", (3, 3))
        k1 = float(_array(path, name, entry, "k1", ())) if "k1" in entry else 0.0
        size = photo_size(path.parent / "images" / name)
        try:
            matrix = np.column_stack([rotation, center])
            poses[name] = pose_from_camera_to_world(matrix, FROM_OPENCV)
            if size is not None:
                parameters = [k[0, 0], k[1, 1], k[0, 2], k[1, 2], k1, 0.0, 0.0, 0.0]
                intrinsics[name] = simplest_camera(size, np.array(parameters))
        except ValueError as error:
            raise malformed(path, f"{name}: {error}") from None
    return PosedPhotos(poses, intrinsics)


def _array(path: Path, name: str, entry: Any, key: str, shape: tuple[int, ...]) -> Float64s:
    if not isinstance(entry, dict) or key not in entry:
        raise malformed(path, f"{name} has no {key}")
    try:
        array = np.array(entry[key], dtype=np.float64)
    except (TypeError, ValueError):
        raise malformed(path, f"{name}: {key} holds something that is no number") from None
    if array.shape != shape:
        raise malformed(path, f"{name}: {key} has the shape {array.shape}, not {shape}")
    return array
