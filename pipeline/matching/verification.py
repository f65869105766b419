"""The verification stage: which matches does a rigid scene explain?

Two passes over the pairs. The first finds F. From all F together follows a working focal length for
cameras without a prior. The second adds matches along the epipolar lines, chooses the model and
estimates relative poses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pipeline.config import VerificationConfig
from pipeline.events import Progress, Record, Report
from pipeline.geometry.arrays import UInt32s
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.geometry.epipolar import focal_from_fundamentals, sampson_errors
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

_MIN_FOCAL_INLIERS = 50  # an F from fewer says nothing about the focal length
_MIN_GUIDED_INLIERS = 25
_MIN_GUIDED_SHARE = 0.5
_BAND_MEDIANS = 3.0  # half width of the band, in median errors of the matches


@dataclass(frozen=True, eq=False)
class PairTask:
    """One pair to verify: features of both photographs, putative matches (M, 2), and cameras."""

    pair: tuple[int, int]
    features: tuple[Features, Features]
    matches: UInt32s
    cameras: tuple[Camera, Camera]
    config: VerificationConfig
    fit: Any = None


def fit_pair(task: PairTask) -> Any:
    """First pass: F of the putative matches, an `EpipolarFit` or None."""
    from pipeline.matching.two_view import fit_fundamental

    points = _points_of(task, task.matches)
    return fit_fundamental(points.points1_px, points.points2_px, task.config)


def verify_pair(task: PairTask) -> TwoViewGeometry:
    """Second pass: guided matches, then the geometry of the pair."""
    from pipeline.matching.two_view import describe_pair, refit_fundamental

    fit, matches, config = task.fit, task.matches, task.config
    if fit is not None and config.guided and _trustworthy(fit.inliers):
        matches = _with_guided(task)
    points = _points_of(task, matches)
    if fit is not None:
        in_line = type(fit)(fit.F, _inliers(fit.F, points, config.max_error_px))
        fit = refit_fundamental(in_line, points.points1_px, points.points2_px, config.max_error_px)
    return describe_pair(points, fit, task.cameras, config)


def _trustworthy(inliers: Any) -> bool:
    """Whether F is surely right. Along the lines of a wrong F chance alone finds a match for one
    keypoint in fifty, so guided matching would make a false pair look true."""
    return bool(inliers.sum() >= _MIN_GUIDED_INLIERS and inliers.mean() >= _MIN_GUIDED_SHARE)


def _with_guided(task: PairTask) -> UInt32s:
    """The matches that agree with F, and those found along its lines between free keypoints.

    The band is as wide as the matches at hand need: a wider one only finds more wrong ones.
    """
    from pipeline.matching.guided import GuidedRules, match_along_lines

    points = _points_of(task, task.matches[task.fit.inliers])
    errors_px = sampson_errors(task.fit.F, points.points1_px, points.points2_px)
    band_px = float(np.clip(_BAND_MEDIANS * np.median(errors_px), 1.0, task.config.max_error_px))
    rules = GuidedRules(band_px, ratio=0.8, max_distance=0.7)
    agreed = points.matches
    found = match_along_lines(task.features[0], task.features[1], task.fit.F, rules)
    free = ~np.isin(found[:, 0], agreed[:, 0]) & ~np.isin(found[:, 1], agreed[:, 1])
    return np.concatenate([agreed, found[free]])


def _points_of(task: PairTask, matches: UInt32s) -> Any:
    from pipeline.matching.two_view import TwoViewPoints

    first, second = task.features
    return TwoViewPoints(
        matches,
        first.keypoints[matches[:, 0], :2].astype(np.float64),
        second.keypoints[matches[:, 1], :2].astype(np.float64),
    )


def _inliers(F: Any, points: Any, max_error_px: float) -> Any:
    return sampson_errors(F, points.points1_px, points.points2_px) < max_error_px


class VerifyMatches:
    """Stage `verification`."""

    name: ClassVar[str] = "verification"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "matches")
    makes: ClassVar[tuple[str, ...]] = ("geometries",)
    Config: ClassVar[type[VerificationConfig]] = VerificationConfig

    def run(
        self, inputs: Inputs, config: VerificationConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Verify every pair that has matches; the others keep the reason that matching gave."""
        import cv2

        cv2.setRNGSeed(config.seed)
        photos: PhotoIndex = inputs["photos"]
        features: FeatureSet = inputs["features"]
        matches: MatchSet = inputs["matches"]
        wanted = [p for p in range(len(matches)) if matches.counts[p] >= config.min_inliers]

        fits: dict[int, Any] = {}
        for done in run_items(
            fit_pair, self._tasks(wanted, photos, features, matches, config), control
        ):
            fits[wanted[done.index]] = done.result
            if control.due():
                yield Progress(len(fits), 2 * len(wanted), "pairs", "epipolar geometry")

        cameras = working_cameras(photos, matches, fits)
        photos = replace(photos, cameras=tuple(cameras))
        geometries: dict[tuple[int, int], TwoViewGeometry] = {}
        tasks = self._tasks(wanted, photos, features, matches, config, fits)
        for done in run_items(verify_pair, tasks, control):
            i1, i2 = matches.indices[wanted[done.index]]
            geometries[int(i1), int(i2)] = done.result
            if control.due():
                doing = "guided matching and models" if config.guided else "models"
                yield Progress(len(wanted) + len(geometries), 2 * len(wanted), "pairs", doing)
        for p in sorted(set(range(len(matches))) - set(wanted)):
            i1, i2 = matches.indices[p]
            reason = matches.reasons[p] or (
                f"{matches.counts[p]} matches, {config.min_inliers} needed"
            )
            geometries[int(i1), int(i2)] = _unmatched(reason)
        result = TwoViewGeometries(dict(sorted(geometries.items())), photos.cameras)
        yield Progress(2 * len(wanted), 2 * len(wanted), "pairs")
        yield Report(_summary(result, photos, cameras))
        return {"geometries": result}

    @staticmethod
    def _tasks(
        wanted: list[int],
        photos: PhotoIndex,
        features: FeatureSet,
        matches: MatchSet,
        config: VerificationConfig,
        fits: dict[int, Any] | None = None,
    ) -> Iterator[PairTask]:
        for p in wanted:
            i1, i2 = (int(i) for i in matches.indices[p])
            cameras = tuple(photos.cameras[photos.photos[i].camera] for i in (i1, i2))
            fit = fits[p] if fits is not None else None
            yield PairTask(
                (i1, i2), (features[i1], features[i2]), matches[p],
                (cameras[0], cameras[1]), config, fit,
            )  # fmt: skip


def working_cameras(photos: PhotoIndex, matches: MatchSet, fits: dict[int, Any]) -> list[Camera]:
    """The cameras, with a focal length voted by the F matrices where no prior is known.

    Only pairs within one camera vote. A camera without a clear vote keeps its guess.
    """
    cameras = list(photos.cameras)
    for k, camera in enumerate(cameras):
        if camera.has_focal_prior:
            continue
        voters = [
            fit
            for p, fit in sorted(fits.items())
            if fit is not None
            and fit.inliers.sum() >= _MIN_FOCAL_INLIERS
            and all(photos.photos[i].camera == k for i in matches.indices[p])
        ]
        focal_px = focal_from_fundamentals(
            [fit.F for fit in voters],
            [min(float(fit.inliers.sum()), 500.0) for fit in voters],
            (camera.width, camera.height),
        )
        if focal_px is not None:
            params = camera.params.copy()
            params[list(MODELS[camera.model].indices_of("focal"))] = focal_px
            cameras[k] = camera.with_params(params)
    return cameras


def _unmatched(reason: str) -> TwoViewGeometry:
    return TwoViewGeometry(PairKind.DEGENERATE, np.zeros((0, 2), np.uint32), reason=reason)


def _summary(
    result: TwoViewGeometries, photos: PhotoIndex, cameras: list[Camera]
) -> dict[str, Any]:
    kinds = Counter(g.kind.name.lower() for g in result.of_pair.values() if g.verified)
    verified = [g for _, g in result.verified()]
    return {
        "pairs": len(result.of_pair),
        "verified": len(verified),
        "inliers": int(sum(len(g.inliers) for g in verified)),
        "kinds": dict(sorted(kinds.items())),
        "working_focal_px": [round(c.focal_px, 1) for c in cameras],
    }
