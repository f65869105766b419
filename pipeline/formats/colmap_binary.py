"""COLMAP's binary model files, one reader and one writer per file (little-endian).

Layout: COLMAP's documentation, "Output format", and `scene/reconstruction_io_binary.cc`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.colmap_parts import (
    SENSOR_CAMERA,
    add_unique,
    check_image,
    checked_camera,
    checked_pose,
    model_name,
)
from pipeline.formats.files import malformed, read_bytes
from pipeline.geometry.arrays import Int64s, UInt8s
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.geometry.poses import quaternion_from_rotation
from pipeline.products import Points, RegisteredImage, SparseModel

_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height
_IMAGE = struct.Struct("<I7dI")  # id, quaternion, translation, camera
_RIG = struct.Struct("<IIiI")  # id, sensors, type and id of the reference sensor
_FRAME = struct.Struct("<II7dIiIQ")  # id, rig, rig_from_world, data: count, type, sensor, image
_KEYPOINT = np.dtype([("xy", "<f8", 2), ("point", "<u8")])
_POINT = np.dtype(
    [("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")]
)
_OBSERVATION = np.dtype([("image", "<u4"), ("keypoint", "<u4")])


class _Cursor:
    """Takes values off the front of a file; running past its end names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = read_bytes(path)
        self.position = 0

    def take(self, layout: struct.Struct) -> tuple[int | float, ...]:
        start = self._advance(layout.size)
        return layout.unpack_from(self.data, start)

    def count(self, least_bytes: int) -> int:
        """A number of items of at least so many bytes each, which must fit in the file."""
        n = int(self.take(_COUNT)[0])
        if n * least_bytes > len(self.data) - self.position:
            raise malformed(self.path, f"{n} entries announced, but the file ends before")
        return n

    def array(self, dtype: np.dtype[np.void], n: int) -> np.ndarray:
        start = self._advance(n * dtype.itemsize)
        return np.frombuffer(self.data, dtype, n, start)

    def text(self) -> str:
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise malformed(self.path, "the file ends inside a name")
        name = self.data[self.position : end]
        self.position = end + 1
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            raise malformed(self.path, f"the name {name!r} is not UTF-8 text") from None

    def finish(self) -> None:
        left = len(self.data) - self.position
        if left:
            raise malformed(self.path, f"{left} bytes follow the last entry")

    def _advance(self, size: int) -> int:
        start = self.position
        if start + size > len(self.data):
            raise malformed(self.path, f"the file ends at byte {len(self.data)} inside an entry")
        self.position = start + size
        return start


def read_cameras_binary(path: Path) -> dict[int, Camera]:
    """Cameras of a cameras.bin by id. Raises PipelineError naming the file."""
    cursor = _Cursor(path)
    cameras: dict[int, Camera] = {}
    for _ in range(cursor.count(_CAMERA.size)):
        camera_id, colmap_id, width, height = (int(v) for v in cursor.take(_CAMERA))
        name = model_name(path, colmap_id)
        params = np.array(cursor.take(struct.Struct(f"<{len(MODELS[name].parameters)}d")))
        add_unique(path, "camera", camera_id, cameras)
        cameras[camera_id] = checked_camera(path, name, (width, height), params)
    cursor.finish()
    return cameras


def read_images_binary(path: Path, camera_ids: set[int]) -> dict[int, RegisteredImage]:
    """Images of an images.bin by id. Raises PipelineError naming the file."""
    cursor = _Cursor(path)
    images: dict[int, RegisteredImage] = {}
    for _ in range(cursor.count(_IMAGE.size)):
        image_id, *pose, camera = cursor.take(_IMAGE)
        name = cursor.text()
        rows = cursor.array(_KEYPOINT, cursor.count(_KEYPOINT.itemsize))
        cam_from_world = checked_pose(path, np.array(pose[:4]), np.array(pose[4:]))
        image = RegisteredImage(
            name,
            int(camera),
            cam_from_world,
            rows["xy"].astype(np.float64),
            rows["point"].view("<i8").astype(np.int64),  # all ones, "none", becomes -1
        )
        check_image(path, int(image_id), image, camera_ids)
        add_unique(path, "image", int(image_id), images)
        images[int(image_id)] = image
    cursor.finish()
    return images


def read_points_binary(path: Path) -> Points:
    """Points and tracks of a points3D.bin. Raises PipelineError naming the file."""
    cursor = _Cursor(path)
    n = cursor.count(_POINT.itemsize)
    positions = np.empty(n, np.int64)
    lengths = np.empty(n, np.int64)
    # Only the lengths need a walk through the file; all else is gathered at once afterwards.
    position, size, unpack = cursor.position, len(cursor.data), _COUNT.unpack_from
    offset_of_length = _POINT.itemsize - _COUNT.size
    for j in range(n):
        if position + _POINT.itemsize > size:
            raise malformed(path, f"the file ends inside point {j + 1} of {n}")
        length = unpack(cursor.data, position + offset_of_length)[0]
        positions[j], lengths[j] = position, min(length, size)
        position += _POINT.itemsize + length * _OBSERVATION.itemsize
    if position > size:
        raise malformed(path, "the file ends inside the last track")
    cursor.position = position
    cursor.finish()

    raw = np.frombuffer(cursor.data, np.uint8)
    heads = _gather(raw, positions, _POINT)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tracks = _gather(raw, _track_positions(positions, starts), _OBSERVATION)
    return Points(
        ids=heads["id"].astype(np.int64),
        xyz_world=heads["xyz"].astype(np.float64),
        rgb=heads["rgb"].copy(),
        error_px=heads["error"].astype(np.float64),
        track_starts=starts,
        track_images=tracks["image"].astype(np.int64),
        track_keypoints=tracks["keypoint"].astype(np.int64),
    )


def _gather(raw: UInt8s, positions: Int64s, dtype: np.dtype[np.void]) -> np.ndarray:
    """Records of one layout at byte positions of a buffer."""
    rows = raw[positions[:, None] + np.arange(dtype.itemsize)]
    records: np.ndarray = rows.view(dtype)[:, 0]
    return records


def _track_positions(positions: Int64s, starts: Int64s) -> Int64s:
    """Byte position of every observation, points at `positions`, tracks as in `Points`."""
    first = positions + _POINT.itemsize - starts[:-1] * _OBSERVATION.itemsize
    steps: Int64s = np.arange(starts[-1]) * _OBSERVATION.itemsize
    return np.repeat(first, np.diff(starts)) + steps


def cameras_as_binary(cameras: Mapping[int, Camera]) -> bytes:
    """Content of a cameras.bin."""
    parts = [_COUNT.pack(len(cameras))]
    for camera_id, camera in sorted(cameras.items()):
        model = MODELS[camera.model].colmap_id
        parts.append(_CAMERA.pack(camera_id, model, camera.width, camera.height))
        parts.append(camera.params.astype("<f8").tobytes())
    return b"".join(parts)


def images_as_binary(images: Mapping[int, RegisteredImage]) -> bytes:
    """Content of an images.bin. Raises PipelineError for a name that holds a NUL character."""
    parts = [_COUNT.pack(len(images))]
    for image_id, image in sorted(images.items()):
        if "\0" in image.name:
            raise PipelineError(
                "Name not storable", f"the name {image.name!r} holds NUL", "Rename the photograph."
            )
        rows = np.empty(len(image.point_ids), _KEYPOINT)
        rows["xy"] = image.keypoints_px
        rows["point"] = image.point_ids.astype("<i8").view("<u8")  # -1, "none", becomes all ones
        parts.append(_IMAGE.pack(image_id, *_pose_values(image), image.camera))
        parts += [image.name.encode("utf-8"), b"\0", _COUNT.pack(len(rows)), rows.tobytes()]
    return b"".join(parts)


def points_as_binary(points: Points) -> bytes:
    """Content of a points3D.bin."""
    lengths = np.diff(points.track_starts)
    heads = np.empty(len(points), _POINT)
    heads["id"], heads["xyz"], heads["rgb"] = points.ids, points.xyz_world, points.rgb
    heads["error"], heads["length"] = points.error_px, lengths
    tracks = np.empty(len(points.track_images), _OBSERVATION)
    tracks["image"], tracks["keypoint"] = points.track_images, points.track_keypoints

    sizes = _POINT.itemsize + lengths * _OBSERVATION.itemsize
    positions = np.cumsum(sizes) - sizes
    raw = np.empty(int(sizes.sum()), np.uint8)
    _scatter(raw, positions, heads)
    _scatter(raw, _track_positions(positions, points.track_starts), tracks)
    return _COUNT.pack(len(points)) + raw.tobytes()


def _scatter(raw: UInt8s, positions: Int64s, records: np.ndarray) -> None:
    """Write records of one layout at byte positions of a buffer."""
    width = records.dtype.itemsize
    raw[positions[:, None] + np.arange(width)] = records.view(np.uint8).reshape(-1, width)


def rigs_as_binary(cameras: Mapping[int, Camera]) -> bytes:
    """Content of a rigs.bin in which every camera is a rig of its own, with the camera's id."""
    rigs = [_RIG.pack(camera_id, 1, SENSOR_CAMERA, camera_id) for camera_id in sorted(cameras)]
    return _COUNT.pack(len(rigs)) + b"".join(rigs)


def frames_as_binary(model: SparseModel) -> bytes:
    """Content of a frames.bin in which every image is a frame of its own, with the image's id."""
    frames = [
        _FRAME.pack(
            image_id, image.camera, *_pose_values(image), 1, SENSOR_CAMERA, image.camera, image_id
        )
        for image_id, image in sorted(model.images.items())
    ]
    return _COUNT.pack(len(frames)) + b"".join(frames)


def _pose_values(image: RegisteredImage) -> list[float]:
    quaternion = quaternion_from_rotation(image.cam_from_world.rotation)
    return [*quaternion.tolist(), *image.cam_from_world.translation.tolist()]
