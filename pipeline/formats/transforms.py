"""transforms.json of nerfstudio, instant-ngp and the Blender scenes.

Poses are camera to world with camera axes right, up, backward. Intrinsics, of the file or of a
frame, are in pixels with the corner of the top-left pixel as origin. `applied_transform` (3 x 4)
and then `applied_scale` took the cameras from their original world to the file's; both are undone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.axes import (
    FROM_OPENGL,
    camera_to_world_from_pose,
    nearest_rotation,
    pose_from_camera_to_world,
)
from pipeline.formats.files import malformed, read_json_object
from pipeline.formats.posed import (
    PHOTO_SUFFIXES,
    PosedPhotos,
    ensure_unique,
    photo_size,
    simplest_camera,
)
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity

# In the order of OPENCV_PARAMETERS.
_KEYS = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")
_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")


def read_transforms(path: Path) -> PosedPhotos:
    """Read a transforms.json, in the world before `applied_transform` and `applied_scale`.

    Names are the frames' file paths without a leading ./; one without extension gets that of the
    file beside it, else .png, as in the Blender scenes. A frame has no intrinsics if the file gives
    no focal length or neither file nor photograph an image size. Raises PipelineError naming the
    file and what is malformed, and for a fisheye camera.
    """
    content = read_json_object(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise malformed(path, "it has no list of frames")
    original_from_file = _original_from_file(path, content)
    names = [_name(path, frame) for frame in frames]
    ensure_unique(path, names)
    poses: dict[str, Pose] = {}
    intrinsics: dict[str, Camera] = {}
    for name, frame in zip(names, frames, strict=True):
        matrix = _matrix(path, f"transform_matrix of {name}", frame.get("transform_matrix"))
        try:
            pose = pose_from_camera_to_world(matrix, FROM_OPENGL)
        except ValueError as error:
            raise malformed(path, f"{name}: {error}") from None
        poses[name] = original_from_file.apply_to_pose(pose)
        camera = _camera(path, name, {**content, **frame})
        if camera is not None:
            intrinsics[name] = camera
    return PosedPhotos(poses, intrinsics)


def write_transforms(
    path: Path,
    photos: PosedPhotos,
    photo_folder: str = "images",
    points: str | None = None,
    file_from_world: Similarity | None = None,
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write a transforms.json in nerfstudio's layout, which instant-ngp reads as well.

    photo_folder: where the photographs lie, relative to the file. points: PLY file of points in the
    file's world, relative to the file. file_from_world: where that is not the world of the poses;
    then `applied_transform` and `applied_scale` tell it. extras: further entries. Raises
    PipelineError for a photograph without intrinsics.
    """
    frames: list[dict[str, Any]] = []
    for name, pose in photos.cam_from_world.items():
        camera = photos.intrinsics.get(name)
        if camera is None:
            raise PipelineError(
                "Intrinsics missing",
                f"{path}: {name} has no intrinsics",
                "A transforms.json needs them for every photograph.",
            )
        frames.append(
            {
                "file_path": f"{photo_folder}/{name}" if photo_folder else name,
                **_camera_entries(camera),
                "transform_matrix": camera_to_world_from_pose(
                    pose if file_from_world is None else file_from_world.apply_to_pose(pose),
                    FROM_OPENGL,
                ).tolist(),
            }
        )
    # Intrinsics that all frames share stand once, where readers of single-camera files look for
    # them; others whole in each frame, since instant-ngp wants cx and w side by side.
    keys = ("camera_model", "w", "h", *_KEYS)
    alike = frames and all(frame[key] == frames[0][key] for frame in frames for key in keys)
    shared = set(keys if alike else keys[:1]) if frames else set()
    content: dict[str, Any] = {key: frames[0][key] for key in keys if key in shared}
    content.update(extras or {})
    if file_from_world is not None:
        scale, shift = file_from_world.scale, file_from_world.translation / file_from_world.scale
        applied = np.column_stack([file_from_world.rotation, shift])
        content["applied_transform"] = applied.tolist()
        if scale != 1.0:
            content["applied_scale"] = scale
    if points is not None:
        content["ply_file_path"] = points
    content["frames"] = [
        {key: value for key, value in frame.items() if key not in shared} for frame in frames
    ]
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _camera_entries(camera: Camera) -> dict[str, Any]:
    values = dict(zip(_KEYS, camera.opencv_params.tolist(), strict=True))
    return {"camera_model": "OPENCV", "w": camera.width, "h": camera.height, **values}


def _name(path: Path, frame: Mapping[str, Any]) -> str:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name:
        raise malformed(path, "a frame has no file_path")
    name = name.replace("\\", "/").removeprefix("./")
    if Path(name).suffix.lower() in PHOTO_SUFFIXES:
        return name
    present = [suffix for suffix in PHOTO_SUFFIXES if (path.parent / f"{name}{suffix}").is_file()]
    return f"{name}{present[0] if present else '.png'}"


def _original_from_file(path: Path, content: Mapping[str, Any]) -> Similarity:
    """The similarity that undoes `applied_transform` and `applied_scale`."""
    scale = _number(path, content, "applied_scale", 1.0)
    applied = content.get("applied_transform")
    matrix = np.eye(4) if applied is None else _matrix(path, "applied_transform", applied)
    stretch = float(np.linalg.norm(matrix[:3, :3], axis=0).mean())
    if not (scale > 0 and stretch > 0):
        raise malformed(path, "applied_transform or applied_scale has no positive scale")
    try:
        rotation = nearest_rotation(matrix[:3, :3] / stretch)
    except ValueError as error:
        raise malformed(path, f"applied_transform: {error}") from None
    return Similarity(scale * stretch, rotation, scale * matrix[:3, 3]).inverse()


def _matrix(path: Path, what: str, value: Any) -> Float64s:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise malformed(path, f"{what} holds something that is no number") from None
    if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite(matrix).all():
        raise malformed(path, f"{what} is not 3 x 4 or 4 x 4 finite numbers")
    return matrix


def _camera(path: Path, name: str, values: Mapping[str, Any]) -> Camera | None:
    """The camera of one frame; `values` are the frame's entries over the file's."""
    model = values.get("camera_model", "OPENCV")
    higher = any(_number(path, values, key, 0.0) for key in ("k3", "k4"))
    if model not in _PERSPECTIVE or values.get("is_fisheye") or higher:
        raise PipelineError(
            "Camera model not supported",
            f"{path}: {name} has a fisheye or other camera ({model}) that is not one of ours",
            "Undistort the photographs to OPENCV or PINHOLE cameras first.",
        )
    size = (round(_number(path, values, "w", 0.0)), round(_number(path, values, "h", 0.0)))
    if min(size) <= 0:
        measured = photo_size(path.parent / name)
        if measured is None:
            return None
        size = measured
    focal_x = _focal(path, values, "x", size[0])
    focal_y = _focal(path, values, "y", size[1])
    if not focal_x and not focal_y:
        return None
    defaults = dict.fromkeys(_KEYS, 0.0) | {"cx": size[0] / 2, "cy": size[1] / 2}
    parameters = np.array([_number(path, values, key, defaults[key]) for key in _KEYS])
    parameters[:2] = focal_x or focal_y, focal_y or focal_x
    try:
        return simplest_camera(size, parameters)
    except ValueError as error:
        raise malformed(path, f"{name}: {error}") from None


def _focal(path: Path, values: Mapping[str, Any], axis: str, extent_px: int) -> float:
    """Focal length in pixels along an axis, from itself or the field of view; 0 without either."""
    focal = _number(path, values, f"fl_{axis}", 0.0)
    angle = _number(path, values, f"camera_angle_{axis}", 0.0)
    if focal == 0.0 and 0.0 < angle < np.pi:
        return 0.5 * extent_px / float(np.tan(0.5 * angle))
    return focal


def _number(path: Path, values: Mapping[str, Any], key: str, default: float) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise malformed(path, f"{key} is {value!r}, not a number")
    return float(value)
