"""Every parameter of the method: one model per stage, with unit, range and effect of each field.

A field says when a change takes effect: `live` (between two steps), `stage` (its stage and those
after it run again) or `restart` (a new run). The schema drives the config file, `--set`, and the
forms of terminal and browser. Unknown keys and impossible values are refused.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.config_base import StageConfig, setting
from pipeline.depth_config import DepthConfig
from pipeline.mesh_config import DraftConfig, MeshConfig
from pipeline.planar_config import PlanarConfig
from pipeline.radiance_config import RadianceConfig


class IngestConfig(StageConfig):
    """Which photographs are read and which of them share a camera."""

    cameras: Literal["auto", "single", "per-folder", "per-image"] = setting(
        "auto", "which photographs share intrinsics; auto: same make, model, focal length and size"
    )
    camera_model: Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"] = (
        setting("SIMPLE_RADIAL", "COLMAP camera model of every camera without given intrinsics")
    )
    default_focal: float = setting(
        1.2, "focal length where EXIF has none", unit="longer image side", gt=0.1, lt=20.0
    )
    masks: str = setting(
        "", "folder of masks named PHOTO.EXT.png or PHOTO.png; black is ignored; empty: none"
    )
    max_frames: int = setting(200, "most key frames taken from a video", unit="frames", ge=3)
    thumbnail_px: int = setting(320, "longer side of the thumbnails", unit="px", ge=32, le=1024)


class FeaturesConfig(StageConfig):
    """SIFT (Lowe, IJCV 2004), computed by OpenCV."""

    max_keypoints: int = setting(
        8192, "most keypoints kept of a photograph, spread over it", ge=50, le=65536
    )
    max_size_px: int = setting(
        3200, "photographs are scaled down to this longer side", unit="px", ge=64
    )
    octave_layers: int = setting(3, "scale samples per octave", ge=1, le=8)
    sigma: float = setting(1.6, "blur of the first layer of each octave", unit="px", ge=0.6, le=4.0)
    first_octave: Literal[-1, 0] = setting(
        -1, "-1: the photograph is doubled first, which finds the finest keypoints"
    )
    preset: Literal["dense", "lowe"] = setting(
        "dense", "dense: |D| threshold of `peak_threshold`; lowe: 0.03 as in Lowe's paper"
    )
    peak_threshold: float = setting(
        0.02 / 3, "least |D| at an extremum, grey values in [0, 1]", gt=0.0, lt=0.5
    )
    edge_ratio: float = setting(
        10.0, "most ratio r of principal curvatures; larger keeps edges", gt=1.0, le=100.0
    )
    max_orientations: int = setting(2, "most orientations kept per location", ge=1, le=4)


class PairsConfig(StageConfig):
    """Which photographs are compared with which."""

    method: Literal["auto", "exhaustive", "sequential", "retrieval"] = setting(
        "auto", "auto: exhaustive up to `exhaustive_limit` photographs, retrieval beyond"
    )
    exhaustive_limit: int = setting(200, "most photographs that auto compares all with all", ge=2)
    neighbours: int = setting(
        40, "retrieval: most similar photographs compared with each", ge=1, le=1000
    )
    overlap: int = setting(10, "sequential: following photographs compared with each", ge=1)
    loop_closure: bool = setting(True, "sequential: also compare with similar distant photographs")
    words: int = setting(64, "retrieval: visual words of the VLAD descriptor", ge=8, le=1024)
    seed: int = setting(0, "seed of the word training", ge=0)


class MatchingConfig(StageConfig):
    """Nearest descriptors of a pair of photographs."""

    method: Literal["exact", "kdtree"] = setting(
        "exact", "exact: matrix product; kdtree: a tree per photograph, `kdtree_buckets` visited"
    )
    ratio: float = setting(
        0.8, "a match is kept when nearest / second nearest distance is below this", gt=0.0, le=1.0
    )
    max_distance: float = setting(
        0.7, "most distance |f_i - f_j| of unit descriptors", unit="unit sphere", gt=0.0, le=2.0
    )
    mutual: bool = setting(True, "keep a match only if it is the nearest in both directions")
    preview_keypoints: int = setting(
        1024,
        "compare this many of the largest keypoints first, and all only where that leaves doubt; "
        "0: always all",
        ge=0,
    )
    kdtree_buckets: int = setting(200, "kdtree: leaves a query may visit", ge=1, le=10000)


class VerificationConfig(StageConfig):
    """Two-view geometry of the matched pairs."""

    max_error_px: float = setting(
        4.0, "most epipolar or transfer error of an inlier", unit="px", gt=0.0, le=50.0
    )
    confidence: float = setting(0.9999, "probability that RANSAC saw a clean sample", gt=0.5, lt=1)
    max_trials: int = setting(10000, "most RANSAC trials", ge=10, le=1000000)
    min_inliers: int = setting(15, "a pair with fewer inliers is refused", ge=7)
    guided: bool = setting(
        True, "look for more matches along the epipolar lines of a verified pair"
    )
    guided_ratio: float = setting(
        0.8, "as matching.ratio, among the candidates along the line", gt=0.0, le=1.0
    )
    guided_max_distance: float = setting(
        0.7, "as matching.max_distance, along the line", unit="unit sphere", gt=0.0, le=2.0
    )


class MappingConfig(StageConfig):
    """Incremental structure from motion."""

    next_image: Literal["visibility", "overlap"] = setting(
        "visibility", "visibility: points well spread over the image; overlap: most shared points"
    )
    min_pair_inliers: int = setting(100, "inliers that an initial pair needs", ge=15)
    min_initial_angle_deg: float = setting(
        16.0, "median triangulation angle that an initial pair needs", unit="deg", gt=0, lt=90
    )
    min_resection_inliers: int = setting(
        30, "2D-3D inliers that registration needs", applies="live", ge=6
    )
    max_resection_error_px: float = setting(
        12.0, "most reprojection error in resection", unit="px", applies="live", gt=0.0
    )
    max_reprojection_error_px: float = setting(
        4.0,
        "observations with a larger error are dropped",
        unit="px",
        applies="live",
        gt=0.0,
        le=50.0,
    )
    min_triangulation_angle_deg: float = setting(
        1.5,
        "points seen under a smaller angle are dropped",
        unit="deg",
        applies="live",
        gt=0.0,
        lt=45.0,
    )
    global_growth: float = setting(
        1.2,
        "the whole model is adjusted when it has this many times the photographs or points of last "
        "time; smaller: slower and steadier",
        unit="times",
        applies="live",
        ge=1.0,
        le=10.0,
    )
    local_images: int = setting(
        6,
        "in between, each new photograph is adjusted with its nearest, this many in all; models "
        "of up to this size always as a whole",
        unit="photographs",
        applies="live",
        ge=2,
        le=100,
    )
    global_iterations: int = setting(
        15,
        "most iterations of an adjustment of the whole model while it grows",
        unit="iterations",
        applies="live",
        ge=1,
        le=200,
    )
    local_iterations: int = setting(
        10,
        "most iterations of an adjustment of new photographs and their nearest",
        unit="iterations",
        applies="live",
        ge=1,
        le=200,
    )
    loss: Literal["none", "huber", "soft_l1", "cauchy"] = setting(
        "cauchy", "robust loss of the final bundle adjustment", applies="live"
    )
    loss_scale_px: float = setting(
        1.0, "residual at which the loss begins to bend", unit="px", applies="live", gt=0.0
    )
    refine_focal: bool = setting(True, "bundle adjustment refines the focal length", applies="live")
    refine_distortion: bool = setting(
        True, "bundle adjustment refines the distortion", applies="live"
    )
    refine_principal_point: Literal["auto", "always", "never"] = setting(
        "auto",
        "auto: where many photographs share the camera and it is well determined",
        applies="live",
    )
    max_models: int = setting(20, "most models when the photographs fall apart", ge=1, le=1000)
    min_model_images: int = setting(3, "smaller models are dropped", ge=2)
    seed: int = setting(0, "seed of the sampling", ge=0)


class ClusterConfig(StageConfig):
    """Where features, matching, verification and depth are computed; no stage, and no result
    depends on it."""

    workers: int = setting(
        0,
        "compute in this many processes of a Dask cluster on this machine; 0: in threads, or on "
        "the cluster of --cluster",
        unit="processes",
        applies="restart",
        ge=0,
        le=1024,
    )
    shared_files: Literal["auto", "yes", "no"] = setting(
        "auto",
        "whether the cluster's workers read the run directory; no: data goes through the "
        "scheduler; auto: try it",
        applies="restart",
    )


class RunConfig(BaseModel):
    """The configuration of a run: one section per stage, and the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ingest: IngestConfig = IngestConfig()
    features: FeaturesConfig = FeaturesConfig()
    pairs: PairsConfig = PairsConfig()
    matching: MatchingConfig = MatchingConfig()
    verification: VerificationConfig = VerificationConfig()
    mapping: MappingConfig = MappingConfig()
    draft: DraftConfig = DraftConfig()
    radiance: RadianceConfig = RadianceConfig()
    depth: DepthConfig = DepthConfig()
    mesh: MeshConfig = MeshConfig()
    planar: PlanarConfig = PlanarConfig()
    cluster: ClusterConfig = ClusterConfig()
