"""Two-view geometries of many pairs as a few flat arrays, and back: how they are kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from pipeline.array_files import strings_as_array, strings_from_array
from pipeline.camera_json import camera_as_json, camera_from_json
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose
from pipeline.products import PairKind, TwoViewGeometries, TwoViewGeometry

_MATRICES = ("F", "E", "H")


def geometries_as_arrays(geometries: TwoViewGeometries) -> dict[str, np.ndarray]:
    """Arrays by name, one row per pair in sorted order; inliers follow one another.

    A matrix or a pose that a pair does not have is a row of NaN.
    """
    items = sorted(geometries.of_pair.items())
    found = [geometry for _, geometry in items]
    poses = [geometry.cam2_from_cam1 for geometry in found]
    arrays = {
        "indices": np.array([pair for pair, _ in items], np.int64).reshape(-1, 2),
        "kinds": np.array([geometry.kind for geometry in found], np.int64),
        "inlier_counts": np.array([len(geometry.inliers) for geometry in found], np.int64),
        "inliers": np.concatenate(
            [np.zeros((0, 2), np.uint32), *(geometry.inliers for geometry in found)]
        ),
        "rotations": _rows([pose.rotation if pose else None for pose in poses], (3, 3)),
        "translations": _rows([pose.translation if pose else None for pose in poses], (3,)),
        "angles_deg": np.array([geometry.triangulation_angle_deg for geometry in found], float),
        "reasons": strings_as_array([geometry.reason for geometry in found]),
        "cameras": strings_as_array(
            [json.dumps(camera_as_json(camera)) for camera in geometries.cameras]
        ),
    }
    for name in _MATRICES:
        arrays[name] = _rows([getattr(geometry, name) for geometry in found], (3, 3))
    return arrays


def geometries_from_arrays(arrays: Mapping[str, np.ndarray]) -> TwoViewGeometries:
    """Inverse of :func:`geometries_as_arrays`. Raises KeyError where an array is missing."""
    ends = np.cumsum(arrays["inlier_counts"])
    starts = ends - arrays["inlier_counts"]
    reasons = strings_from_array(arrays["reasons"])
    of_pair = {}
    for row, (i1, i2) in enumerate(arrays["indices"].tolist()):
        rotation = _present(arrays["rotations"][row])
        translation = _present(arrays["translations"][row])
        pose = None
        if rotation is not None and translation is not None:
            pose = Pose(rotation, translation)
        of_pair[i1, i2] = TwoViewGeometry(
            kind=PairKind(int(arrays["kinds"][row])),
            inliers=arrays["inliers"][starts[row] : ends[row]],
            F=_present(arrays["F"][row]),
            E=_present(arrays["E"][row]),
            H=_present(arrays["H"][row]),
            cam2_from_cam1=pose,
            triangulation_angle_deg=float(arrays["angles_deg"][row]),
            reason=reasons[row],
        )
    cameras = (camera_from_json(json.loads(text)) for text in strings_from_array(arrays["cameras"]))
    return TwoViewGeometries(of_pair, tuple(cameras))


def _rows(values: list[Float64s | None], shape: tuple[int, ...]) -> Float64s:
    rows = np.full((len(values), *shape), np.nan)
    for row, value in enumerate(values):
        if value is not None:
            rows[row] = value
    return rows


def _present(row: Float64s) -> Float64s | None:
    return None if np.isnan(row).any() else row
