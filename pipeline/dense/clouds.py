"""A sparse model as people look at it: strays marked, normals, the way up, cameras.

open3d looks at the points around each one. Without it the cloud is as it was, and says so. A cloud
that is too large for a stream becomes an octree, without the strays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dense.neighbourhoods import Neighbourhoods, look_around
from pipeline.formats.point_stream import Extent, StreamedCloud, extent_of, stream_cloud
from pipeline.formats.potree import write_potree
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.products import NO_POINT, RegisteredImage, SparseModel

MOST_STREAMED = 3_000_000
_LEAST_AGREEMENT = 0.3  # length of the mean of the cameras' unit y axes
_COSINE = 0.9  # 25 degrees, between a floor's normal and the cameras' way up

Vector = tuple[float, float, float]


def write_cloud(
    folder: Path,
    model: SparseModel,
    photo_numbers: Mapping[str, int],
    without_open3d: str = "",
) -> dict[str, Any]:
    """Write all files of a cloud into an empty folder; what is to be told of it, as plain data.

    photo_numbers: index of every photograph by its name. without_open3d: why it is not to be
    loaded; "": it may be.
    """
    began = time.monotonic()
    points = model.points
    around = look_around(points.xyz_world, _towards_cameras(model), without_open3d)
    up = up_axis(model, around.floor)
    octree = len(points) > MOST_STREAMED
    write = _write_octree if octree else _write_stream
    extent, strays = write(folder, model, around, up)
    cameras = cameras_of(model, photo_numbers)
    (folder / "cameras.json").write_text(json.dumps(cameras, allow_nan=False), encoding="ascii")
    return {
        "format": "potree" if octree else "points",
        "count": len(points) - strays if octree else len(points),
        "before": len(points),
        "strays": strays,
        "bounds": extent.bounds,
        "center": extent.center,
        "radius": extent.radius,
        "up": up,
        "note": around.note,
        "seconds": round(time.monotonic() - began, 3),
    }


def up_axis(model: SparseModel, floor: Float64s | None = None) -> tuple[float, float, float] | None:
    """The way up as a unit vector in the world; None where the cameras tell none.

    It is against the mean of their y axes: people hold cameras upright. floor: unit normal of a
    dominant plane, which takes its place where both are nearly the same.
    """
    if not model.images:
        return None
    down = np.mean([image.cam_from_world.rotation[1] for image in model.images.values()], axis=0)
    length = float(np.linalg.norm(down))
    if not length > _LEAST_AGREEMENT:
        return None
    up = -down / length
    if floor is not None and abs(float(floor @ up)) > _COSINE:
        up = floor * np.sign(floor @ up)
    x, y, z = (up / np.linalg.norm(up)).tolist()
    return x, y, z


def cameras_of(model: SparseModel, photo_numbers: Mapping[str, int]) -> dict[str, Any]:
    """The content of `cameras.json`: intrinsics, and every image with its pose, how many points it
    sees, and their mean reprojection error (null where it sees none)."""
    numbers = {k: number for number, k in enumerate(sorted(model.cameras))}
    cameras = []
    for k in numbers:
        camera = model.cameras[k]
        fx, fy, cx, cy = camera.opencv_params[:4].tolist()
        cameras.append(
            {
                "width": camera.width,
                "height": camera.height,
                **{"fx": fx, "fy": fy, "cx": cx, "cy": cy},
                "model": camera.model,
                "params": camera.params.tolist(),
            }
        )
    order = np.argsort(model.points.ids)
    images = []
    for i in sorted(model.images):
        image = model.images[i]
        ids = image.point_ids[image.point_ids != NO_POINT]
        rows = order[np.searchsorted(model.points.ids, ids, sorter=order)]
        pose = image.cam_from_world
        matrix = np.column_stack([pose.rotation, pose.translation])
        images.append(
            {
                "photo": photo_numbers.get(image.name),
                "name": image.name,
                "camera": numbers[image.camera],
                "cam_from_world": matrix.tolist(),
                "points": len(rows),
                "error_px": _mean_error_px(model, image, rows),
            }
        )
    return {"cameras": cameras, "images": images}


def _mean_error_px(model: SparseModel, image: RegisteredImage, rows: Int64s) -> float | None:
    """Of the points that an image sees, given by their rows; None where there are none."""
    seen = image.point_ids != NO_POINT
    in_camera = image.cam_from_world.apply(model.points.xyz_world[rows])
    found = model.cameras[image.camera].project(in_camera)
    errors = np.linalg.norm(found - image.keypoints_px[seen], axis=1)
    errors = errors[np.isfinite(errors)]
    return round(float(errors.mean()), 4) if len(errors) else None


def _towards_cameras(model: SparseModel) -> Float64s:
    """(J, 3) from every point to one of the cameras that see it; NaN where none is known."""
    points = model.points
    towards = np.full(points.xyz_world.shape, np.nan)
    seen = np.flatnonzero(np.diff(points.track_starts) > 0)
    first = points.track_images[points.track_starts[seen]]
    for i in np.unique(first):
        mine = seen[first == i]
        towards[mine] = model.images[int(i)].cam_from_world.center - points.xyz_world[mine]
    return towards


def _write_octree(
    folder: Path, model: SparseModel, around: Neighbourhoods, up: Vector | None
) -> tuple[Extent, int]:
    """The points but the strays as an octree; where they lie, and how many strays there are."""
    kept = ~around.strays
    xyz = model.points.xyz_world[kept]
    write_potree(folder, xyz, model.points.rgb[kept])
    return extent_of(xyz), int(around.strays.sum())


def _write_stream(
    folder: Path, model: SparseModel, around: Neighbourhoods, up: Vector | None
) -> tuple[Extent, int]:
    """All points for a stream; where they lie, and how many strays there are."""
    points = model.points
    cloud = StreamedCloud(
        points.xyz_world,
        points.rgb,
        around.strays,
        points.error_px,
        np.diff(points.track_starts),
        around.normals,
        up or (0.0, -1.0, 0.0),
    )
    stream = stream_cloud(cloud)
    (folder / "points.bin").write_bytes(stream.points)
    (folder / "details.bin").write_bytes(stream.details)
    return stream.extent, stream.strays
