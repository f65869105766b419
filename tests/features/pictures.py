"""Pictures whose keypoints are known: Gaussian blobs, and a texture of many."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.geometry.arrays import UInt8s
from pipeline.products import Photo

BLOB_XY_PX = (101.3, 90.8)


def blob(sigma_px: float, amplitude: float, base: float = 2.0) -> UInt8s:
    """A Gaussian blob of grey values at BLOB_XY_PX (corner origin), 240 x 200 pixels."""
    y, x = np.mgrid[:200, :240] + 0.5
    distance2 = (x - BLOB_XY_PX[0]) ** 2 + (y - BLOB_XY_PX[1]) ** 2
    values = base + amplitude * np.exp(-distance2 / (2 * sigma_px**2))
    return np.asarray(np.rint(values), np.uint8)


def texture(width: int = 240, height: int = 160, seed: int = 0) -> UInt8s:
    """Noise at several scales: some hundred keypoints."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for sigma in (1.0, 2.5, 6.0):
        noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), sigma)
        total += noise / noise.std()
    return np.clip(128 + 40 * total, 0, 255).astype(np.uint8)


def photo_of(grey: UInt8s, path: Path, mask: Path | None = None) -> Photo:
    """Write a picture as PNG and say what ingest would say of it."""
    cv2.imwrite(str(path), grey)
    height, width = grey.shape
    return Photo(path.name, path, 0, width, height, path.name, mask, str(mask or ""))
