"""Potree 2.0 octrees: clouds of any size, of which a browser loads what it looks at.

Format: Schütz, Ohrhallinger, Wimmer, "Fast Out-of-Core Octree Generation for Massive Point Clouds",
2020, as 3d-tiles-renderer reads it. `metadata.json`; `hierarchy.bin`, 22 bytes a node, breadth
first; `octree.bin`, 18 bytes a point. A node's points are drawn together with those of all nodes
above it, and each point is in exactly one node.

Of the points in its cube that no node above has taken, a node takes one from each cell of a grid;
what is left goes to its eight children. A node whose cube holds few points takes all that are left.
The cloud is worked on part by part along the Morton curve: beside the cloud itself, there are two
bytes a point and the arrays of a part in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.formats.point_stream import Box
from pipeline.geometry.arrays import Bools, Float32s, Float64s, Int64s, UInt8s

UInt64s = NDArray[np.uint64]

RECORD = np.dtype([("xyz", "<i4", 3), ("rgb", "<u2", 3)])
NODE = np.dtype(
    [("type", "u1"), ("children", "u1"), ("points", "<u4"), ("offset", "<i8"), ("size", "<i8")]
)
INNER, LEAF = 0, 1
BITS = 21  # of a coordinate: three of them are a Morton code
_BUCKET_BITS = 5  # of a coordinate
_BLOCK = 1_000_000
_WHITE = 257  # 65535 / 255


@dataclass(frozen=True)
class Rules:
    """leaf_points: a cube with no more of them is not divided. grid_bits: a node takes one point
    from each of 2^grid_bits cells along each axis. part_points: about so many are worked on at
    once."""

    leaf_points: int = 16_000
    grid_bits: int = 7
    part_points: int = 2_000_000

    @property
    def bucket_bits(self) -> int:
        """Parts are whole buckets: cubes of this level, each of which holds whole cells of every
        grid."""
        return min(_BUCKET_BITS, self.grid_bits)

    @property
    def deepest(self) -> int:
        """The level where the grid is as fine as the coordinates."""
        return BITS - self.grid_bits


def write_potree(
    folder: Path, xyz: Float64s | Float32s, rgb: UInt8s, rules: Rules | None = None
) -> None:
    """Write a cloud as the three files of an octree into a folder.

    xyz: (N, 3), all finite; rgb: (N, 3); they may be memory-mapped. Raises ValueError for a point
    that is nowhere.
    """
    rules = rules or Rules()
    low, size = _cube(xyz)
    scale = size / 2**BITS
    buckets = _buckets(xyz, low, scale, rules.bucket_bits)
    totals = _totals(np.bincount(buckets, minlength=8**rules.bucket_bits))
    with (folder / "octree.bin").open("xb") as file:
        octree = _Octree(file)
        for rows in _parts(buckets, totals[-1], rules.part_points):
            _add_part(octree, xyz[rows], rgb[rows], (low, scale), totals, rules)
        octree.close()
    hierarchy = octree.hierarchy()
    (folder / "hierarchy.bin").write_bytes(hierarchy.tobytes())
    about = _metadata(len(xyz), low, size, rules, len(hierarchy), octree.depth)
    (folder / "metadata.json").write_text(json.dumps(about, indent=1), encoding="ascii")


def _cube(xyz: Float64s | Float32s) -> tuple[Float64s, float]:
    """Least corner and side of a cube that holds all points."""
    if not len(xyz):
        return np.zeros(3), 1.0
    starts = range(0, len(xyz), _BLOCK)
    parts = [Box.around(xyz[i : i + _BLOCK].astype(np.float64)) for i in starts]
    low = np.min([box.low for box in parts], axis=0)
    high = np.max([box.high for box in parts], axis=0)
    size = float((high - low).max())
    if not np.isfinite(size):
        raise ValueError("a point is nowhere")
    # A little larger, so that rounding leaves nothing outside.
    size = max(size, float(np.abs(low).max()) * 2.0**-30, 1e-30) * (1 + 2.0**-BITS)
    return low, size


def _steps(xyz: Float64s | Float32s, low: Float64s, scale: float) -> NDArray[np.int32]:
    """Coordinates (N, 3) in whole steps of the scale."""
    steps = ((xyz - low) * (1.0 / scale)).astype(np.int32)
    return np.minimum(steps, np.int32(2**BITS - 1))


def _buckets(
    xyz: Float64s | Float32s, low: Float64s, scale: float, bits: int
) -> NDArray[np.uint16]:
    """(N,) which of the cubes at level `bits` each point is in, along the Morton curve."""
    buckets = np.empty(len(xyz), np.uint16)
    table = _spread(np.arange(2**bits)).astype(np.uint16)
    for start in range(0, len(xyz), _BLOCK):
        block = slice(start, start + _BLOCK)
        coarse = _steps(xyz[block], low, scale) >> (BITS - bits)
        x, y, z = (table[coarse[:, axis]] for axis in range(3))
        buckets[block] = (x << 2) | (y << 1) | z
    return buckets


def _totals(counts: Int64s) -> list[Int64s]:
    """Points in each cube of all levels down to the buckets', from those of the last one."""
    levels = [counts]
    while len(levels[0]) > 1:
        levels.insert(0, levels[0].reshape(-1, 8).sum(axis=1))
    return levels


def _parts(buckets: NDArray[np.uint16], counts: Int64s, most: int) -> Iterator[Int64s]:
    """The rows of each part: neighbouring buckets of about so many points in all."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts) and len(buckets):
        done = int(ends[first - 1]) if first else 0
        last = max(first, int(np.searchsorted(ends, done + most, side="right")) - 1)
        last = min(last, len(counts) - 1)
        rows = np.flatnonzero((buckets >= first) & (buckets <= last))
        if len(rows):
            yield rows
        first = last + 1


def morton(steps: NDArray[np.int32]) -> UInt64s:
    """Morton codes (N,) of coordinates (N, 3): of three bits x has the highest, z the lowest."""
    x, y, z = (_spread(steps[:, axis]) for axis in range(3))
    x <<= np.uint64(2)
    y <<= np.uint64(1)
    x |= y
    x |= z
    return x


def _spread(values: np.ndarray) -> UInt64s:
    """Two zero bits before each of the 21 bits of values."""
    spread = values.astype(np.uint64)
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        spread |= spread << np.uint64(shift)
        spread &= np.uint64(mask)
    return spread


def _add_part(
    octree: _Octree,
    xyz: Float64s | Float32s,
    rgb: UInt8s,
    frame: tuple[Float64s, float],
    totals: list[Int64s],
    rules: Rules,
) -> None:
    """Add the points of a part to the nodes that they belong to."""
    steps = _steps(xyz, *frame)
    codes = morton(steps)
    order = np.argsort(codes)
    codes = codes[order]
    levels = levels_of(codes, totals, rules)
    for level in range(int(levels.max()) + 1):
        rows = np.flatnonzero(levels == level)
        if len(rows):
            records = np.empty(len(rows), RECORD)
            chosen = order[rows]
            records["xyz"] = steps[chosen]
            np.multiply(rgb[chosen], _WHITE, out=records["rgb"], dtype=np.uint16)
            octree.add(level, codes[rows] >> _shift(level), records)


def levels_of(codes: UInt64s, totals: list[Int64s], rules: Rules) -> NDArray[np.uint8]:
    """(N,) the level of the node that takes each point. codes: sorted. totals: points in the cubes
    of the first levels, also in those that are not all in this part."""
    levels = np.empty(len(codes), np.uint8)
    left = np.arange(len(codes), dtype=np.int32)
    for level in range(rules.deepest + 1):
        here = codes[left]
        nodes = here >> _shift(level)
        starts = _run_starts(nodes)
        few = _counts(nodes[starts], codes, totals, level) <= rules.leaf_points
        if level == rules.deepest:
            few[:] = True
        taken = np.repeat(few, np.diff(np.append(starts, len(left))))
        if not few.all():
            cells = _run_starts(here >> _shift(level + rules.grid_bits))
            # The middle of a run lies near the middle of its cell, more or less.
            middles = (cells + np.append(cells[1:], len(left))) // 2
            taken[middles] = True
        levels[left[taken]] = level
        left = left[~taken]
        if not len(left):
            break
    return levels


def _counts(nodes: UInt64s, codes: UInt64s, totals: list[Int64s], level: int) -> Int64s:
    """Points in the cubes of nodes."""
    if level < len(totals):
        return totals[level][nodes.astype(np.int64)]
    ends = [np.searchsorted(codes, (nodes + np.uint64(n)) << _shift(level)) for n in (0, 1)]
    return np.asarray(ends[1] - ends[0])


def _run_starts(values: UInt64s) -> Int64s:
    """Where runs of equal values begin; values: sorted, at least one."""
    new: Bools = np.empty(len(values), np.bool_)
    new[0] = True
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return np.flatnonzero(new)


def _shift(level: int) -> np.uint64:
    """Bits of a code that are below a level."""
    return np.uint64(3 * (BITS - level))


@dataclass
class _Level:
    """Nodes of a level along the Morton curve: those that are written, and the points of the last
    one, which may go on in the next part."""

    nodes: list[UInt64s] = field(default_factory=list)
    counts: list[Int64s] = field(default_factory=list)
    offsets: list[Int64s] = field(default_factory=list)
    last: int = -1
    waiting: list[np.ndarray] = field(default_factory=list)


class _Octree:
    """Writes `octree.bin`, and remembers which points of it are whose."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._levels: list[_Level] = []
        self._written = 0

    @property
    def depth(self) -> int:
        """The deepest level."""
        return max(0, len(self._levels) - 1)

    def add(self, level: int, nodes: UInt64s, records: np.ndarray) -> None:
        """More points of a level, with the node of each; sorted, and behind all before."""
        while len(self._levels) <= level:
            self._levels.append(_Level())
        told = self._levels[level]
        starts = _run_starts(nodes)
        if int(nodes[0]) != told.last:
            self._flush(told)
        elif len(starts) > 1:
            told.waiting.append(records[: starts[1]])
            self._flush(told)
            starts = starts[1:]
        first, last = int(starts[0]), int(starts[-1])
        if last > first:
            counts = np.diff(starts)
            self._write(told, nodes[starts[:-1]], counts, records[first:last])
        told.last = int(nodes[last])
        told.waiting.append(records[last:])

    def close(self) -> None:
        """Write what waits."""
        for told in self._levels:
            self._flush(told)

    def hierarchy(self) -> np.ndarray:
        """All nodes, breadth first; a root without points where there are none."""
        found = []
        below: UInt64s = np.zeros(0, np.uint64)
        for told in reversed(self._levels):
            nodes = np.concatenate(told.nodes)
            rows = np.zeros(len(nodes), NODE)
            rows["points"] = np.concatenate(told.counts)
            rows["offset"] = np.concatenate(told.offsets)
            rows["size"] = RECORD.itemsize * rows["points"].astype(np.int64)
            parents = np.searchsorted(nodes, below >> np.uint64(3))
            octants = np.uint8(1) << (below & np.uint64(7)).astype(np.uint8)
            np.bitwise_or.at(rows["children"], parents, octants)
            rows["type"] = np.where(rows["children"] == 0, LEAF, INNER)
            found.append(rows)
            below = nodes
        if not found:
            return np.array([(LEAF, 0, 0, 0, 0)], NODE)
        return np.concatenate(found[::-1])

    def _flush(self, told: _Level) -> None:
        if told.waiting:
            records = np.concatenate(told.waiting)
            told.waiting.clear()
            count = np.array([len(records)], np.int64)
            self._write(told, np.array([told.last], np.uint64), count, records)

    def _write(self, told: _Level, nodes: UInt64s, counts: Int64s, records: np.ndarray) -> None:
        ends = np.cumsum(counts)
        told.nodes.append(nodes)
        told.counts.append(counts)
        told.offsets.append(self._written + RECORD.itemsize * (ends - counts))
        self._file.write(records.data)
        self._written += records.nbytes


def _metadata(
    points: int, low: Float64s, size: float, rules: Rules, nodes: int, depth: int
) -> dict[str, Any]:
    """The content of `metadata.json`."""
    scale = size / 2**BITS
    corners = {"min": low.tolist(), "max": (low + size).tolist()}
    position = {"numElements": 3, "elementSize": 4, "type": "int32", **corners}
    colour = {"numElements": 3, "elementSize": 2, "type": "uint16"}
    chunk = nodes * NODE.itemsize
    colour |= {"min": [0, 0, 0], "max": [65535, 65535, 65535]}
    return {
        "version": "2.0",
        "name": "cloud",
        "description": "",
        "points": points,
        "projection": "",
        "hierarchy": {"firstChunkSize": chunk, "stepSize": depth + 1, "depth": depth},
        "offset": (low + scale / 2).tolist(),
        "scale": [scale] * 3,
        "spacing": size / 2**rules.grid_bits,
        "boundingBox": corners,
        "encoding": "DEFAULT",
        "attributes": [
            {"name": "position", "description": "", "size": 12, **position},
            {"name": "rgb", "description": "", "size": 6, **colour},
        ],
    }
