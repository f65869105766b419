"""The verification stage: which matches does a rigid scene explain?

Two passes over the pairs. The first finds F and adds matches along the epipolar lines. From all F
together follows a working focal length for cameras without a prior. The second chooses the model of
each pair and estimates its relative pose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import JsonValue

from pipeline.config import StageConfig, VerificationConfig
from pipeline.events import Progress, Record, Report
from pipeline.geometry.arrays import Bools, UInt32s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.epipolar import focal_from_fundamentals, sampson_errors
from pipeline.matching.guided import GuidedRules, match_along_lines
from pipeline.matching.two_view import (
    EpipolarFit,
    TwoViewPoints,
    describe_pair,
    fit_fundamental,
    refit_fundamental,
    refused,
)
from pipeline.products import (
    Features,
    FeatureSet,
    MatchSet,
    PairKind,
    PhotoIndex,
    TwoViewGeometries,
    TwoViewGeometry,
)
from pipeline.stage import Control, Inputs, Products, run_items

_MIN_FOCAL_INLIERS = 100  # an F from fewer says little about the focal length
_MAX_FOCAL_WEIGHT = 1000.0  # inliers beyond which a pair's vote counts no more
_GUIDED_PAIRS = 12
_MIN_GUIDED_INLIERS = 25
_MIN_GUIDED_SHARE = 0.5
_BAND_MEDIANS = 3.0  # half width of the band, in median errors of the matches


@dataclass(frozen=True, eq=False)
class FitTask:
    """A pair to fit: features of both photographs, putative matches (M, 2), whether to guide."""

    features: tuple[Features, Features]
    matches: UInt32s
    guided: bool
    config: VerificationConfig


@dataclass(frozen=True, eq=False)
class PairFit:
    """Matches (M, 2) of a pair, guided ones included, and the F they agree on, if any."""

    matches: UInt32s
    fit: EpipolarFit | None


@dataclass(frozen=True, eq=False)
class DescribeTask:
    """A fitted pair to describe, with its working cameras."""

    features: tuple[Features, Features]
    fitted: PairFit
    cameras: tuple[Camera, Camera]
    config: VerificationConfig


def fit_pair(task: FitTask) -> PairFit:
    """First pass: F of the putative matches, then guided matches and F of them all."""
    config = task.config
    points = _points(task.features, task.matches)
    fit = fit_fundamental(points.points1_px, points.points2_px, config)
    if fit is None:
        return PairFit(task.matches, None)
    matches = task.matches
    if task.guided and _trustworthy(fit.inliers):
        matches = _with_guided(task, points, fit)
        points = _points(task.features, matches)
        errors_px = sampson_errors(fit.F, points.points1_px, points.points2_px)
        fit = EpipolarFit(fit.F, errors_px < config.max_error_px)
    fit = refit_fundamental(fit, points.points1_px, points.points2_px, config.max_error_px)
    return PairFit(matches, fit)


def verify_pair(task: DescribeTask) -> TwoViewGeometry:
    """Second pass: the model of the pair."""
    points = _points(task.features, task.fitted.matches)
    return describe_pair(points, task.fitted.fit, task.cameras, task.config)


def _trustworthy(inliers: Bools) -> bool:
    """Whether F is surely right. Along the lines of a wrong F chance alone finds a match for one
    keypoint in fifty, so guided matching would make a false pair look true."""
    return bool(inliers.sum() >= _MIN_GUIDED_INLIERS and inliers.mean() >= _MIN_GUIDED_SHARE)


def _with_guided(task: FitTask, points: TwoViewPoints, fit: EpipolarFit) -> UInt32s:
    """The matches that agree with F, and those found along its lines between free keypoints.

    The band is as wide as the matches at hand need: a wider one only finds more wrong ones.
    """
    errors_px = sampson_errors(fit.F, points.points1_px, points.points2_px)[fit.inliers]
    band_px = float(np.clip(_BAND_MEDIANS * np.median(errors_px), 1.0, task.config.max_error_px))
    rules = GuidedRules(band_px, task.config.guided_ratio, task.config.guided_max_distance)
    agreed = points.matches[fit.inliers]
    found = match_along_lines(task.features[0], task.features[1], fit.F, rules)
    free = ~np.isin(found[:, 0], agreed[:, 0]) & ~np.isin(found[:, 1], agreed[:, 1])
    return np.concatenate([agreed, found[free]])


def _points(features: tuple[Features, Features], matches: UInt32s) -> TwoViewPoints:
    first, second = features
    return TwoViewPoints(
        matches,
        first.keypoints[matches[:, 0], :2].astype(np.float64),
        second.keypoints[matches[:, 1], :2].astype(np.float64),
    )


class VerifyMatches:
    """Stage `verification`."""

    name: ClassVar[str] = "verification"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "matches")
    makes: ClassVar[tuple[str, ...]] = ("geometries",)
    Config: ClassVar[type[StageConfig]] = VerificationConfig

    def run(
        self, inputs: Inputs, config: VerificationConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Verify every pair that has matches; the others keep the reason that matching gave."""
        photos: PhotoIndex = inputs["photos"]
        features: FeatureSet = inputs["features"]
        matches: MatchSet = inputs["matches"]
        wanted = np.flatnonzero(matches.counts >= config.min_inliers).tolist()
        pairs = [(int(i1), int(i2)) for i1, i2 in matches.indices]
        guided = _best_pairs(matches) & config.guided

        def features_of(p: int) -> tuple[Features, Features]:
            return features[pairs[p][0]], features[pairs[p][1]]

        def fit_tasks() -> Iterator[FitTask]:
            return (FitTask(features_of(p), matches[p], bool(guided[p]), config) for p in wanted)

        fits: dict[int, PairFit] = {}
        for done in run_items(fit_pair, fit_tasks(), control):
            fits[wanted[done.index]] = done.result
            if control.due():
                doing = (
                    "epipolar geometry, guided matching" if config.guided else "epipolar geometry"
                )
                yield Progress(len(fits), len(wanted), "pairs", doing)

        cameras = working_cameras(photos, {pairs[p]: found for p, found in fits.items()})
        camera_of = [cameras[photo.camera] for photo in photos.photos]

        def describe_tasks() -> Iterator[DescribeTask]:
            for p in wanted:
                i1, i2 = pairs[p]
                yield DescribeTask(features_of(p), fits[p], (camera_of[i1], camera_of[i2]), config)

        geometries: dict[tuple[int, int], TwoViewGeometry] = {}
        for done in run_items(verify_pair, describe_tasks(), control):
            geometries[pairs[wanted[done.index]]] = done.result
            if control.due():
                yield Progress(len(geometries), len(wanted), "pairs", "models and relative poses")
        for p in sorted(set(range(len(matches))) - set(wanted)):
            few = f"{matches.counts[p]} matches, {config.min_inliers} needed"
            geometries[pairs[p]] = refused(PairKind.DEGENERATE, matches.reasons[p] or few)
        result = TwoViewGeometries(dict(sorted(geometries.items())), tuple(cameras))
        yield Progress(len(wanted), len(wanted), "pairs")
        yield Report(_summary(result))
        return {"geometries": result}


def _best_pairs(matches: MatchSet) -> Bools:
    """Which pairs (P,) are among the `_GUIDED_PAIRS` with most matches of one of their photographs:
    among many partners the further ones show nothing that the best do not."""
    best = np.zeros(len(matches), np.bool_)
    taken = np.zeros(int(matches.indices.max(initial=0)) + 1, np.int64)
    for p in np.argsort(-matches.counts, kind="stable"):
        pair = matches.indices[p]
        best[p] = (taken[pair] < _GUIDED_PAIRS).any()
        taken[pair] += 1
    return best


def working_cameras(photos: PhotoIndex, fits: dict[tuple[int, int], PairFit]) -> list[Camera]:
    """The cameras, with a focal length voted by the F matrices where no prior is known.

    fits: by pair of image indices. Only pairs within one camera vote. A camera without a clear vote
    keeps its guess.
    """
    cameras = list(photos.cameras)
    for k, camera in enumerate(cameras):
        if camera.has_focal_prior:
            continue
        voters = [
            found.fit
            for pair, found in sorted(fits.items())
            if found.fit is not None
            and found.fit.inliers.sum() >= _MIN_FOCAL_INLIERS
            and all(photos.photos[i].camera == k for i in pair)
        ]
        focal_px = focal_from_fundamentals(
            [fit.F for fit in voters],
            [min(float(fit.inliers.sum()), _MAX_FOCAL_WEIGHT) for fit in voters],
            (camera.width, camera.height),
        )
        if focal_px is not None:
            cameras[k] = camera.with_focal_scaled(focal_px / camera.focal_px)
    return cameras


def _summary(result: TwoViewGeometries) -> dict[str, JsonValue]:
    verified = [g for _, g in result.verified()]
    kinds = Counter(g.kind.name.lower() for g in verified)
    return {
        "pairs": len(result.of_pair),
        "verified": len(verified),
        "inliers": sum(len(g.inliers) for g in verified),
        "kinds": dict(sorted(kinds.items())),
        "working_focal_px": [round(camera.focal_px, 1) for camera in result.cameras],
    }
