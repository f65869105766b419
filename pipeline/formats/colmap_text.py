"""COLMAP's text model files, one reader and one writer per file.

Layout: COLMAP's documentation, "Output format". Lines that begin with # are comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.colmap_parts import add_unique, check_image, checked_camera, checked_pose
from pipeline.formats.files import malformed, read_text
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import quaternion_from_rotation
from pipeline.products import Points, RegisteredImage, SparseModel


def read_cameras_text(path: Path) -> dict[int, Camera]:
    """Cameras of a cameras.txt by id. Raises PipelineError naming the file and the line."""
    cameras: dict[int, Camera] = {}
    for number, line in _data_lines(path):
        fields = line.split()
        if len(fields) < 5:
            raise _malformed_line(path, number, "a camera needs ID MODEL WIDTH HEIGHT PARAMS")
        try:
            camera_id, width, height = int(fields[0]), int(fields[2]), int(fields[3])
            params = np.array(fields[4:], dtype=np.float64)
        except ValueError as error:
            raise _malformed_line(path, number, str(error)) from None
        add_unique(path, "camera", camera_id, cameras)
        cameras[camera_id] = checked_camera(path, fields[1], (width, height), params)
    return cameras


def read_images_text(path: Path, camera_ids: set[int]) -> dict[int, RegisteredImage]:
    """Images of an images.txt by id. Raises PipelineError naming the file and the line."""
    lines = list(enumerate(read_text(path).split("\n"), start=1))
    images: dict[int, RegisteredImage] = {}
    row = 0
    while row < len(lines):
        number, line = lines[row]
        row += 1
        if not line.strip() or line.startswith("#"):
            continue
        # A second line without keypoints may be empty, or missing at the end of the file.
        keypoint_line = lines[row][1] if row < len(lines) else ""
        row += 1
        fields = line.strip().split(maxsplit=9)
        keypoints = keypoint_line.split()
        if len(fields) < 10 or len(keypoints) % 3:
            raise _malformed_line(
                path, number, "an image needs ID QW QX QY QZ TX TY TZ CAMERA NAME, then X Y POINT"
            )
        try:
            image_id, camera = int(fields[0]), int(fields[8])
            pose = np.array(fields[1:8], dtype=np.float64)
            xy = np.array([keypoints[0::3], keypoints[1::3]], dtype=np.float64).T
            point_ids = np.array(keypoints[2::3], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise _malformed_line(path, number, str(error)) from None
        image = RegisteredImage(
            fields[9], camera, checked_pose(path, pose[:4], pose[4:]), xy.copy(), point_ids
        )
        check_image(path, image_id, image, camera_ids)
        add_unique(path, "image", image_id, images)
        images[image_id] = image
    return images


def read_points_text(path: Path) -> Points:
    """Points and tracks of a points3D.txt. Raises PipelineError naming the file and the line."""
    ids: list[int] = []
    values: list[Float64s] = []
    lengths: list[int] = []
    tracks: list[str] = []
    for number, line in _data_lines(path):
        fields = line.split()
        if len(fields) < 8 or len(fields) % 2:
            raise _malformed_line(
                path, number, "a point needs ID X Y Z R G B ERROR, then IMAGE KEYPOINT"
            )
        try:
            ids.append(int(fields[0]))
            values.append(np.array(fields[1:8], dtype=np.float64))
        except ValueError as error:
            raise _malformed_line(path, number, str(error)) from None
        lengths.append((len(fields) - 8) // 2)
        tracks += fields[8:]
    if not ids:
        return Points.none()
    table = np.array(values)
    rgb = table[:, 3:6]
    if not np.isin(rgb, np.arange(256)).all():
        raise malformed(path, "a colour is not a whole number from 0 to 255")
    try:
        observations = np.array(tracks, dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise malformed(path, f"in a track: {error}") from None
    return Points(
        ids=np.array(ids, dtype=np.int64),
        xyz_world=table[:, :3].copy(),
        rgb=rgb.astype(np.uint8),
        error_px=table[:, 6].copy(),
        track_starts=np.cumsum([0, *lengths]),
        track_images=observations[:, 0].copy(),
        track_keypoints=observations[:, 1].copy(),
    )


def write_text_model(model: SparseModel, folder: Path) -> None:
    """Write a model as COLMAP's five text files into a folder, which is made if it is not there.

    Raises PipelineError for a photo name that a line cannot hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "cameras.txt": _cameras_as_text(model.cameras),
        "images.txt": _images_as_text(model.images),
        "points3D.txt": _points_as_text(model.points),
        "rigs.txt": _rigs_as_text(model.cameras),
        "frames.txt": _frames_as_text(model),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


def _cameras_as_text(cameras: Mapping[int, Camera]) -> str:
    lines = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"]
    for camera_id, camera in sorted(cameras.items()):
        size = f"{camera.width} {camera.height}"
        lines.append(f"{camera_id} {camera.model} {size} {_numbers(camera.params)}")
    return "\n".join(lines) + "\n"


def _images_as_text(images: Mapping[int, RegisteredImage]) -> str:
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", "# (X Y POINT3D_ID)[]"]
    for image_id, image in sorted(images.items()):
        if image.name.split() != [image.name]:  # COLMAP's own reader stops at the first space
            raise PipelineError(
                "Name not storable",
                f"COLMAP's text model cannot hold the name {image.name!r}",
                "Write the binary model, or rename the photograph.",
            )
        lines.append(f"{image_id} {_pose_numbers(image)} {image.camera} {image.name}")
        rows = zip(image.keypoints_px.tolist(), image.point_ids.tolist(), strict=True)
        lines.append(" ".join(f"{x!r} {y!r} {point}" for (x, y), point in rows))
    return "\n".join(lines) + "\n"


def _points_as_text(points: Points) -> str:
    lines = ["# POINT3D_ID X Y Z R G B ERROR (IMAGE_ID POINT2D_IDX)[]"]
    observations = [
        f"{image} {keypoint}"
        for image, keypoint in zip(
            points.track_images.tolist(), points.track_keypoints.tolist(), strict=True
        )
    ]
    starts = points.track_starts.tolist()
    for j, point_id in enumerate(points.ids.tolist()):
        red, green, blue = points.rgb[j].tolist()
        head = f"{point_id} {_numbers(points.xyz_world[j])} {red} {green} {blue}"
        track = observations[starts[j] : starts[j + 1]]
        lines.append(" ".join([head, repr(float(points.error_px[j])), *track]))
    return "\n".join(lines) + "\n"


def _rigs_as_text(cameras: Mapping[int, Camera]) -> str:
    lines = ["# RIG_ID NUM_SENSORS REF_SENSOR_TYPE REF_SENSOR_ID"]
    lines += [f"{camera_id} 1 CAMERA {camera_id}" for camera_id in sorted(cameras)]
    return "\n".join(lines) + "\n"


def _frames_as_text(model: SparseModel) -> str:
    lines = ["# FRAME_ID RIG_ID QW QX QY QZ TX TY TZ NUM_DATA (SENSOR_TYPE SENSOR_ID DATA_ID)[]"]
    for image_id, image in sorted(model.images.items()):
        data = f"1 CAMERA {image.camera} {image_id}"
        lines.append(f"{image_id} {image.camera} {_pose_numbers(image)} {data}")
    return "\n".join(lines) + "\n"


def _data_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are neither empty nor comments."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _malformed_line(path: Path, number: int, detail: str) -> PipelineError:
    return malformed(path, f"line {number}: {detail}")


def _pose_numbers(image: RegisteredImage) -> str:
    quaternion = quaternion_from_rotation(image.cam_from_world.rotation)
    return f"{_numbers(quaternion)} {_numbers(image.cam_from_world.translation)}"


def _numbers(values: Float64s) -> str:
    return " ".join(map(repr, values.tolist()))
