"""All that the stage `mesh` makes of depth maps, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import JsonValue
from scipy.spatial import cKDTree

from pipeline.dense.atlas import make_texture
from pipeline.dense.depth_views import MeshViews
from pipeline.dense.fusion import Fusion, fuse
from pipeline.dense.meshing import SUPPORT, Surface, make_surface
from pipeline.dense.surfaces import vertex_normals
from pipeline.dense.volumes import simplified
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.mesh_config import MeshConfig
from pipeline.mesh_products import NoMesh, SurfaceMesh

PARTS = ("fusing depth maps", "finding the surface", "colouring it", "making its texture")
_FEWEST_POINTS = 100
ResultT = TypeVar("ResultT")
Step = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Outcome:
    """product: of the stage. report: of it, as plain data."""

    product: SurfaceMesh
    report: dict[str, JsonValue]


def make_surfaces(views: MeshViews, config: MeshConfig) -> Generator[Step, None, Outcome | NoMesh]:
    """Make them; yields the number in `PARTS` of what is done, and of the view it is done with.

    There are none where fewer than 100 places are seen alike by enough depth maps, or no part of a
    surface is large enough. Raises NoOpen3d, and PipelineError where a map cannot be read.
    """
    fusion: Fusion = yield from _counted(fuse(views, config), [0])
    points = len(fusion.fused.cloud.xyz)
    if points < _FEWEST_POINTS:
        return NoMesh(
            f"{points} places are seen alike by {config.min_views} depth maps, "
            f"{_FEWEST_POINTS} needed"
        )
    surface: Surface = yield from _counted(make_surface(views, fusion, config), [1, 2])
    mesh = surface.mesh
    if not len(mesh.faces):
        return NoMesh(f"no part of the surface has {config.min_island} triangles")
    textured = None
    if config.texture:
        textured = yield from _textured(views, surface, config)
    report: dict[str, JsonValue] = {
        "points": points,
        "vertices": len(mesh.xyz),
        "triangles": len(mesh.faces),
        "voxel": surface.voxel,
        "triangles_bridging": surface.bridging,
        "holes_closed": surface.holes,
        "largest_hole": surface.largest_hole,
        "holes_left": surface.holes_left,
        "triangles_unsupported": surface.unsupported,
        "triangles_of_islands": surface.islands,
        "textured_triangles": len(textured.faces) if textured else 0,
    }
    return Outcome(SurfaceMesh(fusion.fused, mesh, textured), report)


def _textured(
    views: MeshViews, surface: Surface, config: MeshConfig
) -> Generator[Step, None, TriangleMesh]:
    """A simpler mesh, with a texture; its vertices keep the colours of the nearest ones."""
    yield 3, 0
    mesh = surface.mesh
    assert mesh.rgb is not None
    xyz, faces = simplified(
        mesh.xyz.astype(np.float64), mesh.faces, config.texture_triangles, surface.voxel
    )
    rgb = mesh.rgb[cKDTree(mesh.xyz).query(xyz)[1]]
    share = SUPPORT * config.max_depth_error / 100.0
    work = make_texture(views, xyz, faces, rgb, share, config.texture_px)
    texture = yield from _counted(work, [3])
    normals = vertex_normals(xyz, faces).astype(np.float32)
    return TriangleMesh(xyz.astype(np.float32), faces, rgb, normals, texture)


def _counted(
    work: Generator[int, None, ResultT], parts: list[int]
) -> Generator[Step, None, ResultT]:
    """The work with the number of its part before that of the view; a part ends where the views
    begin anew."""
    remaining: Iterator[int] = iter(parts)
    part, before = next(remaining), -1
    while True:
        try:
            view = next(work)
        except StopIteration as end:
            result: ResultT = end.value
            return result
        if view < before:
            part = next(remaining, part)
        before = view
        yield part, view
