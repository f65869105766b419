"""OpenSfM's reconstruction.json, and the tracks.csv that its later steps read beside it.

Poses are world to camera with our axes, as an angle-axis vector and a translation. Image
coordinates count from the middle of the image, in units of its longer side.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import rotvec_from_rotation
from pipeline.products import SparseModel


def write_reconstruction(path: Path, model: SparseModel) -> None:
    """Write a model as OpenSfM's list of one reconstruction. Source: OpenSfM, opensfm/io.py.

    Every camera is a `brown` one, which holds all of ours exactly.
    """
    points = model.points
    reconstruction = {
        "cameras": {_camera_key(k): _camera(camera) for k, camera in model.cameras.items()},
        "shots": {
            image.name: {
                "camera": _camera_key(image.camera),
                "rotation": rotvec_from_rotation(image.cam_from_world.rotation).tolist(),
                "translation": image.cam_from_world.translation.tolist(),
            }
            for image in model.images.values()
        },
        "points": {
            str(key): {"coordinates": xyz, "color": rgb}
            for key, xyz, rgb in zip(
                points.ids.tolist(), points.xyz_world.tolist(), points.rgb.tolist(), strict=True
            )
        },
    }
    path.write_text(json.dumps([reconstruction], ensure_ascii=False) + "\n", encoding="utf-8")


def write_camera_models(path: Path, model: SparseModel) -> None:
    """Write the cameras alone, as OpenSfM's camera_models.json."""
    cameras = {_camera_key(k): _camera(camera) for k, camera in model.cameras.items()}
    path.write_text(json.dumps(cameras, indent=1) + "\n", encoding="utf-8")


def write_tracks(path: Path, model: SparseModel) -> None:
    """Write the observations of all points as tracks.csv, version 2: tab-separated image, track,
    feature, x, y, scale (unknown here: 0), colour, and no semantics (-1). Source: OpenSfM,
    opensfm/src/map/src/tracks_manager.cc. Raises ValueError for a name with a tab or a newline."""
    points = model.points
    point_of_obs = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    lines = ["OPENSFM_TRACKS_VERSION_v2"]
    for image_id, image in model.images.items():
        if set("\t\r\n") & set(image.name):
            raise ValueError(f"OpenSfM cannot hold the name {image.name!r}")
        mine = np.flatnonzero(points.track_images == image_id)
        rows, j = points.track_keypoints[mine], point_of_obs[mine]
        places = _normalised(model.cameras[image.camera], image.keypoints_px[rows])
        for key, row, (x, y), rgb in zip(
            points.ids[j].tolist(), rows.tolist(), places.tolist(), points.rgb[j].tolist(),
            strict=True,
        ):  # fmt: skip
            color = "\t".join(map(str, rgb))
            lines.append(f"{image.name}\t{key}\t{row}\t{x!r}\t{y!r}\t0\t{color}\t-1\t-1")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _camera_key(k: int) -> str:
    return f"camera {k}"


def _camera(camera: Camera) -> dict[str, Any]:
    fx, fy, cx, cy, k1, k2, p1, p2 = camera.opencv_params.tolist()
    longer = max(camera.width, camera.height)
    return {
        "projection_type": "brown",
        "width": camera.width,
        "height": camera.height,
        "focal_x": fx / longer,
        "focal_y": fy / longer,
        "c_x": (cx - camera.width / 2) / longer,
        "c_y": (cy - camera.height / 2) / longer,
        "k1": k1, "k2": k2, "p1": p1, "p2": p2, "k3": 0.0,
    }  # fmt: skip


def _normalised(camera: Camera, points_px: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) with the corner as origin, in OpenSfM's image coordinates."""
    middle = np.array([camera.width, camera.height]) / 2
    return np.asarray((points_px - middle) / max(camera.width, camera.height))
