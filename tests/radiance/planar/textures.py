"""A small textured image, and settings that make short work of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from pipeline.geometry.arrays import UInt8s
from pipeline.planar_config import PlanarConfig
from pipeline.radiance.planar.patches import Patches, cut_patches

WIDTH, HEIGHT = 120, 90
CPU = torch.device("cpu")


def texture(width: int = WIDTH, height: int = HEIGHT) -> UInt8s:
    """Random blobs of three sizes, RGB."""
    random = np.random.default_rng(1)
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((5, 1.0), (12, 0.6), (40, 0.3)):
        noise = random.uniform(-1, 1, (cells * 3 // 4, cells, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(128 + 90 * total, 0, 255), np.uint8)


def small(**fields: Any) -> PlanarConfig:
    """The published proportions at a quarter of the size."""
    return PlanarConfig(**{"patch_px": 45, "size_px": WIDTH, "pixels": 200, "steps": 20, **fields})


def small_patches(image: UInt8s | None = None, **fields: Any) -> Patches:
    """Patches of the texture, or of another image."""
    return cut_patches(texture() if image is None else image, small(**fields), CPU)
