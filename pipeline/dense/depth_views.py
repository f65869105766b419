"""Depth maps and their cameras as meshing needs them: kept while they are used, and compared."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.dense_products import DepthMap, DepthMaps, DepthView
from pipeline.geometry.arrays import Bools, Float32s, Float64s, Int64s, UInt8s

_MOST_BYTES = 600 * 2**20  # of maps that are kept for the next view
_CANDIDATES = 60  # nearest views that a view is compared with
_SAMPLES = 400  # pixels of a view that tell which others see the same


@dataclass(frozen=True, eq=False)
class Projection:
    """Where places lie in a view. inside: (N,) whether they do. rows, columns: (N,) pixels, 0 where
    they do not. depths: (N,) along the optical axis."""

    inside: Bools
    rows: Int64s
    columns: Int64s
    depths: Float64s


class MeshView:
    """A depth map with its camera. no_numbers: pixels whose depth or normal is none; they count as
    unknown."""

    def __init__(self, view: DepthView, found: DepthMap) -> None:
        finite = np.isfinite(found.depth) & np.isfinite(found.normals).all(axis=2)
        known = finite & (found.depth > 0)
        self.no_numbers = int(np.count_nonzero(~finite))
        self.name = view.name
        self.camera = view.camera
        self.pose = view.cam_from_world
        self.depth: Float32s = np.where(known, found.depth, np.float32(0))
        self.rgb: UInt8s = found.rgb
        self._normals = np.where(known[..., None], found.normals, np.float32(0))

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return int(self.depth.nbytes + self.rgb.nbytes + self._normals.nbytes)

    def places(self, rows: Int64s, columns: Int64s) -> Float64s:
        """(N, 3) in the world of what pixels see."""
        fx, fy, cx, cy = self.camera.params
        depth = self.depth[rows, columns].astype(np.float64)
        u, v = (columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy
        in_camera = np.column_stack([u * depth, v * depth, depth])
        return np.asarray((in_camera - self.pose.translation) @ self.pose.rotation)

    def normals(self, rows: Int64s, columns: Int64s) -> Float64s:
        """(N, 3) in the world, unit or 0, of what pixels see."""
        return np.asarray(self._normals[rows, columns] @ self.pose.rotation)

    def project(self, xyz: Float64s) -> Projection:
        """Where places (N, 3) of the world lie in the view, whether something hides them or not."""
        fx, fy, cx, cy = self.camera.params
        x, y, z = self.pose.apply(xyz).T
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            u, v = fx * x / z + cx, fy * y / z + cy
        height, width = self.depth.shape
        inside = (z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        columns = np.where(inside, u, 0.0).astype(np.int64)
        rows = np.where(inside, v, 0.0).astype(np.int64)
        return Projection(inside, rows, columns, z)

    def sees(self, xyz: Float64s, share: float) -> tuple[Bools, Projection]:
        """Whether the view sees places (N, 3): its depth there is theirs but for a share of it."""
        found = self.project(xyz)
        depth = self.depth[found.rows, found.columns]
        near = np.abs(depth - found.depths) <= share * found.depths
        return found.inside & (depth > 0) & near, found


class MeshViews:
    """All views of depth maps; those that were used last stay in memory."""

    def __init__(self, maps: DepthMaps) -> None:
        self._maps = maps
        self.no_numbers: dict[str, int] = {}  # of the maps read so far that have some, by name
        self._kept: OrderedDict[int, MeshView] = OrderedDict()

    def __len__(self) -> int:
        return len(self._maps.views)

    def __getitem__(self, n: int) -> MeshView:
        """Raises PipelineError where the map cannot be read."""
        found = self._kept.pop(n, None)
        if found is None:
            found = MeshView(self._maps.views[n], self._maps[n])
            if found.no_numbers:
                self.no_numbers[found.name] = found.no_numbers
        self._kept[n] = found
        while len(self._kept) > 2 and sum(v.size_bytes for v in self._kept.values()) > _MOST_BYTES:
            self._kept.popitem(last=False)
        return found

    @cached_property
    def centers(self) -> Float64s:
        """(V, 3) camera centres."""
        return np.array([view.cam_from_world.center for view in self._maps.views])

    def samples(self, n: int) -> Float64s:
        """(S, 3) some of the places that view n sees, evenly over its picture."""
        rows, columns = np.nonzero(self[n].depth)
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(np.int64)
        return self[n].places(rows[chosen], columns[chosen])

    def partners(self, n: int, places: Float64s, most: int, share: float) -> list[int]:
        """At most so many other views, best first, that see some of the places that view n sees,
        at the same depth but for a share of it."""
        away = np.linalg.norm(self.centers - self.centers[n], axis=1)
        nearest = [int(j) for j in np.argsort(away, kind="stable") if j != n][:_CANDIDATES]
        common = {j: int(self[j].sees(places, share)[0].sum()) for j in nearest}
        ranked = sorted((j for j in nearest if common[j]), key=lambda j: -common[j])
        return ranked[:most]
