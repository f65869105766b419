"""What verification computes of a few pairs at a time, and the items that it is kept in.

A task holds several pairs, because a file for each would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import VerificationConfig
from pipeline.geometry.arrays import Bools, UInt32s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.epipolar import sampson_errors
from pipeline.geometry_tables import geometries_as_arrays, geometries_from_arrays
from pipeline.item_refs import ItemRef
from pipeline.matching.guided import GuidedRules, match_along_lines
from pipeline.matching.two_view import (
    EpipolarFit,
    TwoViewPoints,
    describe_pair,
    fit_fundamental,
    refit_fundamental,
)
from pipeline.products import Features, TwoViewGeometries, TwoViewGeometry

_MIN_GUIDED_INLIERS = 25
_MIN_GUIDED_SHARE = 0.5
_BAND_MEDIANS = 3.0  # half width of the band, in median errors of the matches


@dataclass(frozen=True, eq=False)
class MatchedPair:
    """A pair by its items: features of both photographs and matches; whether to guide."""

    features1: ItemRef
    features2: ItemRef
    matches: ItemRef
    guided: bool

    def features(self) -> tuple[Features, Features]:
        """The features of both photographs."""
        return Features.of_item(self.features1.arrays()), Features.of_item(self.features2.arrays())


@dataclass(frozen=True, eq=False)
class FitTask:
    """Pairs to fit; name: for people."""

    name: str
    pairs: tuple[MatchedPair, ...]
    config: VerificationConfig


@dataclass(frozen=True, eq=False)
class DescribeTask:
    """Pairs to describe, with their fits in one item, and the working cameras of each."""

    name: str
    pairs: tuple[MatchedPair, ...]
    fits: ItemRef
    cameras: tuple[tuple[Camera, Camera], ...]
    config: VerificationConfig


@dataclass(frozen=True, eq=False)
class PairFit:
    """Matches (M, 2) of a pair, guided ones included, and the F they agree on, if any."""

    matches: UInt32s
    fit: EpipolarFit | None


def fit_pairs(task: FitTask) -> dict[str, np.ndarray]:
    """First pass: the item with the fits of the pairs, in order."""
    return _fits_as_item([_fit_pair(pair, task.config) for pair in task.pairs])


def describe_pairs(task: DescribeTask) -> dict[str, np.ndarray]:
    """Second pass: the item with the geometries of the pairs, in order."""
    found = []
    fits = fits_of_item(task.fits.arrays())
    for pair, fitted, cameras in zip(task.pairs, fits, task.cameras, strict=True):
        points = _points(pair.features(), fitted.matches)
        found.append(describe_pair(points, fitted.fit, cameras, task.config))
    # Numbered from 0: the item is the same wherever the photographs stand in the index.
    numbered = {(0, number): geometry for number, geometry in enumerate(found, start=1)}
    return geometries_as_arrays(TwoViewGeometries(numbered, ()))


def geometries_of_item(item: Mapping[str, np.ndarray]) -> list[TwoViewGeometry]:
    """What :func:`describe_pairs` found, pair by pair."""
    return list(geometries_from_arrays(item).of_pair.values())


def fits_of_item(item: Mapping[str, np.ndarray]) -> list[PairFit]:
    """What :func:`fit_pairs` found, pair by pair."""
    ends = np.cumsum(item["counts"])[:-1]
    matches = np.split(item["matches"], ends)
    inliers = np.split(item["inliers"], ends)
    return [
        PairFit(matches[n], EpipolarFit(item["F"][n], inliers[n]) if item["fitted"][n] else None)
        for n in range(len(matches))
    ]


def _fits_as_item(fits: Sequence[PairFit]) -> dict[str, np.ndarray]:
    """Matches and inliers follow one another; without a fit there are no inliers and F is zero."""
    none = EpipolarFit(np.zeros((3, 3)), np.zeros(0, bool))
    inliers = [
        found.fit.inliers if found.fit is not None else np.zeros(len(found.matches), bool)
        for found in fits
    ]
    return {
        "counts": np.array([len(found.matches) for found in fits], np.int64),
        "matches": np.concatenate([found.matches for found in fits]),
        "fitted": np.array([found.fit is not None for found in fits]),
        "F": np.stack([(found.fit or none).F for found in fits]),
        "inliers": np.concatenate(inliers),
    }


def _fit_pair(pair: MatchedPair, config: VerificationConfig) -> PairFit:
    """F of the putative matches, then guided matches and F of them all."""
    features = pair.features()
    matches: UInt32s = pair.matches.arrays()["matches"]
    points = _points(features, matches)
    fit = fit_fundamental(points.points1_px, points.points2_px, config)
    if fit is None:
        return PairFit(matches, None)
    if pair.guided and _trustworthy(fit.inliers):
        matches = _with_guided(features, points, fit, config)
        points = _points(features, matches)
        errors_px = sampson_errors(fit.F, points.points1_px, points.points2_px)
        fit = EpipolarFit(fit.F, errors_px < config.max_error_px)
    fit = refit_fundamental(fit, points.points1_px, points.points2_px, config.max_error_px)
    return PairFit(matches, fit)


def _trustworthy(inliers: Bools) -> bool:
    """Whether F is surely right. Along the lines of a wrong F chance alone finds a match for one
    keypoint in fifty, so guided matching would make a false pair look true."""
    return bool(inliers.sum() >= _MIN_GUIDED_INLIERS and inliers.mean() >= _MIN_GUIDED_SHARE)


def _with_guided(
    features: tuple[Features, Features],
    points: TwoViewPoints,
    fit: EpipolarFit,
    config: VerificationConfig,
) -> UInt32s:
    """The matches that agree with F, and those found along its lines between free keypoints.

    The band is as wide as the matches at hand need: a wider one only finds more wrong ones.
    """
    errors_px = sampson_errors(fit.F, points.points1_px, points.points2_px)[fit.inliers]
    band_px = float(np.clip(_BAND_MEDIANS * np.median(errors_px), 1.0, config.max_error_px))
    rules = GuidedRules(band_px, config.guided_ratio, config.guided_max_distance)
    agreed = points.matches[fit.inliers]
    found = match_along_lines(features[0], features[1], fit.F, rules)
    free = ~np.isin(found[:, 0], agreed[:, 0]) & ~np.isin(found[:, 1], agreed[:, 1])
    return np.concatenate([agreed, found[free]])


def _points(features: tuple[Features, Features], matches: UInt32s) -> TwoViewPoints:
    first, second = features
    return TwoViewPoints(
        matches,
        first.keypoints[matches[:, 0], :2].astype(np.float64),
        second.keypoints[matches[:, 1], :2].astype(np.float64),
    )
