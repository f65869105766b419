"""From fused depth maps to one trimmed, coloured mesh."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pipeline.dense.depth_views import MeshViews
from pipeline.dense.fusion import Fusion
from pipeline.dense.holes import close_holes
from pipeline.dense.surfaces import large_islands, used_vertices, vertex_normals
from pipeline.dense.volumes import poisson_surface, tsdf_surface
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import Float64s, Int64s, UInt8s
from pipeline.mesh_config import MeshConfig

_LOOKS = 2  # views that have to look in vain where a surface bridges a gap
SUPPORT = 2.0  # as much as the error that fusion allows, for a vertex that a view sees


@dataclass(frozen=True, eq=False)
class Surface:
    """mesh: with normals and colours. voxel: edge of its cells, in the world.

    bridging: triangles where views look in vain, and none sees through. holes: that were closed,
    and the size of the largest. holes_left: borders that stay. unsupported: triangles that were
    left out. islands: triangles of parts that were too small.
    """

    mesh: TriangleMesh
    voxel: float
    bridging: int
    holes: int
    largest_hole: float
    holes_left: int
    unsupported: int
    islands: int


@dataclass(frozen=True, eq=False)
class _Sightings:
    """counts: (V,) views that see each vertex. looks: that have it in their picture and know no
    depth there. through: that see something behind it. rgb: (V, 3) the mean of what those see that
    see it."""

    counts: Int64s
    looks: Int64s
    through: Int64s
    rgb: UInt8s


def voxel_size(views: MeshViews, fusion: Fusion, voxel_px: float) -> float:
    """Edge of a voxel in the world: so many pixels at the median depth of all that agrees."""
    footprints = [
        float(np.median(views[n].depth[agreed])) / views[n].camera.focal_px
        for n, agreed in enumerate(fusion.agreed)
        if agreed.any()
    ]
    return voxel_px * float(np.median(footprints))


def make_surface(
    views: MeshViews, fusion: Fusion, config: MeshConfig
) -> Generator[int, None, Surface]:
    """Make the surface, trim it, close small holes and colour it; yields the number of each view
    before it is used, twice for each. Raises NoOpen3d."""
    voxel = voxel_size(views, fusion, config.voxel_px)
    if config.method == "tsdf":
        (xyz, faces), voxel = yield from tsdf_surface(views, voxel)
    else:
        yield 1
        xyz, faces = poisson_surface(fusion.fused.cloud, voxel)
    share = SUPPORT * config.max_depth_error / 100.0
    seen = yield from _sightings(views, xyz, vertex_normals(xyz, faces), share)
    away, nearest = cKDTree(fusion.fused.cloud.xyz).query(xyz)
    sure = seen.counts > 0
    bridging = ~sure & (away <= config.max_gap * voxel)
    bridging &= (seen.looks >= _LOOKS) & (seen.through == 0)
    assert fusion.fused.cloud.rgb is not None, "a fused cloud has colours"
    rgb = np.where(sure[:, None], seen.rgb, fusion.fused.cloud.rgb[nearest])
    supported = (sure | bridging)[faces].all(axis=1)
    unsupported = len(faces) - int(supported.sum())
    faces = faces[supported]
    bridges = bridging[faces].any(axis=1)
    large = large_islands(faces, len(xyz), config.min_island)
    islands = len(faces) - int(large.sum())
    bridge_count = int(bridges[large].sum())
    rows, faces = used_vertices(faces[large], len(xyz))
    before = len(rows)
    filling = close_holes(xyz[rows], faces, config.max_hole)
    rgb = _with_middles(rgb[rows], filling.faces, before, len(filling.xyz))
    normals = vertex_normals(filling.xyz, filling.faces)
    mesh = TriangleMesh(
        filling.xyz.astype(np.float32), filling.faces, rgb, normals.astype(np.float32)
    )
    return Surface(
        mesh,
        voxel,
        bridge_count,
        filling.count,
        filling.largest,
        filling.left,
        unsupported,
        islands,
    )


def _with_middles(rgb: UInt8s, faces: Int64s, before: int, count: int) -> UInt8s:
    """Colours of all vertices: those from row `before` on, the middles of closed holes, have the
    mean of their neighbours'."""
    added = faces[faces[:, 2] >= before]
    sums, numbers = np.zeros((count - before, 3)), np.zeros(count - before)
    np.add.at(sums, added[:, 2] - before, rgb[added[:, 0]].astype(np.float64))
    np.add.at(numbers, added[:, 2] - before, 1.0)
    return np.concatenate([rgb, np.rint(sums / numbers[:, None]).astype(np.uint8)])


def _sightings(
    views: MeshViews, xyz: Float64s, normals: Float64s, share: float
) -> Generator[int, None, _Sightings]:
    """What sees each vertex; what is seen head on and from near counts most for its colour."""
    counts, looks, through = np.zeros((3, len(xyz)), np.int64)
    sums, weights = np.zeros((len(xyz), 3)), np.zeros(len(xyz))
    for n in range(len(views)):
        yield n
        view = views[n]
        seen, at = view.sees(xyz, share)
        depth = view.depth[at.rows, at.columns]
        # A view that knows something nearer does not look: what joins its rim to the wall is none.
        looks += at.inside & (depth == 0)
        through += at.inside & (depth > (1.0 + share) * at.depths)
        hits = np.flatnonzero(seen)
        counts[hits] += 1
        away = view.pose.center - xyz[hits]
        squares = np.sum(away * away, axis=1)
        cosines = np.abs(np.einsum("na,na->n", away, normals[hits])) / np.sqrt(squares)
        weight = (0.05 + cosines) / squares
        sums[hits] += weight[:, None] * view.rgb[at.rows[hits], at.columns[hits]]
        weights[hits] += weight
    rgb = sums / np.where(weights > 0, weights, 1.0)[:, None]
    return _Sightings(counts, looks, through, np.rint(rgb).astype(np.uint8))
