"""Two-view geometry of one pair: RANSAC for F, E and H, the choice between them, and the reason.

The thresholds and the choice follow COLMAP's two-view geometry estimation; the estimators are
OpenCV's USAC with MAGSAC++ scoring (Barath et al., CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.config import VerificationConfig
from pipeline.geometry import epipolar
from pipeline.geometry.arrays import Bools, Float64s, UInt32s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.homography import rotation_between_rays, transfer_errors
from pipeline.geometry.poses import Pose
from pipeline.products import PairKind, TwoViewGeometry

_MIN_SHARE = 0.2  # fewer of the matches agree with some F by chance alone
_CALIBRATED_SHARE = 0.95  # E must explain this share of what F explains
_PLANAR_SHARE = 0.8  # H explaining this share of the inliers means a plane or a turn
_ESSENTIAL_SAMPLE = 300
_WATERMARK_SHARE = 0.7
_WATERMARK_BORDER = 0.1


@dataclass(frozen=True, eq=False)
class EpipolarFit:
    """F (3, 3) with the matches that agree: inliers (M,) bool."""

    F: Float64s
    inliers: Bools


@dataclass(frozen=True, eq=False)
class TwoViewPoints:
    """Matched keypoints of a pair: matches (M, 2) uint32, points1_px, points2_px (M, 2) float64."""

    matches: UInt32s
    points1_px: Float64s
    points2_px: Float64s


def fit_fundamental(
    points1_px: Float64s, points2_px: Float64s, config: VerificationConfig
) -> EpipolarFit | None:
    """F by RANSAC from matched points (M, 2) each; None when fewer than eight agree."""
    if len(points1_px) < 8:
        return None
    limits = (config.max_error_px, config.confidence, config.max_trials)
    try:
        F, _ = cv2.findFundamentalMat(points1_px, points2_px, cv2.USAC_MAGSAC, *limits)
    except cv2.error:
        # OpenCV 5.0 raises where none of its USAC samples gives a model; plain RANSAC draws anew.
        F, _ = cv2.findFundamentalMat(points1_px, points2_px, cv2.FM_RANSAC, *limits)
    if F is None or F.shape != (3, 3):
        return None
    inliers = epipolar.sampson_errors(F, points1_px, points2_px) < config.max_error_px
    return EpipolarFit(F / np.linalg.norm(F), inliers) if inliers.sum() >= 8 else None


def refit_fundamental(
    fit: EpipolarFit, points1_px: Float64s, points2_px: Float64s, max_error_px: float
) -> EpipolarFit:
    """Least squares on the inliers, twice, kept only while more matches agree."""
    for _ in range(2):
        F = epipolar.fundamental_from_points(points1_px[fit.inliers], points2_px[fit.inliers])
        if F is None:
            break
        inliers = epipolar.sampson_errors(F, points1_px, points2_px) < max_error_px
        if inliers.sum() < fit.inliers.sum():
            break
        fit = EpipolarFit(F, inliers)
    return fit


def refused(kind: PairKind, reason: str) -> TwoViewGeometry:
    """A pair that takes no part, with the reason in words."""
    return TwoViewGeometry(kind=kind, inliers=np.zeros((0, 2), np.uint32), reason=reason)


def describe_pair(
    points: TwoViewPoints,
    fit: EpipolarFit | None,
    cameras: tuple[Camera, Camera],
    config: VerificationConfig,
) -> TwoViewGeometry:
    """Choose the model of a pair and estimate its relative pose.

    cameras: the working intrinsics; where a focal length is only a guess E serves for the pose but
    the pair counts as uncalibrated. A pair without a model that explains `config.min_inliers`
    matches is refused with its reason.
    """
    H, in_homography = _fit_homography(points, config)
    in_fundamental = fit.inliers if fit is not None else np.zeros(len(points.matches), bool)
    best = max(in_fundamental.sum(), in_homography.sum())
    needed = max(config.min_inliers, int(np.ceil(_MIN_SHARE * len(points.matches))))
    if best < needed:
        reason = f"{best} of {len(points.matches)} matches agree, {needed} needed"
        return refused(PairKind.DEGENERATE, reason)
    camera1, camera2 = cameras
    rays1, rays2 = camera1.unproject(points.points1_px), camera2.unproject(points.points2_px)
    focal_px = 0.5 * (camera1.focal_px + camera2.focal_px)
    planar = in_homography.sum() > _PLANAR_SHARE * in_fundamental.sum()
    if planar and _is_turn(rays1[in_homography], rays2[in_homography], config, focal_px):
        return _accepted(PairKind.PANORAMIC, points, in_homography, H=H)
    E, in_essential = _fit_essential(rays1, rays2, in_fundamental, config, focal_px)
    calibrated = camera1.has_focal_prior and camera2.has_focal_prior
    calibrated &= in_essential.sum() > _CALIBRATED_SHARE * in_fundamental.sum()
    inliers = in_essential if calibrated else in_fundamental
    if planar and in_homography.sum() >= inliers.sum():
        inliers = in_homography
    if _is_watermark(points, inliers, cameras):
        return refused(PairKind.WATERMARK, "the matches are a mark that moves with the frame")
    kind = PairKind.CALIBRATED if calibrated else PairKind.UNCALIBRATED
    if planar:
        kind = PairKind.PLANAR
    found = (
        epipolar.pose_from_essential(E, rays1[inliers], rays2[inliers]) if E is not None else None
    )
    angles = found.angles[found.in_front] if found is not None else np.zeros(0)
    return _accepted(
        kind,
        points,
        inliers,
        F=fit.F if fit is not None else None,
        E=E,
        H=H,
        cam2_from_cam1=found.cam2_from_cam1 if found is not None else None,
        angle_deg=float(np.degrees(np.median(angles))) if len(angles) else 0.0,
    )


def _accepted(
    kind: PairKind,
    points: TwoViewPoints,
    inliers: Bools,
    *,
    F: Float64s | None = None,
    E: Float64s | None = None,
    H: Float64s | None = None,
    cam2_from_cam1: Pose | None = None,
    angle_deg: float = 0.0,
) -> TwoViewGeometry:
    matches = points.matches[inliers]
    return TwoViewGeometry(kind, matches, F, E, H, cam2_from_cam1, angle_deg)


def _fit_homography(
    points: TwoViewPoints, config: VerificationConfig
) -> tuple[Float64s | None, Bools]:
    nothing = np.zeros(len(points.matches), bool)
    if len(points.matches) < 4:
        return None, nothing
    H, _ = cv2.findHomography(
        points.points1_px, points.points2_px, cv2.USAC_FAST, config.max_error_px, None, 2000, 0.999
    )
    if H is None:
        return None, nothing
    return H, transfer_errors(H, points.points1_px, points.points2_px) < config.max_error_px


def _fit_essential(
    rays1: Float64s, rays2: Float64s, candidates: Bools, config: VerificationConfig, focal_px: float
) -> tuple[Float64s | None, Bools]:
    """E by RANSAC among the matches that F explains, and which of all matches agree with it."""
    nothing = np.zeros(len(rays1), bool)
    if candidates.sum() < 6:
        return None, nothing
    threshold = config.max_error_px / focal_px
    # A few hundred matches determine E; more only cost time.
    chosen = np.flatnonzero(candidates)[:: 1 + int(candidates.sum()) // _ESSENTIAL_SAMPLE]
    rays = rays1[chosen], rays2[chosen], np.eye(3)
    limits = (config.confidence, threshold, config.max_trials)
    try:
        E, _ = cv2.findEssentialMat(*rays, cv2.USAC_MAGSAC, *limits)
    except cv2.error:
        E, _ = cv2.findEssentialMat(*rays, cv2.RANSAC, *limits)  # as for F
    if E is None or E.shape != (3, 3):
        return None, nothing
    return E, epipolar.sampson_errors(E, rays1, rays2) < threshold


def _is_turn(rays1: Float64s, rays2: Float64s, config: VerificationConfig, focal_px: float) -> bool:
    """Whether a rotation alone explains the matches: no parallax, a panorama."""
    if len(rays1) < 4:
        return False
    R = rotation_between_rays(rays1, rays2)
    errors_px = focal_px * transfer_errors(R, rays1, rays2)
    return float(np.mean(errors_px < config.max_error_px)) > _PLANAR_SHARE


def _is_watermark(points: TwoViewPoints, inliers: Bools, cameras: tuple[Camera, Camera]) -> bool:
    """Whether most inliers lie in the border and moved together: a caption, a date, a logo."""
    if inliers.sum() == 0:
        return False
    in_border = np.ones(int(inliers.sum()), bool)
    for xy, camera in zip((points.points1_px, points.points2_px), cameras, strict=True):
        margin = _WATERMARK_BORDER * np.hypot(camera.width, camera.height)
        inner = np.all(
            (xy[inliers] > margin) & (xy[inliers] < (camera.width, camera.height) - margin), 1
        )
        in_border &= ~inner
    if in_border.mean() < _WATERMARK_SHARE:
        return False
    shift = points.points2_px[inliers][in_border] - points.points1_px[inliers][in_border]
    together = np.linalg.norm(shift - np.median(shift, axis=0), axis=1) < 4.0
    return float(together.sum()) > _WATERMARK_SHARE * float(inliers.sum())
