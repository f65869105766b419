"""Depth maps against true depth, pixel by pixel: what `barfield compare` says of a run's `depth/`.

A pixel of a map stands for the same pixel of the photograph whatever the cameras' errors are, so
the two depths are compared there, after the scale of the similarity that aligns the cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.dense_products import DepthView
from pipeline.formats.posed import PosedPhotos, match_names
from pipeline.geometry.arrays import Float32s, Float64s, Int64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.similarity import NoSimilarity, Similarity, estimate_similarity

CLOSE = 0.01
"""A depth is right within this share of the true one."""
_SMOOTH = 0.02
_BINS_PER_DECADE, _DECADES = 1000, (-8, 3)


class HasDepth(Protocol):
    """A depth map: (H, W) float32 along the optical axis, 0 where none is known."""

    @property
    def depth(self) -> Float32s: ...


class Depths(Protocol):
    """Depth maps of views, read one by one; `DepthMaps` is one."""

    @property
    def views(self) -> Sequence[DepthView]: ...

    def __getitem__(self, n: int) -> HasDepth: ...


@dataclass(frozen=True, eq=False)
class TrueDepth:
    """What is known of a scene: cameras and depth of its photographs.

    photos: poses in the true frame, with intrinsics of whole photographs. depth: the map (H, W)
    float32 of a photograph by its name there, in true units along the optical axis through the
    pixels' centres of the photograph as it was taken (distorted), of any size; 0 where there is no
    surface; None where there is no map.
    """

    photos: PosedPhotos
    depth: Callable[[str], Float32s | None]


@dataclass(frozen=True)
class PhotographDepth:
    """Errors of one photograph's map; as in `DepthErrors`."""

    name: str
    median_relative: float | None
    within_1_percent: float
    missing: float


@dataclass(frozen=True)
class DepthErrors:
    """Errors of depth maps over all their pixels with true depth, after alignment of the cameras.

    photographs: compared. of: photographs of the reference. median_relative: the median of |depth -
    true| / true where a pixel without depth is infinitely wrong; None where that is the half of
    them. median_relative_of_known: over pixels that have a depth; None without one.
    within_1_percent: share of the pixels with true depth that are right within 1 %. missing: share
    of them without depth. The shares are None and `reason` says why where nothing can be compared.
    """

    photographs: int
    of: int
    median_relative: float | None = None
    median_relative_of_known: float | None = None
    within_1_percent: float | None = None
    missing: float | None = None
    reason: str = ""
    each: tuple[PhotographDepth, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def depth_errors(
    maps: Depths, truth: TrueDepth, photographs: Mapping[str, Camera] | None = None
) -> DepthErrors:
    """Compare maps with true depth.

    photographs: the cameras, by the views' names, that the maps were undistorted with. They tell
    which pixel of the photograph a map's pixel shows; without them the true cameras do, which is as
    good as the maps' cameras agree with the truth. The depths are scaled by the least-squares
    similarity of the camera centres (Umeyama 1991). Names match exactly, else by a unique base
    name. Raises what `maps` or `truth.depth` raise.
    """
    own = {view.name: n for n, view in enumerate(maps.views)}
    matched = match_names(truth.photos.cam_from_world, own)
    alignment = align_views(maps.views, truth.photos)
    if isinstance(alignment, NoSimilarity):
        reason = f"camera centres cannot be aligned: {alignment.reason}"
        return DepthErrors(0, len(truth.photos), reason=reason)
    known = photographs or {}
    total = _Tally()
    each, of = [], len(truth.photos)
    for name in truth.photos.cam_from_world:
        if name not in matched or (true := truth.depth(name)) is None:
            continue
        n = own[matched[name]]
        view = maps.views[n]
        camera = known.get(view.name, truth.photos.intrinsics.get(name))
        if camera is None:
            continue
        tally = _Tally()
        tally.add(
            maps[n].depth.reshape(-1) * alignment.scale,
            true_depth_of_map(view.camera, camera, true),
        )
        if tally.pixels:
            total.merge(tally)
            each.append(tally.of_photograph(view.name))
    if not each:
        return DepthErrors(0, of, reason="no photograph has a map, true depth and intrinsics")
    return DepthErrors(
        len(each),
        of,
        total.median(total.pixels),
        total.median(total.pixels - total.missing),
        total.close / total.pixels,
        total.missing / total.pixels,
        each=tuple(each),
    )


def align_views(views: Sequence[DepthView], photos: PosedPhotos) -> Similarity | NoSimilarity:
    """The similarity ``true_from_maps`` of the camera centres that both have."""
    by_name = {view.name: view.cam_from_world.center for view in views}
    matched = match_names(photos.cam_from_world, by_name)
    own = np.array([by_name[mine] for mine in matched.values()]).reshape(-1, 3)
    true = [photos.cam_from_world[name].center for name in matched]
    return estimate_similarity(own, np.array(true).reshape(-1, 3))


def true_depth_of_map(map_camera: Camera, photograph: Camera, true: Float32s) -> Float64s:
    """True depth (H * W,) at the pixels' centres of an undistorted map; 0 where there is none.

    photograph: the camera, with its distortion, of the photograph; true: its depth (h, w) at any
    size. Between pixels of one surface inverse depth is interpolated, which is exact on planes;
    across an edge the nearest pixel counts.
    """
    y, x = np.divmod(np.arange(map_camera.height * map_camera.width), map_camera.width)
    rays = map_camera.unproject(np.column_stack([x, y]) + 0.5)
    pixels = photograph.project(np.column_stack([rays, np.ones(len(rays))]))
    height, width = true.shape
    scale = (width / photograph.width, height / photograph.height)
    return _at(true, pixels * scale)


def _at(depth: Float32s, pixels: Float64s) -> Float64s:
    """Depth (N,) of a map at pixel positions (N, 2), corner origin; 0 outside."""
    height, width = depth.shape
    inside = np.all((pixels >= 0.0) & (pixels < (width, height)), axis=1)
    found = np.zeros(len(pixels))
    grid = np.clip(pixels[inside] - 0.5, 0.0, (width - 1, height - 1))
    corner: Int64s = np.minimum(grid.astype(np.int64), (width - 2, height - 2))
    share = grid - corner
    x, y = corner.T
    four = np.stack([depth[y, x], depth[y, x + 1], depth[y + 1, x], depth[y + 1, x + 1]])
    four = four.astype(np.float64)
    right, down = share.T
    weights = np.stack(
        [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    )
    nearest = four[weights.argmax(axis=0), np.arange(four.shape[1])]
    smooth = four.min(axis=0) > (1.0 - _SMOOTH) * four.max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = 1.0 / (weights / four).sum(axis=0)
    found[inside] = np.where(smooth, between, nearest)
    return found


class _Tally:
    """Counts of pixels, and a histogram of their errors on a logarithmic scale, fine enough for a
    median to 0.2 %, so that nothing grows with the number of photographs."""

    def __init__(self) -> None:
        self.pixels = self.missing = self.close = 0
        self._counts: Int64s = np.zeros(_BINS_PER_DECADE * (_DECADES[1] - _DECADES[0]), np.int64)

    def add(self, found: Float64s | Float32s, true: Float64s) -> None:
        """Count the pixels (N,) with true depth."""
        there = true > 0.0
        known = there & (found > 0.0)
        error = np.abs(found[known] / true[known] - 1.0)
        self.pixels += int(there.sum())
        self.missing += int(there.sum() - known.sum())
        self.close += int((error <= CLOSE).sum())
        decades = np.log10(np.maximum(error, 10.0 ** _DECADES[0])) - _DECADES[0]
        bins = np.minimum((decades * _BINS_PER_DECADE).astype(np.int64), len(self._counts) - 1)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def merge(self, other: _Tally) -> None:
        """Count all of another one, too."""
        self.pixels += other.pixels
        self.missing += other.missing
        self.close += other.close
        self._counts += other._counts

    def median(self, count: int) -> float | None:
        """The error that half of `count` pixels keep; None where fewer have one, or of none."""
        reached = np.nonzero(2 * np.cumsum(self._counts) >= count)[0]
        if not count or not len(reached):
            return None
        return float(10.0 ** ((reached[0] + 0.5) / _BINS_PER_DECADE + _DECADES[0]))

    def of_photograph(self, name: str) -> PhotographDepth:
        """As the errors of one photograph."""
        return PhotographDepth(
            name,
            self.median(self.pixels),
            self.close / self.pixels,
            self.missing / self.pixels,
        )
