"""Nearest descriptors of two photographs through a kd-tree of each.

Friedman, Bentley & Finkel, ACM TOMS 1977: split at the median of the dimension of largest variance.
Beis & Lowe, CVPR 1997: visit the leaves nearest to the query first and stop after a number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from pipeline.geometry.arrays import Float32s, Int32s, Int64s, UInt8s, UInt32s
from pipeline.matching.exact import MatchRules, Nearest, passes_rules

LEAF_SIZE = 6
_FAR = np.float32(1e9)


@dataclass(frozen=True, eq=False)
class KdTree:
    """A kd-tree over the descriptors of one photograph that are not zero.

    descriptors: (N, 128) int16 in the order of the leaves. rows: (N,) their rows in the photograph.
    dimensions: (K,) int32 of each node, -1 for a leaf. splits: (K,) int32, no value of the first
    child is above and none of the second is below it. firsts, seconds: (K,) int32, the children of
    a node; of a leaf the range of its descriptors.
    """

    descriptors: np.ndarray
    rows: Int64s
    dimensions: Int32s
    splits: Int32s
    firsts: Int32s
    seconds: Int32s


def build_kdtree(descriptors: UInt8s, leaf_size: int = LEAF_SIZE) -> KdTree:
    """The tree of descriptors (N, 128), with at most `leaf_size` of them in a leaf."""
    rows = np.flatnonzero(descriptors.any(axis=1))
    ordered = descriptors[rows].astype(np.int16)
    order, nodes = _build(ordered, leaf_size)
    return KdTree(np.ascontiguousarray(ordered[order]), rows[order], *nodes)


def match_kdtree(
    descriptors1: UInt8s,
    descriptors2: UInt8s,
    trees: tuple[KdTree, KdTree],
    rules: MatchRules,
    buckets: int,
) -> UInt32s:
    """Matches (M, 2) of descriptors (N1, 128) and (N2, 128), by row of the first; none: (0, 2).

    trees: those of the two sets. buckets: leaves that a query may visit; with as many as there are
    leaves the result is that of exact matching.
    """
    nearest = nearest_kdtree(descriptors1, trees[1], buckets)
    rows = np.flatnonzero(passes_rules(nearest, rules))
    if rules.mutual:
        back = nearest_kdtree(descriptors2[nearest.index[rows]], trees[0], buckets)
        rows = rows[(back.index == rows) & passes_rules(back, rules)]
    return np.column_stack([rows, nearest.index[rows]]).astype(np.uint32)


def nearest_kdtree(queries: UInt8s, tree: KdTree, buckets: int) -> Nearest:
    """For each of the queries (Q, 128) the nearest found in `buckets` leaves of the tree."""
    index, squared, second = _search(
        queries.astype(np.int16), tree.descriptors, tree.dimensions, tree.splits,
        tree.firsts, tree.seconds, buckets,
    )  # fmt: skip
    found = index >= 0
    index[found] = tree.rows[index[found]]
    return Nearest(index, squared, second)


@numba.njit(cache=True, nogil=True)
def _widest_dimension(descriptors: np.ndarray, members: Int64s) -> int:
    """The dimension of largest variance."""
    sums = np.zeros(descriptors.shape[1], np.int64)
    squares = np.zeros(descriptors.shape[1], np.int64)
    for n in members:
        for d in range(descriptors.shape[1]):
            value = np.int64(descriptors[n, d])
            sums[d] += value
            squares[d] += value * value
    return int(np.argmax(squares * len(members) - sums * sums))


@numba.njit(cache=True, nogil=True)
def _build(descriptors: np.ndarray, leaf_size: int) -> Any:
    """The order of the descriptors by leaf, and the four arrays of nodes; node 0 is the root."""
    n = len(descriptors)
    order = np.arange(n)
    capacity = max(1, 4 * n // max(1, leaf_size) + 3)
    dimensions = np.full(capacity, -1, np.int32)
    splits = np.zeros(capacity, np.int32)
    firsts = np.zeros(capacity, np.int32)
    seconds = np.zeros(capacity, np.int32)
    seconds[0] = n
    nodes = 1
    node = 0
    while node < nodes:
        begin, end = firsts[node], seconds[node]
        if end - begin > leaf_size:
            members = order[begin:end].copy()
            dimension = _widest_dimension(descriptors, members)
            values = np.empty(len(members), np.int16)
            for m in range(len(members)):
                values[m] = descriptors[members[m], dimension]
            sorting = np.argsort(values, kind="mergesort")
            order[begin:end] = members[sorting]
            half = (end - begin) // 2
            dimensions[node] = dimension
            splits[node] = values[sorting[half]]
            firsts[node], seconds[node] = nodes, nodes + 1
            firsts[nodes], seconds[nodes] = begin, begin + half
            firsts[nodes + 1], seconds[nodes + 1] = begin + half, end
            nodes += 2
        node += 1
    parts = (dimensions[:nodes], splits[:nodes], firsts[:nodes], seconds[:nodes])
    return order, parts


@numba.njit(cache=True, nogil=True)
def _sift_up(bounds: Int64s, entries: Int64s, at: int) -> None:
    """Restore the heap of least bound after an entry was put at its end."""
    while at > 0:
        parent = (at - 1) // 2
        if bounds[parent] <= bounds[at]:
            return
        bounds[parent], bounds[at] = bounds[at], bounds[parent]
        entries[parent], entries[at] = entries[at], entries[parent]
        at = parent


@numba.njit(cache=True, nogil=True)
def _sift_down(bounds: Int64s, entries: Int64s, size: int) -> None:
    """Restore the heap of least bound after its root was replaced."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and bounds[child + 1] < bounds[child]:
            child += 1
        if bounds[at] <= bounds[child]:
            return
        bounds[child], bounds[at] = bounds[at], bounds[child]
        entries[child], entries[at] = entries[at], entries[child]
        at = child


@numba.njit(cache=True, nogil=True)
def _search(
    queries: np.ndarray,
    descriptors: np.ndarray,
    dimensions: Int32s,
    splits: Int32s,
    firsts: Int32s,
    seconds: Int32s,
    buckets: int,
) -> tuple[Int64s, Float32s, Float32s]:
    """Nearest and second nearest of each query among the descriptors in leaf order.

    A branch not taken is entered once in a heap with a lower bound of its squared distance: the sum
    over dimensions of the squared distance to its cell (Arya & Mount, DCC 1993). Crossing a plane
    of a dimension that was crossed before replaces that dimension's part, so every entry carries
    the chain of its crossings.
    """
    count, nodes = len(queries), len(dimensions)
    index = np.full(count, -1, np.int64)
    squared = np.full(count, _FAR, np.float32)
    second = np.full(count, _FAR, np.float32)
    heap_bounds = np.empty(nodes, np.int64)
    heap_entries = np.empty(nodes, np.int64)
    entry_node = np.empty(nodes, np.int64)
    entry_dimension = np.empty(nodes, np.int64)
    entry_offset2 = np.empty(nodes, np.int64)
    entry_previous = np.empty(nodes, np.int64)
    for q in range(count):
        query = queries[q]
        if not query.any():
            continue
        best = second_best = np.int64(_FAR)
        found = -1
        size = entries = visited = 0
        node, bound, entry = 0, 0, -1
        while True:
            while dimensions[node] >= 0:
                dimension = dimensions[node]
                offset = np.int64(query[dimension]) - splits[node]
                near, far = firsts[node], seconds[node]
                if offset > 0:
                    near, far = far, near
                crossed = entry
                while crossed >= 0 and entry_dimension[crossed] != dimension:
                    crossed = entry_previous[crossed]
                far_bound = bound + offset * offset
                if crossed >= 0:
                    far_bound -= entry_offset2[crossed]
                if far_bound < second_best:
                    entry_node[entries] = far
                    entry_dimension[entries] = dimension
                    entry_offset2[entries] = offset * offset
                    entry_previous[entries] = entry
                    heap_bounds[size] = far_bound
                    heap_entries[size] = entries
                    _sift_up(heap_bounds, heap_entries, size)
                    size += 1
                    entries += 1
                node = near
            for n in range(firsts[node], seconds[node]):
                candidate = descriptors[n]
                total = np.int32(0)
                for d in range(len(query)):
                    difference = np.int32(query[d]) - np.int32(candidate[d])
                    total += difference * difference
                if total < best:
                    best, second_best, found = np.int64(total), best, n
                elif total < second_best:
                    second_best = np.int64(total)
            visited += 1
            if visited >= buckets or size == 0 or heap_bounds[0] >= second_best:
                break
            bound, entry = heap_bounds[0], heap_entries[0]
            node = entry_node[entry]
            size -= 1
            heap_bounds[0], heap_entries[0] = heap_bounds[size], heap_entries[size]
            _sift_down(heap_bounds, heap_entries, size)
        index[q] = found
        squared[q] = best
        second[q] = second_best
    return index, squared, second
