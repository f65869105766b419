"""PSNR and SSIM against known values and a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.radiance.image_quality import psnr, ssim


def pictures(height: int = 16, width: int = 19) -> tuple[Float64s, Float64s]:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.0, 1.0, (height, width, 3))
    return np.clip(truth + rng.normal(0.0, 0.1, truth.shape), 0.0, 1.0), truth


def slow_ssim(picture: Float64s, truth: Float64s, mask: Bools) -> float:
    """Window by window, as the paper has it."""
    offsets = np.arange(11) - 5.0
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for row in range(picture.shape[0] - 10):
        for column in range(picture.shape[1] - 10):
            window = np.s_[row : row + 11, column : column + 11]
            if not mask[window].all():
                continue
            for channel in range(3):
                x, y = picture[window][:, :, channel], truth[window][:, :, channel]
                mx, my = (weights * x).sum(), (weights * y).sum()
                vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
                vxy = (weights * (x - mx) * (y - my)).sum()
                c1, c2 = 0.01**2, 0.03**2
                values.append(
                    (2 * mx * my + c1)
                    * (2 * vxy + c2)
                    / ((mx * mx + my * my + c1) * (vx + vy + c2))
                )
    return float(np.mean(values))


def test_psnr_of_a_known_difference() -> None:
    truth = np.full((4, 5, 3), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0)
    assert psnr(truth, truth) == math.inf


def test_psnr_counts_only_what_the_mask_lets_through() -> None:
    truth = np.zeros((4, 4, 3))
    picture = truth.copy()
    picture[0], picture[1] = 1.0, 0.01
    mask = np.zeros((4, 4), np.bool_)
    mask[1] = True
    assert psnr(picture, truth, mask) == pytest.approx(40.0)


def test_ssim_is_the_one_of_the_slow_twin() -> None:
    picture, truth = pictures()
    everywhere = np.ones(picture.shape[:2], np.bool_)
    assert ssim(picture, truth) == pytest.approx(slow_ssim(picture, truth, everywhere), abs=1e-12)
    some = everywhere.copy()
    some[3, 4] = False
    assert ssim(picture, truth, some) == pytest.approx(slow_ssim(picture, truth, some), abs=1e-12)
    assert ssim(picture, truth, some) != ssim(picture, truth)


def test_ssim_of_equal_and_of_flat_pictures() -> None:
    _, truth = pictures()
    assert ssim(truth, truth) == pytest.approx(1.0)
    flat = np.full((12, 12, 3), 0.2)
    # Without structure only the means count: (2 a b + c) / (a a + b b + c).
    assert ssim(flat, flat + 0.3) == pytest.approx((0.2 + 1e-4) / (0.04 + 0.25 + 1e-4))


def test_ssim_needs_one_whole_window() -> None:
    picture, truth = pictures(11, 11)
    assert ssim(picture, truth) is not None
    assert ssim(picture[:10], truth[:10]) is None
    assert ssim(picture, truth, np.arange(121).reshape(11, 11) > 0) is None


def test_pictures_of_different_shapes_are_refused() -> None:
    picture, truth = pictures()
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="two pictures"):
            measure(picture[1:], truth)
    with pytest.raises(ValueError, match="no pixel"):
        psnr(picture, truth, np.zeros(picture.shape[:2], np.bool_))
