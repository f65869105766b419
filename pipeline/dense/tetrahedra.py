"""Tetrahedra between points, and straight walks through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay

from pipeline.geometry.arrays import Float64s, Int64s

FACETS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Corners of a tetrahedron's facets; facet k is opposite to corner k."""

_MOST_STEPS = 1000  # a walk along an edge may turn in a circle; the longest others are far shorter


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where walks left a tetrahedron through one of its facets.

    cells: (C,) tetrahedra. facets: (C,) 0 to 3. distances: (C,) from where the walk began.
    """

    cells: Int64s
    facets: Int64s
    distances: Float64s


class Tetrahedra:
    """The Delaunay tetrahedra of points (N, 3), N >= 4.

    cells: (T, 4) rows of the points. neighbours: (T, 4) the tetrahedron beyond facet k, -1 outside
    the hull. normals: (T, 4, 3) unit, outwards, of the facets, and offsets: (T, 4), so that
    ``normals @ x = offsets`` there. Raises scipy's QhullError where all points lie on a plane.
    """

    def __init__(self, xyz: Float64s) -> None:
        delaunay = Delaunay(xyz)
        self.xyz = xyz
        self.cells: Int64s = delaunay.simplices.astype(np.int64)
        self.neighbours: Int64s = delaunay.neighbors.astype(np.int64)
        corners = xyz[self.cells]
        a, b, c = (corners[:, FACETS[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=2, keepdims=True)
        normals /= np.where(lengths > 0, lengths, 1.0)
        inwards = np.einsum("tfa,tfa->tf", normals, corners - a) > 0
        normals[inwards] *= -1.0
        self.normals: Float64s = normals
        self.offsets: Float64s = np.einsum("tfa,tfa->tf", normals, a)

    def __len__(self) -> int:
        return len(self.cells)

    def around(self, points: Int64s, directions: Float64s) -> Int64s:
        """The tetrahedra into which directions (M, 3) go from points, given by their rows (M,); -1
        for a point that no tetrahedron has. Where one goes out of the hull, any at the point."""
        corners = self.cells.ravel()
        order = np.argsort(corners, kind="stable")
        bounds = np.searchsorted(corners[order], np.arange(len(self.xyz) + 1))
        first, counts = bounds[points], np.diff(bounds)[points]
        asked = np.repeat(np.arange(len(points)), counts)
        begins = np.cumsum(counts) - counts
        places = order[np.arange(len(asked)) - np.repeat(begins - first, counts)]
        cells, opposite = places // 4, places % 4
        slopes = np.einsum("mfa,ma->mf", self.normals[cells], directions[asked])
        slopes[np.arange(len(cells)), opposite] = -np.inf  # the point is not on that facet
        leaving = slopes.max(axis=1)
        found = np.full(len(points), -1)
        some = counts > 0
        if len(cells):
            least = np.minimum.reduceat(leaving, begins[some])
            best = np.flatnonzero(leaving == np.repeat(least, counts[some]))[::-1]
            found[asked[best]] = cells[best]  # of several the first, which is written last
        return found

    def walk(self, begin: Float64s, end: Float64s, cells: Int64s) -> Iterator[Crossings]:
        """Walk from `begin` (M, 3) straight to `end` (M, 3), all walks at once, one step a turn.

        cells: (M,) where the walks are at first; -1 for one that does not take place. A walk ends
        where `end` is, or where it leaves the hull; the last crossings are through no more facets:
        they tell the tetrahedra that hold the ends, with -1 for the facet.
        """
        walks = np.flatnonzero(cells >= 0)
        here = cells[walks]
        lengths = np.linalg.norm(end - begin, axis=1)
        directions = (end - begin) / np.maximum(lengths, 1e-300)[:, None]
        arrived = []
        for _ in range(_MOST_STEPS):
            if not len(walks):
                break
            normals = self.normals[here]
            slope = np.einsum("wfa,wa->wf", normals, directions[walks])
            gap = self.offsets[here] - np.einsum("wfa,wa->wf", normals, begin[walks])
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = np.where(slope > 1e-12, gap / slope, np.inf)
            facets = reach.argmin(axis=1)
            distances = reach[np.arange(len(facets)), facets]
            done = ~(distances < lengths[walks])
            arrived.append(here[done])
            on = np.flatnonzero(~done)
            walks, here, facets = walks[on], here[on], facets[on]
            yield Crossings(here, facets, distances[on])
            here = self.neighbours[here, facets]
            inside = here >= 0
            walks, here = walks[inside], here[inside]
        held = np.concatenate(arrived) if arrived else np.zeros(0, np.int64)
        yield Crossings(held, np.full(len(held), -1), np.zeros(len(held)))

    def facet_quality(self) -> Float64s:
        """(T, 4) from 0, the most likely on a surface, to 2: 1 less the smaller cosine of the
        angles between a facet and the circumspheres of its two tetrahedra (Labatut et al., ICCV
        2007, section 4.3). Outside the hull the sphere is a plane."""
        corners = self.xyz[self.cells]
        edges = corners[:, 1:] - corners[:, :1]
        flat = np.abs(np.linalg.det(edges)) <= 1e-12 * np.prod(
            np.linalg.norm(edges, axis=2), axis=1
        )
        edges[flat] = np.eye(3)
        half = 0.5 * np.sum(edges * edges, axis=2, keepdims=True)
        from_corner = np.linalg.solve(edges, half)[..., 0]
        centers, radii = corners[:, 0] + from_corner, np.linalg.norm(from_corner, axis=1)
        heights = self.offsets - np.einsum("tfa,ta->tf", self.normals, centers)
        cosines = np.clip(heights / np.maximum(radii, 1e-300)[:, None], -1.0, 1.0)
        cosines[flat] = -1.0
        cells, facets = self.across()
        beyond = np.where(cells >= 0, cosines[cells, facets], 1.0)
        return np.asarray(1.0 - np.minimum(cosines, beyond))

    def across(self) -> tuple[Int64s, Int64s]:
        """(T, 4) twice: the tetrahedron beyond each facet, -1 for none, and which of its facets it
        is there (0 where there is none)."""
        cells = self.neighbours
        own = np.arange(len(self))[:, None, None]
        facets = np.asarray((self.neighbours[cells] == own).argmax(axis=2), np.int64)
        return cells, np.where(cells >= 0, facets, 0)
