"""SIFT on pictures with known keypoints, and beside COLMAP's on a photograph."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from pipeline.config import FeaturesConfig
from pipeline.features.sift import extract_sift, peak_threshold, root_sift
from pipeline.geometry.arrays import Float64s
from tests.features.pictures import BLOB_XY_PX, blob, texture

CAMERA_BLUR_PX = 0.5


@pytest.mark.parametrize("first_octave", [-1, 0])
@pytest.mark.parametrize("sigma_px", [3.0, 5.0, 8.0])
def test_blob_is_found_where_it_is_at_its_scale(sigma_px: float, first_octave: int) -> None:
    """The difference of Gaussians of ratio k peaks at sigma / sqrt(k) of the unblurred blob."""
    config = FeaturesConfig.model_validate({"first_octave": first_octave})
    features, _ = extract_sift(blob(sigma_px, 160.0), config)
    x, y, scale, _ = features.keypoints.T
    nearest = np.argmin(np.hypot(x - BLOB_XY_PX[0], y - BLOB_XY_PX[1]))
    assert abs(x[nearest] - BLOB_XY_PX[0]) < 0.1 and abs(y[nearest] - BLOB_XY_PX[1]) < 0.1
    expected = np.sqrt(sigma_px**2 - CAMERA_BLUR_PX**2) / 2 ** (1 / 6)
    assert 0.98 * expected < scale[nearest] < 1.02 * expected


@pytest.mark.parametrize("octave_layers", [3, 5])
def test_peak_threshold_is_in_grey_values_whatever_the_layers(octave_layers: int) -> None:
    """A blob of amplitude A has |D| = A (1 / (1 + 1/k) - 1 / (1 + k)) at its extremum."""
    threshold, sigma_px = 0.05, 5.0
    config = FeaturesConfig(peak_threshold=threshold, octave_layers=octave_layers)
    k = 2 ** (1 / octave_layers)
    before_blur = sigma_px**2 / (sigma_px**2 - CAMERA_BLUR_PX**2)
    amplitude = 255 * threshold / (before_blur * (1 / (1 + 1 / k) - 1 / (1 + k)))
    assert extract_sift(blob(sigma_px, 0.97 * amplitude), config)[1].kept == 0
    assert extract_sift(blob(sigma_px, 1.03 * amplitude), config)[1].kept > 0


def test_presets() -> None:
    assert peak_threshold(FeaturesConfig(preset="lowe")) == 0.03
    assert peak_threshold(FeaturesConfig()) == pytest.approx(0.02 / 3)
    dense, lowe = (
        extract_sift(texture(), FeaturesConfig(preset=preset))[1].kept
        for preset in ("dense", "lowe")
    )
    assert 0 < lowe < dense


def test_keypoints_are_ordered_limited_and_counted() -> None:
    picture = texture()
    every, counts = extract_sift(picture, FeaturesConfig(max_orientations=4))
    assert not counts.limited and counts.kept == counts.oriented == counts.described > 200
    assert counts.locations < counts.described
    assert np.all(np.diff(every.keypoints[:, 2]) <= 0)
    angles = every.keypoints[:, 3]
    assert angles.min() >= -np.pi - 1e-6 and angles.max() <= np.pi + 1e-6

    some, limited = extract_sift(picture, FeaturesConfig(max_keypoints=100))
    assert limited.limited and limited.kept == len(some.keypoints) == 100
    rows = {tuple(row) for row in every.keypoints.tolist()}
    assert {tuple(row) for row in some.keypoints.tolist()} <= rows

    kept = [
        extract_sift(picture, FeaturesConfig(max_orientations=most))[1].kept for most in (1, 2, 4)
    ]
    assert kept[0] == counts.locations and all(a <= b for a, b in pairwise(kept))


def test_first_octave_0_finds_the_coarser_keypoints() -> None:
    picture = texture()
    fine, _ = extract_sift(picture, FeaturesConfig())
    coarse, _ = extract_sift(picture, FeaturesConfig(first_octave=0))
    assert 0.05 * len(fine.keypoints) < len(coarse.keypoints) < 0.6 * len(fine.keypoints)
    assert coarse.keypoints[:, 2].min() > 1.6
    large = fine.keypoints[fine.keypoints[:, 2] > 3.0, :2]
    distance, _ = cKDTree(coarse.keypoints[:, :2]).query(large)
    assert 0.7 < np.mean(distance < 1.0) <= 1.0


def test_keypoints_on_black_of_the_mask_are_left_out() -> None:
    picture = texture()
    mask = np.full(picture.shape, 255, np.uint8)
    mask[:, :120] = 0
    whole, _ = extract_sift(picture, FeaturesConfig())
    masked, counts = extract_sift(picture, FeaturesConfig(), mask)
    assert counts.described > counts.unmasked >= counts.kept
    assert masked.keypoints[:, 0].min() >= 120
    assert counts.kept == np.count_nonzero(whole.keypoints[:, 0] >= 120) > 0


@pytest.mark.parametrize("grey", [0, 128])
def test_a_plain_picture_gives_none(grey: int) -> None:
    features, counts = extract_sift(np.full((64, 64), grey, np.uint8), FeaturesConfig())
    assert features.keypoints.shape == (0, 4) and features.descriptors.shape == (0, 128)
    assert counts.described == counts.kept == 0


def test_two_runs_agree() -> None:
    config = FeaturesConfig(max_keypoints=150)
    first, second = (extract_sift(texture(), config)[0] for _ in range(2))
    assert np.array_equal(first.keypoints, second.keypoints)
    assert np.array_equal(first.descriptors, second.descriptors)


def test_root_sift_beside_its_formula() -> None:
    rng = np.random.default_rng(3)
    sift = rng.integers(0, 120, (50, 128)).astype(np.uint8)
    sift[7] = 0
    sift[8] = 0
    sift[8, 5] = 9  # a single bin: 512 * 1, clipped
    exact = 512 * np.sqrt(sift / np.maximum(sift.sum(axis=1, keepdims=True), 1))
    result = root_sift(sift)
    assert result.dtype == np.uint8 and np.abs(result - np.minimum(exact, 255)).max() <= 0.5 + 1e-3
    assert not result[7].any() and result[8, 5] == 255
    assert root_sift(sift[:0]).shape == (0, 128)


def test_beside_colmap_on_a_photograph() -> None:
    """Positions, scales, orientations and the order of the bins are COLMAP's."""
    scenes = os.environ.get("BARFIELD_SCENES")
    if not scenes:
        pytest.skip("BARFIELD_SCENES is not set: no photograph to compare on")
    import pycolmap

    path = sorted((Path(scenes) / "fox" / "images").iterdir())[3]
    grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu, options.num_threads = False, 1
    with pytest.warns(DeprecationWarning, match="Sift is deprecated"):
        peer = pycolmap.Sift(options, pycolmap.Device.cpu)
    keypoints, unit_descriptors = peer.extract(grey)
    features, _ = extract_sift(grey, FeaturesConfig())

    ours = features.keypoints.astype(np.float64)
    distance, row = cKDTree(_position_and_scale(keypoints)).query(_position_and_scale(ours))
    same = distance < 0.3
    theirs = keypoints[row]
    assert np.mean(same) > 0.9
    assert np.abs(np.median(ours[same, :2] - theirs[same, :2], axis=0)).max() < 0.02
    assert 0.99 < np.median(ours[same, 2] / theirs[same, 2]) < 1.01
    turn = np.abs(np.angle(np.exp(1j * (ours[same, 3] - theirs[same, 3]))))
    assert np.median(turn) < 0.06
    close = np.flatnonzero(same)[turn < 0.06]
    difference = features.descriptors[close] / 512.0 - unit_descriptors[row[close]]
    assert np.median(np.linalg.norm(difference, axis=1)) < 0.12


def _position_and_scale(keypoints: Float64s) -> Float64s:
    """Points (N, 3) that are near only if positions and scales are: 1 % of scale counts 0.2 px."""
    return np.column_stack([keypoints[:, :2], 20.0 * np.log(keypoints[:, 2])])
