"""Small pictures in half-blocks: two pixels a cell, one above the other."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from rich.text import Text

MOST_CELLS = (40, 12)  # columns and rows: what a slow link can take every few seconds
_MOST_PIXELS = 4_000_000
_LEVELS = 32  # of each channel: few enough that neighbours often share a style
_HALF = "▀"


@lru_cache(maxsize=16)
def half_blocks(data: bytes, width: int, height: int) -> Text | None:
    """A JPEG or PNG in at most `width` x `height` cells, and never more than `MOST_CELLS`, in its
    own proportions; None where it is no such picture, or a very large one."""
    from io import BytesIO

    # Only when the first picture is shown: first paint does not wait for it.
    from PIL import Image

    width, height = min(width, MOST_CELLS[0]), min(height, MOST_CELLS[1])
    if width < 1 or height < 1 or not data:
        return None
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            scale = min(width / opened.width, 2 * height / opened.height)
            size = max(1, round(opened.width * scale)), max(2, round(opened.height * scale))
            small = opened.convert("RGB").resize(size, Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels = small.tobytes()
    stride = 3 * small.width
    text = Text(no_wrap=True, overflow="crop")
    for row in range(0, small.height - 1, 2):
        above = pixels[row * stride : (row + 1) * stride]
        below = pixels[(row + 1) * stride : (row + 2) * stride]
        for i in range(0, stride, 3):
            text.append(_HALF, _style(above[i : i + 3], below[i : i + 3]))
        text.append("\n")
    text.right_crop(1)
    return text


def _style(above: bytes, below: bytes) -> Style:
    return _cached_style(_rounded(above), _rounded(below))


@lru_cache(maxsize=4096)
def _cached_style(above: bytes, below: bytes) -> Style:
    return Style(color=_color(above), bgcolor=_color(below))


def _color(rgb: bytes) -> Color:
    return Color.from_triplet(ColorTriplet(*rgb))


def _rounded(rgb: bytes) -> bytes:
    step = 256 // _LEVELS
    return bytes(min(255, value // step * step + step // 2) for value in rgb)
