"""All pictures of a scene with their mipmaps in one array, sampled without a loop over pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]


def srgb_to_linear(value: Floats) -> Floats:
    """Decode sRGB values in 0..1 to linear light."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(value: Floats) -> Floats:
    """Encode linear light in 0..1 as sRGB."""
    return np.where(
        value <= 0.0031308, value * 12.92, 1.055 * np.maximum(value, 1e-9) ** (1 / 2.4) - 0.055
    )


class TextureStore:
    """A pyramid of every picture, filtered in linear light; lookups are trilinear and clamp."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        decode = srgb_to_linear(np.arange(256) / 255.0).astype(np.float32)
        pieces: list[Singles] = []
        self.sizes: list[tuple[int, int]] = []
        tables: list[list[tuple[int, int, int]]] = []
        offset = 0
        for image in images:
            level = decode[image]
            self.sizes.append((image.shape[1], image.shape[0]))
            table = []
            while True:
                height, width = level.shape[:2]
                pieces.append(level.reshape(-1, 3))
                table.append((offset, width, height))
                offset += height * width
                if min(height, width) <= 2:
                    break
                level = _halved(level)
            tables.append(table)
        depth = max(len(table) for table in tables)
        # The last level stands in for those a small picture lacks.
        padded = [table + [table[-1]] * (depth - len(table)) for table in tables]
        self._levels: Ints = np.array(padded, dtype=np.int64)
        self._last: Ints = np.array([len(table) - 1 for table in tables])
        self._texels: Singles = np.concatenate(pieces)

    def sample(self, picture: Ints, uv: Singles, level: Singles) -> Singles:
        """Linear colours (N,3) at `uv` (N,2) of the pictures numbered `picture` (N,).

        `level` (N,) is the mipmap wanted: log2 of the footprint in texels.
        """
        level = np.clip(level, 0.0, self._last[picture])
        floor = level.astype(np.int64)
        fraction = (level - floor).astype(np.float32)[:, None]
        fine = self._bilinear(self._levels[picture, floor], uv)
        upper = np.minimum(floor + 1, self._last[picture])
        coarse = self._bilinear(self._levels[picture, upper], uv)
        return fine + (coarse - fine) * fraction

    def _bilinear(self, table: Ints, uv: Singles) -> Singles:
        offset, width, height = table[:, 0], table[:, 1], table[:, 2]
        columns, rows = width.astype(np.float32), height.astype(np.float32)
        x = np.clip(uv[:, 0] * columns - 0.5, 0.0, columns - 1.0)
        y = np.clip(uv[:, 1] * rows - 0.5, 0.0, rows - 1.0)
        left, top = x.astype(np.int64), y.astype(np.int64)
        right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        across = (x - left).astype(np.float32)[:, None]
        down = (y - top).astype(np.float32)[:, None]
        row, next_row = offset + top * width, offset + below * width
        texels = self._texels
        upper = texels[row + left] * (1 - across) + texels[row + right] * across
        lower = texels[next_row + left] * (1 - across) + texels[next_row + right] * across
        return np.asarray(upper * (1 - down) + lower * down)


def _halved(level: Singles) -> Singles:
    """The next mipmap: means of 2x2 texels; an odd last row or column is left out."""
    height, width = level.shape[0] // 2 * 2, level.shape[1] // 2 * 2
    even = level[:height, :width]
    total = even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]
    return np.asarray(total * np.float32(0.25))
