"""The parameters of the stages `draft` and `mesh`."""

from __future__ import annotations

from typing import Literal

from pipeline.config_base import StageConfig, setting


class DraftConfig(StageConfig):
    """A quick mesh straight from the points of mapping (Labatut et al., ICCV 2007)."""

    max_points: int = setting(
        20_000,
        "most points used, spread over the scene; more take longer and show more",
        unit="points",
        ge=50,
        le=1_000_000,
    )
    quality: float = setting(
        1.0,
        "how many rays a triangle that does not look like one of a surface must have for it; "
        "larger: smoother, with less detail",
        unit="rays",
        ge=0.0,
        le=100.0,
    )
    max_edge: float = setting(
        4.0,
        "triangles with an edge longer than this many times one that 95 % are shorter than are "
        "left out",
        unit="times",
        gt=1.0,
        le=1000.0,
    )
    smoothing: int = setting(
        3, "times that the surface is smoothed, without shrinking", unit="times", ge=0, le=100
    )


class MeshConfig(StageConfig):
    """The surface that depth maps agree on."""

    source: Literal["photographs", "field"] = setting(
        "photographs",
        "depth maps to use: photographs: those of the stage depth; field: those that the radiance "
        "field shows, which fill gaps and lose detail; a run without given or mapped poses has no "
        "others",
    )
    method: Literal["tsdf", "poisson"] = setting(
        "poisson",
        "poisson: a surface through the fused cloud, which closes gaps (Kazhdan and Hoppe, ToG "
        "2013); tsdf: the mean of the depth maps' signed distances (Curless and Levoy, SIGGRAPH "
        "1996), with thinner things and more noise",
    )
    min_views: int = setting(
        2, "photographs that must agree on a place", unit="photographs", ge=1, le=100
    )
    check_views: int = setting(
        20, "most other photographs asked about a place", unit="photographs", ge=1, le=1000
    )
    max_reprojection_error_px: float = setting(
        2.0, "most distance of what another depth map sees there", unit="px", gt=0.0, le=100.0
    )
    max_depth_error: float = setting(
        1.0, "most difference of depths that agree", unit="percent", gt=0.0, le=50.0
    )
    max_normal_error_deg: float = setting(
        10.0, "most angle of normals that agree", unit="deg", gt=0.0, le=180.0
    )
    voxel_px: float = setting(
        3.0,
        "edge of a cell of the mesh; smaller: finer, slower, more memory",
        unit="pixels of a depth map, at the median depth",
        gt=0.1,
        le=100.0,
    )
    max_gap: float = setting(
        4.0,
        "how far from what photographs agree on the surface goes on where two look and know no "
        "depth, and none sees through it; 0: nowhere",
        unit="cells",
        ge=0.0,
        le=100.0,
    )
    min_island: int = setting(
        200, "parts of the surface with fewer triangles are left out", unit="triangles", ge=0
    )
    max_hole: int = setting(
        40, "holes with at most this many edges around are closed; 0: none", unit="edges", ge=0
    )
    texture: bool = setting(True, "make a simpler mesh with a texture, too")
    texture_triangles: int = setting(
        60_000, "most triangles of the mesh with a texture", unit="triangles", ge=100
    )
    texture_px: int = setting(
        4096, "most pixels of a side of the texture", unit="px", ge=256, le=16384
    )
