"""What COLMAP's binary and text models and its database have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.files import malformed
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.cameras import MODELS, MODELS_BY_COLMAP_ID, Camera
from pipeline.geometry.poses import Pose, rotation_from_quaternion
from pipeline.products import NO_POINT, Points, RegisteredImage, SparseModel

SENSOR_CAMERA = 0  # COLMAP's number for the sensor type "camera"
# COLMAP 4.2's numbers for the camera models that we do not have.
FOREIGN_MODELS = {
    5: "OPENCV_FISHEYE", 6: "FULL_OPENCV", 7: "FOV", 8: "SIMPLE_RADIAL_FISHEYE",
    9: "RADIAL_FISHEYE", 10: "THIN_PRISM_FISHEYE", 11: "RAD_TAN_THIN_PRISM_FISHEYE",
    12: "SIMPLE_DIVISION", 13: "DIVISION", 14: "SIMPLE_FISHEYE", 15: "FISHEYE", 16: "EUCM",
    17: "EQUIRECTANGULAR",
}  # fmt: skip


def refused_model(path: Path, name: str) -> PipelineError:
    """The error for a camera model that is not one of our five."""
    return PipelineError(
        "Camera model not supported",
        f"{path}: a camera has the model {name}",
        f"Undistort the photographs, or use one of {', '.join(MODELS)}.",
    )


def model_name(path: Path, colmap_id: int) -> str:
    """Our name of COLMAP's model number. Raises PipelineError naming a model we do not have."""
    if colmap_id in MODELS_BY_COLMAP_ID:
        return MODELS_BY_COLMAP_ID[colmap_id].name
    if colmap_id in FOREIGN_MODELS:
        raise refused_model(path, FOREIGN_MODELS[colmap_id])
    raise malformed(path, f"{colmap_id} is no camera model number")


def checked_camera(path: Path, model: str, size: tuple[int, int], params: Float64s) -> Camera:
    """A camera from the values in a file; size is (width, height) in pixels.

    Raises PipelineError for a model that we do not have, a wrong number of parameters, an empty
    image, or a parameter that is not finite.
    """
    if model not in MODELS:
        raise refused_model(path, model)
    expected = len(MODELS[model].parameters)
    if params.shape != (expected,):
        raise malformed(path, f"{model} has {expected} parameters, not {params.size}")
    if min(size) <= 0:
        raise malformed(path, f"a camera's image is {size[0]} x {size[1]} pixels")
    focals = params[list(MODELS[model].indices_of("focal"))]
    if not np.isfinite(params).all() or not (focals > 0).all():
        raise malformed(path, f"a camera's parameters are {params.tolist()}")
    return Camera(model, size[0], size[1], params)


def checked_pose(path: Path, quaternion: Float64s, translation: Float64s) -> Pose:
    """A pose from a quaternion (w, x, y, z) and a translation; PipelineError if it is none."""
    length = float(np.abs(quaternion).max())  # a norm would overflow on damaged files
    if not (1e-6 < length < 1e6 and np.isfinite(translation).all()):
        raise malformed(path, "a pose is not finite or its quaternion is far from unit length")
    return Pose(rotation_from_quaternion(quaternion), np.array(translation, dtype=np.float64))


def check_image(path: Path, image_id: int, image: RegisteredImage, known: set[int]) -> None:
    """Raises PipelineError if an image's camera is not among the known ids or a keypoint is NaN."""
    if image.camera not in known:
        raise malformed(path, f"image {image_id} ({image.name}) has no camera {image.camera}")
    if not np.isfinite(image.keypoints_px).all():
        raise malformed(path, f"image {image_id} ({image.name}) has a keypoint that is not finite")


def add_unique(path: Path, what: str, key: int, taken: Mapping[int, object]) -> None:
    """Raises PipelineError if an id occurs a second time in a file."""
    if key in taken:
        raise malformed(path, f"{what} {key} occurs twice")


def assemble(
    folder: Path,
    cameras: Mapping[int, Camera],
    images: Mapping[int, RegisteredImage],
    points: Points,
) -> SparseModel:
    """A model whose tracks and keypoints refer to each other; PipelineError naming the folder if
    they do not."""
    if len(np.unique(points.ids)) != len(points):
        raise malformed(folder, "a point id occurs twice")
    if not np.isfinite(points.xyz_world).all():
        raise malformed(folder, "a point's position is not finite")
    if (points.ids < 0).any():
        raise malformed(folder, "a point id is out of range")
    image_ids = np.array(sorted(images), dtype=np.int64)
    ordered = [images[int(image_id)] for image_id in image_ids]
    starts = np.cumsum([0] + [len(image.point_ids) for image in ordered])
    seen = _concatenated([image.point_ids for image in ordered])
    if len(points.track_images):
        rows = np.searchsorted(image_ids, points.track_images)
        inside = rows < len(image_ids)
        inside[inside] = image_ids[rows[inside]] == points.track_images[inside]
        rows = np.where(inside, rows, 0)
        keypoints = points.track_keypoints
        inside &= keypoints < np.append(np.diff(starts), 0)[rows]
        owners = np.repeat(points.ids, np.diff(points.track_starts))
        if not inside.all() or not np.array_equal(seen[starts[rows] + keypoints], owners):
            raise malformed(folder, "a track names a keypoint that does not name its point")
    if np.count_nonzero(seen != NO_POINT) != len(points.track_images):
        raise malformed(folder, "a keypoint names a point whose track lacks it")
    return SparseModel(dict(cameras), dict(images), points)


def _concatenated(arrays: Sequence[Int64s]) -> Int64s:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
