"""A cloud of up to some million points for browsers, in an order that is drawn while it comes.

`points.bin` has ten bytes a point, positions as 16-bit steps over a box; `details.bin` and
`steps.bin` have what other colourings need. All are containers (see `bundle`) with their rows in
one shuffled order, so that every beginning is a sample of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.formats.bundle import Buffer, pack
from pipeline.geometry.arrays import Bools, Float64s, Int64s, UInt8s

STRAY = 1
"""Flag of a point that stands alone, or beyond the box."""

RECORD = np.dtype([("q", "<u2", 3), ("rgb", "u1", 3), ("flags", "u1")])
NO_NORMAL = 127
_STEPS = 65535
_SEED = 20
_CORE = (0.5, 99.5)  # per cent of the points, along each axis
_MARGIN = 4.0  # widths of the core, that the box may reach beyond it
_MOST_ERROR = 99.0  # per cent of the errors that are told apart
_SPHERE = 95.0  # per cent of the points
_SAMPLE = 1_000_000
_FARTHEST = 1e30  # that a browser's float32 can still reckon with


@dataclass(frozen=True, eq=False)
class StreamedCloud:
    """Points for a stream.

    xyz: (N, 3) float64, may hold what is not finite. rgb: (N, 3). strays: (N,). error_px: (N,), NaN
    for none. track_length: (N,) how many photographs see a point. normals: (N, 3) unit vectors, NaN
    for none. up: unit vector.
    """

    xyz: Float64s
    rgb: UInt8s
    strays: Bools
    error_px: Float64s
    track_length: Int64s
    normals: Float64s
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)

    def __post_init__(self) -> None:
        n = len(self.xyz)
        rows = {self.xyz.shape, self.rgb.shape, self.normals.shape}
        single = {self.strays.shape, self.error_px.shape, self.track_length.shape}
        if rows != {(n, 3)} or single != {(n,)}:
            raise ValueError(f"arrays of {n} points do not agree")


@dataclass(frozen=True, eq=False)
class Box:
    """An axis-parallel box, least and greatest corner (3,)."""

    low: Float64s
    high: Float64s

    def holds(self, xyz: Float64s) -> Bools:
        """(N,) which points are in it; none that is not finite is."""
        inside = np.ones(len(xyz), np.bool_)
        for axis in range(3):  # each by itself: numpy is slow along three
            column = xyz[:, axis]
            inside &= (column >= self.low[axis]) & (column <= self.high[axis])
        return inside

    @staticmethod
    def around(xyz: Float64s) -> Box:
        """The smallest box of points (N, 3), at least one."""
        columns = [xyz[:, axis] for axis in range(3)]
        return Box(np.array([c.min() for c in columns]), np.array([c.max() for c in columns]))


@dataclass(frozen=True)
class Extent:
    """Where the points are that are no strays. center and radius: of a sphere that holds most."""

    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    center: tuple[float, ...]
    radius: float


@dataclass(frozen=True, eq=False)
class Stream:
    """The two files, and what they tell. strays: also those beyond the box."""

    points: bytes
    details: bytes
    extent: Extent
    strays: int = field(default=0)


def robust_box(xyz: Float64s, most: int = _SAMPLE) -> Box:
    """The box of almost all of the points (N, 3): without those that are much further away than
    99 % of them along an axis, which would take the resolution from all others. most: points that
    it is looked for in."""
    placed = xyz[Box(np.full(3, -_FARTHEST), np.full(3, _FARTHEST)).holds(xyz)]
    if not len(placed):
        return Box(np.zeros(3), np.zeros(3))
    sample = placed[:: max(1, len(placed) // most)]
    low, high = np.percentile(sample, _CORE, axis=0)
    # Of what has no width at all, everything is the core.
    margin = _MARGIN * float((high - low).max()) or _FARTHEST
    return Box.around(placed[Box(low - margin, high + margin).holds(placed)])


def extent_of(xyz: Float64s) -> Extent:
    """Where points (N, 3) are, all of them finite; a sphere of radius 1 where there are none."""
    if not len(xyz):
        return Extent(((0.0,) * 3, (0.0,) * 3), (0.0,) * 3, 1.0)
    sample = xyz[:: max(1, len(xyz) // _SAMPLE)]
    center = np.median(sample, axis=0)
    radius = float(np.percentile(np.linalg.norm(sample - center, axis=1), _SPHERE))
    box = Box.around(xyz)
    bounds = tuple(box.low.tolist()), tuple(box.high.tolist())
    return Extent(bounds, tuple(center.tolist()), radius or 1.0)


def stream_cloud(cloud: StreamedCloud, about: dict[str, Any] | None = None) -> Stream:
    """Both files of a cloud. about: more fields of the header of `points.bin`.

    Where no point has an error, `error_max_px` is None, and `details.bin` is without errors.
    """
    box = robust_box(cloud.xyz[~cloud.strays])
    strays = cloud.strays | ~box.holds(cloud.xyz)
    extent = extent_of(cloud.xyz[~strays])
    n = len(cloud.xyz)
    order = _order(n)
    step = np.maximum((box.high - box.low) / _STEPS, np.finfo(np.float64).tiny)
    records = np.empty(n, RECORD)
    records["q"] = quantised(cloud.xyz, box.low, step)[order]
    records["rgb"] = cloud.rgb[order]
    records["flags"] = np.where(strays, STRAY, 0)[order]
    most_px = _most_error(cloud.error_px[~strays])
    header = {
        "count": n,
        "origin": box.low.tolist(),
        "step": step.tolist(),
        "center": list(extent.center),
        "radius": extent.radius,
        "up": list(cloud.up),
        "strays": int(strays.sum()),
        "error_max_px": most_px,
    }
    points = pack(
        "points",
        {**header, **(about or {})},
        [Buffer("records", "u8", (n, RECORD.itemsize), records.view(np.uint8).data)],
    )
    details = pack(
        "details", {"count": n, "error_max_px": most_px}, _details(cloud, order, most_px)
    )
    return Stream(points, details, extent, header["strays"])


def stream_steps(steps: Int64s, count: int) -> bytes:
    """`steps.bin`: of a cloud's points (N,) at which of `count` steps they came, from 0 on, as
    shares of a byte from 1 to 255; 0 is left for what is not known."""
    shares = 1 + np.rint(254 * steps / max(1, count - 1))
    rows = np.clip(shares, 1, 255).astype(np.uint8)[_order(len(steps))]
    return pack("steps", {"count": len(steps)}, [Buffer("step", "u8", rows.shape, rows.data)])


def _order(n: int) -> Int64s:
    """(N,) the points in the order of the rows."""
    return np.random.default_rng(_SEED).permutation(n)


def quantised(xyz: Float64s, origin: Float64s, step: Float64s) -> np.ndarray:
    """Steps (N, 3) uint16 of points; those beyond are put on the border, those that are nowhere in
    the middle."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.nan_to_num((xyz - origin) / step, nan=_STEPS / 2, posinf=_STEPS, neginf=0.0)
    return np.asarray(np.rint(np.clip(steps, 0, _STEPS)).astype("<u2"))


def _most_error(error_px: Float64s) -> float | None:
    known = error_px[np.isfinite(error_px)]
    if not len(known):
        return None
    most = float(np.percentile(known, _MOST_ERROR))
    return most if most > 0 else 1.0


def _details(cloud: StreamedCloud, order: Int64s, most_px: float | None) -> list[Buffer]:
    n = len(order)
    found = []
    if most_px is not None:
        share = np.clip(np.nan_to_num(cloud.error_px / most_px, nan=1.0), 0.0, 1.0)
        error = np.rint(255.0 * share).astype(np.uint8)[order]
        found.append(Buffer("error", "u8", (n,), error.data))
    length = np.clip(cloud.track_length, 0, 255).astype(np.uint8)[order]
    normal = np.rint(np.nan_to_num(cloud.normals) * NO_NORMAL) + NO_NORMAL
    normals = np.clip(normal, 0, 2 * NO_NORMAL).astype(np.uint8)[order]
    return [
        *found,
        Buffer("track_length", "u8", (n,), length.data),
        Buffer("normal", "u8", (n, 3), normals.data),
    ]
