"""The surface between what cameras look through and what they see: a cut through tetrahedra.

Source: Labatut, Pons, Keriven, "Efficient multi-view reconstruction of large-scale scenes using
interest points, Delaunay triangulation and graph cuts", ICCV 2007; as COLMAP's Delaunay mesher.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from pipeline.dense.tetrahedra import FACETS, Crossings, Tetrahedra
from pipeline.geometry.arrays import Bools, Float64s, Int64s

_UNITS = 100.0  # of an integer capacity, for one ray
_MOST_CAPACITY = 2**28
_SIGMA_QUANTILE = 0.25  # of the shortest edges: how deep behind a point is surely inside


@dataclass(frozen=True, eq=False)
class Rays:
    """Which camera sees which point: (R,) rows of points, and (R, 3) camera centres."""

    points: Int64s
    centers: Float64s


@dataclass(frozen=True, eq=False)
class Votes:
    """What the rays say of tetrahedra and facets.

    sigma: distance from a point within which a crossing may be noise. crossed: (T, 4) votes against
    a surface on a facet, of rays that go through it from their point to their camera, out of the
    tetrahedron. outside: (T + 1,) rays whose camera a tetrahedron holds, the last one for all that
    is outside the hull. inside: (T,) rays that end just before the tetrahedron.
    """

    sigma: float
    crossed: Float64s
    outside: Float64s
    inside: Float64s


def take_votes(tetrahedra: Tetrahedra, rays: Rays) -> Votes:
    """Follow all rays from their points to their cameras. No pixel of noise may carve a surface:
    a crossing at distance d of the point counts 1 - exp(-d^2 / 2 sigma^2)."""
    count = len(tetrahedra)
    corners = tetrahedra.xyz[tetrahedra.cells]
    pairs = corners[:, [0, 0, 0, 1, 1, 2]] - corners[:, [1, 2, 3, 2, 3, 3]]
    shortest = np.linalg.norm(pairs, axis=2).min(axis=1)
    sigma = max(float(np.quantile(shortest, _SIGMA_QUANTILE)), 1e-12)
    begin = tetrahedra.xyz[rays.points]
    towards = rays.centers - begin
    lengths = np.linalg.norm(towards, axis=1)[:, None]
    unit = towards / np.maximum(lengths, 1e-300)
    first = tetrahedra.around(rays.points, unit)
    places: list[Int64s] = []
    weights: list[Float64s] = []
    outside = np.zeros(count + 1)
    for step in tetrahedra.walk(begin, rays.centers, first):
        _count(tetrahedra, step, outside)
        through = step.facets >= 0
        places.append(4 * step.cells[through] + step.facets[through])
        weights.append(-np.expm1(-(step.distances[through] ** 2) / (2.0 * sigma**2)))
    crossed: Float64s = np.bincount(
        np.concatenate(places), np.concatenate(weights), 4 * count
    ).astype(np.float64)
    behind = tetrahedra.around(rays.points, -unit)
    *_, last = tetrahedra.walk(begin, begin - sigma * unit, behind)
    inside = np.bincount(last.cells, minlength=count).astype(np.float64)
    return Votes(sigma, crossed.reshape(count, 4), outside, inside)


def _count(tetrahedra: Tetrahedra, step: Crossings, outside: Float64s) -> None:
    """Add where walks ended: in a tetrahedron, or outside the hull."""
    ended = step.facets < 0
    np.add.at(outside, step.cells[ended], 1.0)
    beyond = tetrahedra.neighbours[step.cells[~ended], step.facets[~ended]]
    outside[-1] += np.count_nonzero(beyond < 0)


def cut_surface(tetrahedra: Tetrahedra, votes: Votes, quality: float) -> Int64s:
    """The facets (F, 3) between inside and outside that the fewest rays contradict, as rows of the
    points, counter-clockwise from outside; none where all is on one side.

    quality: how much a facet that does not look like one of a surface costs, in rays.
    """
    count = len(tetrahedra)
    outer = _minimum_cut(tetrahedra, votes, quality)
    beyond = tetrahedra.neighbours  # -1: the last entry of `outer`
    cells, facets = np.nonzero(~outer[:count, None] & outer[beyond])
    found = np.take_along_axis(tetrahedra.cells[cells], FACETS[facets], axis=1)
    a, b, c = (tetrahedra.xyz[found[:, k]] for k in range(3))
    normals = tetrahedra.normals[cells, facets]
    backwards = np.einsum("fa,fa->f", np.cross(b - a, c - a), normals) < 0
    found[backwards] = found[backwards, ::-1]
    return found


def _minimum_cut(tetrahedra: Tetrahedra, votes: Votes, quality: float) -> Bools:
    """(T + 1,) which tetrahedra are outside; the last one is what lies beyond the hull."""
    count = len(tetrahedra)
    source, sink = count + 1, count + 2
    unlikely = quality * tetrahedra.facet_quality()
    cells, facets = tetrahedra.across()
    hull = cells < 0
    own = np.broadcast_to(np.arange(count)[:, None], hull.shape)
    # A ray that leaves b for a, on its way to the camera, contradicts a outside and b inside.
    inwards = unlikely + np.where(hull, 0.0, votes.crossed[cells, facets])
    everything = np.arange(count + 1)
    edges = (
        (own, np.where(hull, count, cells), inwards),
        (np.full(hull.sum(), count), own[hull], (unlikely + votes.crossed)[hull]),
        (np.full(count + 1, source), everything, votes.outside),
        (everything[:-1], np.full(count, sink), votes.inside),
    )
    begin, end, weight = (np.concatenate([np.ravel(e[k]) for e in edges]) for k in range(3))
    capacity = np.minimum(np.rint(weight * _UNITS), _MOST_CAPACITY).astype(np.int32)
    used = capacity > 0
    size = (count + 3, count + 3)
    graph = csr_array(coo_array((capacity[used], (begin[used], end[used])), size))
    flow = maximum_flow(graph, source, sink, method="dinic").flow
    left = csr_array(graph - flow)
    left.data = (left.data > 0).astype(np.int8)
    left.eliminate_zeros()
    outer = np.zeros(count + 3, np.bool_)
    outer[breadth_first_order(left, source, return_predecessors=False)] = True
    return outer[: count + 1]
