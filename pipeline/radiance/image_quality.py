"""How near a rendered picture is to a photograph: PSNR and SSIM.

LPIPS, the third measure of the papers, needs the weights of a network that was trained for it; no
weights are shipped, so reports carry ``lpips: null`` with `LPIPS_ABSENT` beside it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import correlate1d

from pipeline.geometry.arrays import Bools, Float64s

LPIPS_ABSENT = "LPIPS needs trained network weights, and none are shipped"

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # of values in [0, 1]


def mean_squared_error(picture: Float64s, truth: Float64s, mask: Bools | None = None) -> float:
    """Mean squared difference of pictures (H, W, 3) over the pixels that count.

    mask: (H, W), True where pixels count; None: all. Raises ValueError for pictures of different
    shapes and for a mask without a pixel that counts.
    """
    if picture.shape != truth.shape or picture.ndim != 3:
        raise ValueError(f"two pictures (H, W, 3) needed, not {picture.shape}, {truth.shape}")
    squares = (picture - truth) ** 2
    if mask is not None:
        squares = squares[mask]
    if not squares.size:
        raise ValueError("no pixel counts")
    return float(squares.mean())


def psnr(picture: Float64s, truth: Float64s, mask: Bools | None = None) -> float:
    """Peak signal to noise ratio in decibels, of values in [0, 1]: -10 log10 of the mean squared
    error; infinite for equal pictures. Arguments and errors as `mean_squared_error`."""
    error = mean_squared_error(picture, truth, mask)
    return -10.0 * math.log10(error) if error > 0 else math.inf


def ssim(picture: Float64s, truth: Float64s, mask: Bools | None = None) -> float | None:
    """Structural similarity, 1 for equal pictures.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", TIP 2004, section III.B: windows of 11 x 11 pixels with a Gaussian of
    sigma 1.5, inside the picture only; mean over windows and channels. picture, truth: (H, W, 3) in
    [0, 1]. mask: (H, W); windows with a pixel that does not count are left out. Result: None where
    no window is left. Raises ValueError for pictures of different shapes.
    """
    if picture.shape != truth.shape or picture.ndim != 3:
        raise ValueError(f"two pictures (H, W, 3) needed, not {picture.shape}, {truth.shape}")
    if min(picture.shape[:2]) < _WINDOW:
        return None
    mean_x, mean_y = _windowed(picture), _windowed(truth)
    variance_x = _windowed(picture * picture) - mean_x * mean_x
    variance_y = _windowed(truth * truth) - mean_y * mean_y
    covariance = _windowed(picture * truth) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    if mask is not None:
        similarity = similarity[_inside(mask)]
    return float(similarity.mean()) if similarity.size else None


def _windowed(values: Float64s) -> Float64s:
    """Gaussian means (H - 10, W - 10, 3) over the windows that lie inside."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rim = _WINDOW // 2
    rows = correlate1d(values, weights, axis=0)[rim:-rim]
    return np.asarray(correlate1d(rows, weights, axis=1)[:, rim:-rim])


def _inside(mask: Bools) -> Bools:
    """Windows (H - 10, W - 10) all of whose pixels count."""
    windows = np.lib.stride_tricks.sliding_window_view(mask, (_WINDOW, _WINDOW))
    return np.asarray(windows.all(axis=(2, 3)))
