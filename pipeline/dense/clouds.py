"""Clouds as people look at them: strays marked, normals, the way up, cameras.

Around each point of a sparse model, open3d looks at the others. Without it the cloud is as it was,
and says so. A fused cloud needs none of that. A cloud that is too large for a stream becomes an
octree, without the strays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dense.neighbourhoods import look_around
from pipeline.formats.point_stream import Extent, StreamedCloud, extent_of, stream_cloud
from pipeline.formats.potree import write_potree
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mesh_products import FusedCloud
from pipeline.products import NO_POINT, RegisteredImage, SparseModel

MOST_STREAMED = 3_000_000
_LEAST_AGREEMENT = 0.3  # length of the mean of the cameras' unit y axes
_COSINE = 0.9  # 25 degrees, between a floor's normal and the cameras' way up

_USUAL_UP = (0.0, -1.0, 0.0)

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
    cloud = StreamedCloud(
        points.xyz_world,
        points.rgb,
        around.strays,
        points.error_px,
        np.diff(points.track_starts),
        around.normals,
        up or _USUAL_UP,
    )
    _write_cameras(folder, model, photo_numbers)
    return {**_write_points(folder, cloud), "up": up, "note": around.note, **_since(began)}


def write_fused(
    folder: Path,
    fused: FusedCloud,
    model: SparseModel,
    photo_numbers: Mapping[str, int],
    up: Vector | None = None,
) -> dict[str, Any]:
    """As :func:`write_cloud`, of a cloud whose points were checked when depth maps were fused.

    model: whose cameras are the cloud's. up: unit vector, known from other points; None: as the
    cameras tell. Raises ValueError for a cloud without colours.
    """
    began = time.monotonic()
    if fused.cloud.rgb is None:
        raise ValueError("the points have no colours")
    xyz, normals = fused.cloud.xyz, fused.cloud.normals
    none = np.full(xyz.shape, np.nan)
    up = up or up_axis(model)
    cloud = StreamedCloud(
        xyz.astype(np.float64),
        fused.cloud.rgb,
        np.any(~np.isfinite(xyz), axis=1),
        none[:, 0],
        np.diff(fused.starts),
        none if normals is None else normals.astype(np.float64),
        up or _USUAL_UP,
    )
    _write_cameras(folder, model, photo_numbers)
    return {**_write_points(folder, cloud), "up": up, "note": "", **_since(began)}


def up_axis(model: SparseModel, floor: Float64s | None = None) -> Vector | None:
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


def _write_cameras(folder: Path, model: SparseModel, photo_numbers: Mapping[str, int]) -> None:
    cameras = cameras_of(model, photo_numbers)
    (folder / "cameras.json").write_text(json.dumps(cameras, allow_nan=False), encoding="ascii")


def _write_points(folder: Path, cloud: StreamedCloud) -> dict[str, Any]:
    """Write the points for a stream, or but for the strays as an octree; what they are then."""
    before = len(cloud.xyz)
    octree = before > MOST_STREAMED
    extent, strays = (_write_octree if octree else _write_stream)(folder, cloud)
    return {
        "format": "potree" if octree else "points",
        "count": before - strays if octree else before,
        "before": before,
        "strays": strays,
        "bounds": extent.bounds,
        "center": extent.center,
        "radius": extent.radius,
    }


def _write_octree(folder: Path, cloud: StreamedCloud) -> tuple[Extent, int]:
    """Where the points lie, and how many strays there are."""
    kept = ~cloud.strays
    xyz = cloud.xyz[kept]
    write_potree(folder, xyz, cloud.rgb[kept])
    return extent_of(xyz), int(cloud.strays.sum())


def _write_stream(folder: Path, cloud: StreamedCloud) -> tuple[Extent, int]:
    """As :func:`_write_octree`."""
    stream = stream_cloud(cloud)
    (folder / "points.bin").write_bytes(stream.points)
    (folder / "details.bin").write_bytes(stream.details)
    return stream.extent, stream.strays


def _since(began: float) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - began, 3)}
