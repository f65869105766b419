"""A quick mesh from a sparse model: a few of its points, cut free along what the cameras see."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from pipeline.dense.surfaces import (
    large_islands,
    longest_edges,
    smoothed,
    used_vertices,
    vertex_normals,
)
from pipeline.dense.tetrahedra import Tetrahedra
from pipeline.dense.visible_surface import Rays, cut_surface, take_votes
from pipeline.formats.point_stream import robust_box
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.mesh_config import DraftConfig
from pipeline.mesh_products import NoMesh
from pipeline.products import SparseModel

FEWEST_POINTS = 50
STEPS = ("leaving strays out", "joining points", "following what cameras see", "cutting free")
_NEIGHBOURS = 8
_MOST_DEVIATIONS = 3.0  # of a point's mean distance to its neighbours, from that of all
_EDGE_QUANTILE = 0.95
_LEAST_ISLAND = 12  # triangles
_HALVINGS = 24
_MOST_RAYS = 5  # of a point; more take longer, and tell little more
_BOX = 2.0  # of the scene's diagonal, from it to the box around it


@dataclass(frozen=True, eq=False)
class DraftOutcome:
    """mesh: or why there is none. points: of the model. used: of these, in the mesh's making."""

    mesh: TriangleMesh | NoMesh
    points: int
    used: int


def draft_mesh(model: SparseModel, config: DraftConfig) -> Generator[int, None, DraftOutcome]:
    """Make the mesh, of the points of a model without strays; yields the number of each of `STEPS`
    before it begins.

    There is none where fewer than 50 points are left, or no surface between them.
    """
    points = model.points
    yield 0
    rows = np.flatnonzero(~stray_points(points.xyz_world))
    if len(rows) < FEWEST_POINTS:
        reason = f"{len(rows)} points without strays, {FEWEST_POINTS} needed"
        return DraftOutcome(NoMesh(reason), len(points), len(rows))
    lengths = np.diff(points.track_starts)
    rows = rows[spread_points(points.xyz_world[rows], lengths[rows], config.max_points)]
    yield 1
    rays = _rays(model, rows)
    xyz = points.xyz_world[rows]
    tetrahedra = Tetrahedra(np.concatenate([xyz, _corners(np.concatenate([xyz, rays.centers]))]))
    yield 2
    votes = take_votes(tetrahedra, rays)
    yield 3
    faces = cut_surface(tetrahedra, votes, config.quality)
    faces = faces[(faces < len(rows)).all(axis=1)]
    edges = longest_edges(tetrahedra.xyz, faces)
    if len(edges):
        faces = faces[edges < config.max_edge * np.quantile(edges, _EDGE_QUANTILE)]
    faces = faces[large_islands(faces, len(rows), _LEAST_ISLAND)]
    if not len(faces):
        return DraftOutcome(NoMesh("no surface lies between the points"), len(points), len(rows))
    used, faces = used_vertices(faces, len(rows))
    xyz = smoothed(tetrahedra.xyz[used], faces, config.smoothing)
    mesh = TriangleMesh(
        xyz.astype(np.float32),
        faces,
        points.rgb[rows[used]],
        vertex_normals(xyz, faces).astype(np.float32),
    )
    return DraftOutcome(mesh, len(points), len(rows))


def _corners(xyz: Float64s) -> Float64s:
    """(8, 3) of a box far around everything: so that there is something behind a wall, too."""
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    away = _BOX * np.linalg.norm(high - low)
    return np.array(list(product(*np.stack([low - away, high + away]).T)))


def stray_points(xyz: Float64s) -> Bools:
    """(N,) whether a point (N, 3) stands alone, or is no place at all."""
    strays = ~robust_box(xyz).holds(xyz)
    inside = np.flatnonzero(~strays)
    if len(inside) > _NEIGHBOURS:
        places = xyz[inside]
        distances = cKDTree(places).query(places, _NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)
        # Of the logarithm: a scene has parts near and far, and the spacing of points grows with it.
        spacing = np.log(np.maximum(distances, 1e-300))
        strays[inside] = spacing > spacing.mean() + _MOST_DEVIATIONS * spacing.std()
    return strays


def spread_points(xyz: Float64s, lengths: Int64s, most: int) -> Int64s:
    """Rows of at most so many of the points (N, 3), evenly over where they are; of the points in
    the same cube that with the longest track is taken."""
    if len(xyz) <= most:
        return np.arange(len(xyz))
    low, high = 0.0, float(np.ptp(xyz, axis=0).max())
    found = np.zeros(1, np.int64)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        rows = _one_of_each_cube(xyz, lengths, middle)
        if len(rows) > most:
            low = middle
        else:
            high, found = middle, rows
    return np.sort(found)


def _one_of_each_cube(xyz: Float64s, lengths: Int64s, size: float) -> Int64s:
    cubes = np.floor((xyz - xyz.min(axis=0)) / size).astype(np.int64)
    order = np.lexsort((-lengths, *cubes.T))
    changes = np.any(np.diff(cubes[order], axis=0) != 0, axis=1)
    return np.asarray(order[np.concatenate([[True], changes])])


def _rays(model: SparseModel, rows: Int64s) -> Rays:
    """Of some points, given by their rows in the model: a few observations of each, evenly over its
    track."""
    points = model.points
    first, lengths = points.track_starts[rows], np.diff(points.track_starts)[rows]
    shares = np.arange(_MOST_RAYS) / (_MOST_RAYS - 1)
    chosen = first[:, None] + np.rint(shares * (lengths[:, None] - 1)).astype(np.int64)
    fresh = np.diff(chosen, axis=1, prepend=-1) > 0
    fresh &= lengths[:, None] > 0
    seen = np.nonzero(fresh)[0]
    keys = np.array(sorted(model.images))
    centers = np.array([model.images[int(i)].cam_from_world.center for i in keys])
    cameras = np.searchsorted(keys, points.track_images[chosen[fresh]])
    return Rays(seen, centers[cameras])
