"""Lettering with the font that Pillow carries, so that every machine writes the same."""

from __future__ import annotations

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]


def font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own sans-serif at `size` pixels, laid out without optional libraries."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: it cannot draw the scenes' text")
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    words: str,
    size: float,
    fill: Colour,
    *,
    weight: int = 0,
    anchor: str = "la",
) -> None:
    """Write `words` at `place` (pixels); `weight` thickens the strokes by so many pixels."""
    draw.text(place, words, font=font(size), fill=fill, stroke_width=weight, anchor=anchor)


def write_column(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    words: str,
    size: float,
    fill: Colour,
    *,
    leading: float = 1.35,
) -> float:
    """Set running text into a column (left, top, right, bottom); returns where it ended, in y."""
    face = font(size)
    left, y, right, bottom = box
    line = ""
    for word in [*words.split(), ""]:
        longer = f"{line} {word}".strip()
        if word and draw.textlength(longer, font=face) <= right - left:
            line = longer
            continue
        if y + size > bottom:
            break
        draw.text((left, y), line, font=face, fill=fill)
        y += size * leading
        line = word
    return y
