"""Keypoints drawn on a small picture of their photograph."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.photograph_facts import KeypointsOnPhotograph

IN_MODEL, NOT_IN_MODEL = (80, 250, 120), (255, 150, 40)  # RGB
_DIMMED = 0.7  # of the photograph where there are none
_LEAST_SHARE, _MOST_SHARE = 0.4, 0.95  # of the colour, for the first keypoint and for many
_DARKEST = 0.15  # of the colour, where the photograph is black


def keypoints_picture(
    photograph: KeypointsOnPhotograph,
    sees_point: np.ndarray,
    size: tuple[int, int],
    cells: tuple[int, int],
) -> bytes:
    """A PNG of at most two pixels a cell: the photograph in grey, coloured where keypoints are, the
    more so the more there are; those that see a 3D point in another colour than the rest.

    sees_point: (N,) of each keypoint. size: of the photograph. cells: columns and rows.
    """
    width, height = _fitted(size, cells)
    grey = _picture(photograph.thumbnail, (width, height)).mean(axis=2, keepdims=True)
    picture = np.repeat(grey * _DIMMED, 3, axis=2)
    counts = [_counts(photograph.keypoints[which], width, height)
              for which in (sees_point, ~sees_point)]  # fmt: skip
    total = counts[0] + counts[1]
    if total.any():
        usual = np.median(total[total > 0])
        share = np.where(total > 0, _LEAST_SHARE + (_MOST_SHARE - _LEAST_SHARE)
                         * (1 - np.exp(-total / (2 * usual))), 0.0)[..., None]  # fmt: skip
        part = (counts[0] / np.maximum(total, 1))[..., None]
        color = part * np.array(IN_MODEL) + (1 - part) * np.array(NOT_IN_MODEL)
        # Light and dark stay, so that one sees what the keypoints are on.
        lit = color * (_DARKEST + (1 - _DARKEST) * grey / 255)
        picture = picture * (1 - share) + lit * share
    return _png(picture)


def plain_picture(
    photograph: KeypointsOnPhotograph, size: tuple[int, int], cells: tuple[int, int]
) -> bytes:
    """The photograph alone, as a PNG of the same size."""
    return _png(_picture(photograph.thumbnail, _fitted(size, cells)))


def _fitted(size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """Pixels of the picture: a cell is one wide and two high."""
    scale = min(cells[0] / max(1, size[0]), 2 * cells[1] / max(1, size[1]))
    return max(1, round(size[0] * scale)), max(2, round(size[1] * scale))


def _picture(thumbnail: bytes, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) float64, black where there is no thumbnail."""
    try:
        with Image.open(BytesIO(thumbnail), formats=("JPEG",)) as opened:
            small = opened.convert("RGB").resize(size, Image.Resampling.BOX)
            return np.asarray(small, np.float64)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return np.zeros((size[1], size[0], 3))


def _counts(shares: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) how many keypoints fall into each pixel."""
    columns = np.clip((shares[:, 0] * width).astype(np.int64), 0, width - 1)
    rows = np.clip((shares[:, 1] * height).astype(np.int64), 0, height - 1)
    return np.bincount(rows * width + columns, minlength=width * height).reshape(height, width)


def _png(picture: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
