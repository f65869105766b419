"""Pose of one more photograph from points that it sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.config import MappingConfig
from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec

_MIN_INLIER_RATIO = 0.2
_CONFIDENCE = 0.99999
_TRIALS = 2000
_FOCAL_FACTORS = np.geomspace(0.4, 2.5, 13)


@dataclass(frozen=True, eq=False)
class Resection:
    """A pose that explains points: camera with the focal length that was found, inliers (N,)
    bool.
    """

    cam_from_world: Pose
    camera: Camera
    inliers: Bools
    cost: float


@dataclass(frozen=True)
class ResectionFailure:
    """Why no pose was found, in words."""

    reason: str


def resect(
    points_world: Float64s,
    points_px: Float64s,
    camera: Camera,
    search_focal: bool,
    config: MappingConfig,
) -> Resection | ResectionFailure:
    """P3P in RANSAC (Ke & Roumeliotis, CVPR 2017, through OpenCV), refined on the inliers.

    points_world: (N, 3). points_px: (N, 2). search_focal: the focal length is a guess that no other
    photograph has confirmed; several multiples of it are tried.
    """
    needed = config.min_resection_inliers
    if len(points_world) < needed:
        return ResectionFailure(f"sees {len(points_world)} points of the model, {needed} needed")
    best: Resection | None = None
    for factor in _FOCAL_FACTORS if search_focal else (1.0,):
        trial = camera.with_focal_scaled(float(factor))
        found = _resect_calibrated(points_world, points_px, trial, config)
        if found is not None and (best is None or found.cost < best.cost):
            best = found
    inliers = int(best.inliers.sum()) if best is not None else 0
    if best is None or inliers < needed or inliers < _MIN_INLIER_RATIO * len(points_world):
        wanted = max(needed, int(np.ceil(_MIN_INLIER_RATIO * len(points_world))))
        return ResectionFailure(
            f"{inliers} of the {len(points_world)} points it sees agree on a pose, {wanted} needed"
        )
    return best


def _resect_calibrated(
    points_world: Float64s, points_px: Float64s, camera: Camera, config: MappingConfig
) -> Resection | None:
    rays = camera.unproject(points_px)
    limit = config.max_resection_error_px
    # The draw of OpenCV's samples is fixed; shuffling makes it depend on our seed.
    order = np.random.default_rng(config.seed).permutation(len(points_world))
    found, rotvec, translation, _ = cv2.solvePnPRansac(
        points_world[order], rays[order], np.eye(3), None, iterationsCount=_TRIALS,
        reprojectionError=limit / camera.focal_px, confidence=_CONFIDENCE, flags=cv2.SOLVEPNP_AP3P,
    )  # fmt: skip
    if not found:
        return None
    for _ in range(2):
        pose = Pose(rotation_from_rotvec(rotvec.ravel()), translation.ravel().astype(np.float64))
        with np.errstate(invalid="ignore"):
            errors = np.linalg.norm(camera.project(pose.apply(points_world)) - points_px, axis=1)
            inliers = errors < limit
        if inliers.sum() < 6:
            return None
        rotvec, translation = cv2.solvePnPRefineLM(
            points_world[inliers], rays[inliers], np.eye(3), None, rotvec, translation
        )
    cost = float(np.sum(np.minimum(np.nan_to_num(errors, nan=limit), limit) ** 2))
    return Resection(pose, camera, inliers, cost)
