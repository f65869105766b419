"""What plots and animation share: colours, type, and names of the methods for people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from PIL import ImageFont

from pipeline.planar_config import PlanarMethod

Rgb = tuple[int, int, int]

PAPER: Rgb = (250, 250, 248)
INK: Rgb = (35, 37, 41)
FAINT: Rgb = (214, 214, 210)
GREY: Rgb = (120, 122, 126)
METHOD_COLORS: Mapping[PlanarMethod, Rgb] = {
    "smooth-grid": (0, 128, 96),
    "barf": (204, 82, 0),
    "full": (70, 95, 190),
    "none": (150, 60, 140),
}
METHOD_NOTES: Mapping[PlanarMethod, str] = {
    "smooth-grid": "pixels, smoothed coarse to fine",
    "barf": "frequencies, coarse to fine",
    "full": "all frequencies at once",
    "none": "no encoding",
}
# Told apart without red and green; after Okabe and Ito, "Color Universal Design", 2008.
PATCH_COLORS: tuple[Rgb, ...] = (
    (255, 255, 255),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (0, 200, 140),
    (213, 94, 0),
)


@cache
def type_of(size_px: int) -> ImageFont.FreeTypeFont:
    """The typeface that Pillow brings along, in a size. Raises OSError where Pillow was built
    without FreeType."""
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OSError("Pillow was built without FreeType; install the package from PyPI")
    return font
