"""What the points around a point tell: whether it is a stray, its normal, the floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dense.open3d_loader import NoOpen3d, load_open3d
from pipeline.formats.point_stream import robust_box
from pipeline.geometry.arrays import Bools, Float64s

_NEIGHBOURS = 20
_MOST_DEVIATIONS = 2.0  # of a point's mean distance to its neighbours, from that of all
_NORMAL_NEIGHBOURS = 16
_FEWEST = 50  # points, for any of this
_FLOOR_DISTANCE = 0.01  # of the cloud's size: half the thickness of a floor
_FLOOR_TRIALS = 300
_FLOOR_SHARE = 0.2  # of the points
_FLOOR_SAMPLE = 20_000
_MOST = 5_000_000  # points, that are filtered within minutes


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """strays: (N,) whether a point stands alone. normals: (N, 3) unit vectors, NaN for none. floor:
    unit normal of the plane on which most points lie; None where none stands out. note: what could
    not be done, and why."""

    strays: Bools
    normals: Float64s
    floor: Float64s | None = None
    note: str = ""


def look_around(xyz: Float64s, towards: Float64s, without_open3d: str = "") -> Neighbourhoods:
    """Look at the neighbourhoods of points (N, 3).

    What is far beyond all others is a stray in any case, and takes no part in the statistics, which
    it would spoil. towards: (N, 3) to where normals are to point, NaN where unknown.
    without_open3d: why it is not to be loaded; "": it may be.
    """
    strays = ~robust_box(xyz).holds(xyz)
    normals = np.full(xyz.shape, np.nan)
    inside = np.flatnonzero(~strays)
    if len(inside) < _FEWEST:
        return Neighbourhoods(strays, normals)
    if len(inside) > _MOST:
        return Neighbourhoods(strays, normals, note=f"not filtered: above {_MOST:,} points")
    try:
        if without_open3d:
            raise NoOpen3d(without_open3d)
        open3d = load_open3d()
    except NoOpen3d as error:
        return Neighbourhoods(strays, normals, note=f"not filtered, because open3d: {error}")
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz[inside]))
    cloud, kept = cloud.remove_statistical_outlier(_NEIGHBOURS, _MOST_DEVIATIONS)
    rows = inside[np.asarray(kept, np.int64)]
    strays[inside] = True
    strays[rows] = False
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(_NORMAL_NEIGHBOURS))
    normals[rows] = np.asarray(cloud.normals)
    away = np.einsum("na,na->n", normals, towards) < 0  # NaN is not
    normals[away] *= -1.0
    return Neighbourhoods(strays, normals, _floor(cloud))


def _floor(cloud: Any) -> Float64s | None:
    xyz = np.asarray(cloud.points)
    size = float(np.linalg.norm(xyz.max(axis=0) - xyz.min(axis=0)))
    if not size > 0:
        return None
    thinned = cloud.uniform_down_sample(max(1, len(xyz) // _FLOOR_SAMPLE))
    plane, on_it = thinned.segment_plane(_FLOOR_DISTANCE * size, 3, _FLOOR_TRIALS)
    normal = np.asarray(plane[:3], np.float64)
    length = float(np.linalg.norm(normal))
    if len(on_it) < _FLOOR_SHARE * len(thinned.points) or not length > 0:
        return None
    return np.asarray(normal / length)
