"""From depth maps, or their fused cloud, to triangles: what open3d does."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from pipeline.dense.depth_views import MeshViews
from pipeline.dense.open3d_loader import load_open3d
from pipeline.formats.ply import PointCloud
from pipeline.geometry.arrays import Float64s, Int64s

_BLOCK = 8  # voxels along an edge of what is allocated together
_TRUNCATION = 4.0  # voxels on both sides of a surface that are known
_MOST_BLOCKS = 250_000  # 1 GB; beyond, voxels grow
_GROWTH = 1.5
_LEAST_WEIGHT = 1.0  # views that have seen a voxel
_FARTHEST = 1e6  # voxels
_POISSON_DEPTHS = 6, 10  # of the octree
_MANY = 4
_CLUSTER = 1.1
_LEAST_SCALE = 1.1  # of Poisson's cube, to the cloud's

Triangles = tuple[Float64s, Int64s]


class _TooManyBlocks(Exception):
    pass


def tsdf_surface(views: MeshViews, voxel: float) -> Generator[int, None, tuple[Triangles, float]]:
    """The zero level of the mean of the depth maps' truncated signed distances (Curless and Levoy,
    SIGGRAPH 1996); yields the number of each view before it is added.

    All that the maps know counts, not only what several agree on: what is wrong in one is far from
    the others, and leaves small islands. voxel: edge, in the world. Result: vertices and triangles,
    and the edge of the voxels, which grow where memory would not do. Raises NoOpen3d.
    """
    while True:
        try:
            surface = yield from _integrated(views, voxel)
        except _TooManyBlocks:
            voxel *= _GROWTH
        else:
            return surface, voxel


def _integrated(views: MeshViews, voxel: float) -> Generator[int, None, Triangles]:
    open3d = load_open3d()
    core = open3d.core
    floats = (core.float32, core.float32)
    grid = open3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight"), floats, ((1,), (1,)), voxel, _BLOCK, 10_000, core.Device("CPU:0")
    )
    for n in range(len(views)):
        yield n
        view = views[n]
        if not view.depth.any():
            continue
        image = open3d.t.geometry.Image(core.Tensor(view.depth))
        fx, fy, cx, cy = view.camera.params
        # open3d has the centre of the first pixel at (0, 0).
        matrix = core.Tensor(np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1.0]]))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = view.pose.rotation, view.pose.translation
        place = core.Tensor(pose)
        limits = 1.0, float(view.depth.max()) + voxel, _TRUNCATION
        blocks = grid.compute_unique_block_coordinates(image, matrix, place, *limits)
        grid.integrate(blocks, image, matrix, place, *limits)
        if grid.hashmap().size() > _MOST_BLOCKS:
            raise _TooManyBlocks
    if grid.hashmap().size() == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    return _in_order(grid.extract_triangle_mesh(_LEAST_WEIGHT))


def poisson_surface(cloud: PointCloud, voxel: float) -> Triangles:
    """The screened Poisson surface (Kazhdan and Hoppe, ToG 2013) of a cloud with normals; it is
    closed, far beyond the cloud too. Cells of its octree have a voxel's edge, and a larger one
    where ten levels do not do. Raises NoOpen3d."""
    open3d = load_open3d()
    xyz = cloud.xyz.astype(np.float64)
    points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz))
    points.normals = open3d.utility.Vector3dVector(np.asarray(cloud.normals, np.float64))
    extent = float(np.ptp(xyz, axis=0).max())
    cells = _LEAST_SCALE * extent / voxel
    depth = int(np.clip(np.ceil(np.log2(max(cells, 1.0))), *_POISSON_DEPTHS))
    # The cube grows until its cells have the edge that is wanted: levels alone go by powers of two.
    scale = max(_LEAST_SCALE, 2.0**depth * voxel / max(extent, voxel))
    # One thread: with more its sums, and so its vertices, differ from time to time.
    mesh, _ = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        points, depth=depth, scale=scale, n_threads=1
    )
    return np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64)


def simplified(xyz: Float64s, faces: Int64s, triangles: int, voxel: float) -> Triangles:
    """At most so many triangles in place of a mesh's, which has cells of a voxel's edge (Garland
    and Heckbert, SIGGRAPH 1997). Raises NoOpen3d."""
    if len(faces) <= triangles:
        return xyz, faces
    open3d = load_open3d()
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(xyz), open3d.utility.Vector3iVector(faces.astype(np.int32))
    )
    if len(faces) > _MANY * triangles:  # that takes its time: first to a few times as many
        cells = voxel * np.sqrt(len(faces) / (_MANY * triangles))
        mesh = mesh.simplify_vertex_clustering(_CLUSTER * cells)
    mesh = mesh.simplify_quadric_decimation(triangles)
    mesh.remove_degenerate_triangles()
    mesh.remove_duplicated_triangles()
    mesh.remove_unreferenced_vertices()
    return np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64)


def _in_order(mesh: Any) -> Triangles:
    """A mesh with its vertices and triangles sorted: open3d's threads leave them in any order."""
    xyz = mesh.vertex.positions.numpy().astype(np.float64)
    faces = mesh.triangle.indices.numpy().astype(np.int64)
    order = np.lexsort(xyz.T)
    new = np.empty(len(xyz), np.int64)
    new[order] = np.arange(len(xyz))
    faces = new[faces]
    first = faces.argmin(axis=1)[:, None]
    faces = np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1)
    return xyz[order], faces[np.lexsort(faces.T)]
