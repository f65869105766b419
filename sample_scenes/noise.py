"""Seeded noise and small helpers for painting pictures as arrays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def fractal(
    shape: tuple[int, int],
    cell: float | tuple[float, float],
    octaves: int,
    rng: np.random.Generator,
    gain: float = 0.5,
) -> Floats:
    """Smooth noise (H,W) of about unit deviation: octaves of random grids, each half as coarse.

    `cell` is the size of the coarsest grain in pixels, one number or (vertical, horizontal).
    """
    height, width = shape
    cell_y, cell_x = (cell, cell) if isinstance(cell, int | float) else cell
    total = np.zeros(shape, dtype=np.float32)
    energy, weight = 0.0, 1.0
    for _ in range(octaves):
        rows, columns = int(np.ceil(height / cell_y)) + 3, int(np.ceil(width / cell_x)) + 3
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        size = (max(round(columns * cell_x), width), max(round(rows * cell_y), height))
        smooth = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        total += weight * smooth[:height, :width]
        energy += weight**2
        weight *= gain
        cell_y, cell_x = max(cell_y / 2.0, 1.0), max(cell_x / 2.0, 1.0)
    return total / np.float32(np.sqrt(energy))


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def blend(base: Floats, colour: ArrayLike, mask: Floats) -> Floats:
    """Lay `colour` (3,) or (H,W,3) over `base` (H,W,3) where `mask` (H,W) is 1."""
    return np.asarray(base + (np.asarray(colour, dtype=np.float32) - base) * mask[..., None])


def flat(shape: tuple[int, int], colour: ArrayLike) -> Floats:
    """A picture (H,W,3) of one colour in 0..1."""
    return np.ones((*shape, 3), dtype=np.float32) * np.asarray(colour, dtype=np.float32)


def to_pixels(picture: Floats) -> Pixels:
    """sRGB values in 0..1 to eight bits."""
    return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8))


def to_floats(image: Image.Image) -> Floats:
    """A picture of eight bits to 0..1."""
    return np.asarray(np.asarray(image).astype(np.float32) / np.float32(255.0))
