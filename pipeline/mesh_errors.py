"""A mesh against the true surface: what `barfield compare` says of a run's meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.surfaces import SurfaceDistance, scatter, triangle_areas
from pipeline.visibility import Viewpoint, times_seen

CLOSE = 0.01
"""A part of the true surface is found where the mesh comes nearer than this share of the scene."""
_PHOTOGRAPHS = 2
_MOST_SAMPLES = 3e6


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh, or a cloud where it has no triangles.

    vertices: (V, 3) float64. triangles: (T, 3) int64, rows of vertices, or None.
    """

    vertices: Float64s
    triangles: Int64s | None

    def __post_init__(self) -> None:
        if self.vertices.shape != (len(self.vertices), 3):
            raise ValueError(f"vertices are {self.vertices.shape}, not (V, 3)")
        if self.triangles is not None and self.triangles.shape != (len(self.triangles), 3):
            raise ValueError(f"triangles are {self.triangles.shape}, not (T, 3)")


@dataclass(frozen=True)
class MeshErrors:
    """A mesh beside the true surface, as far as at least two photographs see each.

    mean_distance: of the mesh to the true surface, by area, in true units; mean_relative and
    median_relative in units of the scene size, the largest distance of a camera centre from the
    mean of all. within_1_percent: share of the true surface, by area, that is nearer to the mesh
    than 1 % of the scene size. All are None, and `reason` says why, where two photographs see
    nothing of either.
    """

    mean_distance: float | None = None
    mean_relative: float | None = None
    median_relative: float | None = None
    within_1_percent: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def mesh_errors(
    mesh: Surface,
    true: Surface,
    viewpoints: Sequence[Viewpoint],
    *,
    judged: int = 100_000,
    spacing: float = 0.004,
    seed: int = 0,
) -> MeshErrors:
    """Compare a mesh with the true surface, both in the true world, as photographs at `viewpoints`
    see them.

    Accuracy and completeness after Seitz et al., "A comparison and evaluation of multi-view stereo
    reconstruction algorithms", CVPR 2006, but of means. What hides behind its own surface from all
    photographs but one counts on neither side; of a cloud all counts. judged: random places of
    either (`seed`); with 100 thousand a share of 90 % is known to 0.1 %. spacing: of the samples
    that find near triangles, in scene sizes; more where 3 million do not cover a surface so. On the
    scene `desk`, 0.4 % make the mean too large by 0.002 % of the scene size.
    """
    centers = np.array([view.cam_from_world.center for view in viewpoints]).reshape(-1, 3)
    size = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max(initial=0.0))
    if not size > 0.0:
        return MeshErrors(reason="the cameras stand in one place")
    rng = np.random.default_rng(seed)
    places, expected = (_seen(surface, viewpoints, judged, rng) for surface in (mesh, true))
    if not len(places) or not len(expected):
        of = "the true surface" if len(places) else "the mesh"
        return MeshErrors(reason=f"{of} has nothing that {_PHOTOGRAPHS} photographs see")
    wrong = _distance(true, spacing * size)(places)
    missed = _distance(mesh, spacing * size)(expected)
    return MeshErrors(
        float(wrong.mean()),
        float(wrong.mean() / size),
        float(np.median(wrong) / size),
        float((missed <= CLOSE * size).mean()),
    )


def _seen(
    surface: Surface, viewpoints: Sequence[Viewpoint], count: int, rng: np.random.Generator
) -> Float64s:
    """Those of `count` random places of a surface that enough photographs see: (N, 3)."""
    if surface.triangles is None:
        count = min(count, len(surface.vertices))
        return surface.vertices[rng.choice(len(surface.vertices), count, replace=False)]
    points = scatter(surface.vertices, surface.triangles, count, rng)
    seen = times_seen(points, surface.vertices, surface.triangles, viewpoints)
    return points[seen >= _PHOTOGRAPHS]


def _distance(surface: Surface, spacing: float) -> SurfaceDistance:
    if surface.triangles is None:
        return SurfaceDistance(surface.vertices, None, spacing)
    area = float(triangle_areas(surface.vertices, surface.triangles).sum())
    spacing = max(spacing, float(np.sqrt(area / _MOST_SAMPLES)))
    return SurfaceDistance(surface.vertices, surface.triangles, spacing)
