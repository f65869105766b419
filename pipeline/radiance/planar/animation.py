"""The animation of planar alignment: how patches find their places, and the image with them.

A column for every method. Above, the outlines of the patches move over the photograph to where
they belong (thin lines); below, the image as it is learned, where patches lie.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageEnhance

from pipeline.geometry.arrays import UInt8s
from pipeline.planar_config import PlanarMethod
from pipeline.radiance.planar.drawing import (
    FAINT,
    GREY,
    INK,
    METHOD_COLORS,
    METHOD_NOTES,
    PAPER,
    PATCH_COLORS,
    Rgb,
    type_of,
)
from pipeline.radiance.planar.homographies import homographies, warped
from pipeline.radiance.planar.patches import Patches, corners_of
from pipeline.radiance.planar.race import Moment

_PANEL_PX = 240  # longer side of a picture
_GAP = 10
_TITLE_PX = 44
_CAPTION_PX = 48
_FINE = 3  # outlines are drawn larger and scaled down, which smooths them
_DIMMED = 0.45
_FRAME_MS = 120
_LAST_FRAME_MS = 2500
_COLORS = 256

Outline = list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class _Stage:
    """What stays the same from frame to frame. outlines: where the patches belong, in pixels."""

    patches: Patches
    photograph: Image.Image
    outlines: Sequence[Outline]


def animate(
    image: UInt8s, patches: Patches, moments: Mapping[PlanarMethod, Sequence[Moment]]
) -> bytes:
    """The moments of all methods as a GIF. image: (H, W, 3), what the patches were cut from."""
    frames = draw_frames(image, patches, moments)
    palette = _palette(frames)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    flat[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=flat[1:],
        duration=[_FRAME_MS] * (len(flat) - 1) + [_LAST_FRAME_MS],
        loop=0,
        optimize=False,
    )
    return buffer.getvalue()


def draw_frames(
    image: UInt8s, patches: Patches, moments: Mapping[PlanarMethod, Sequence[Moment]]
) -> list[Image.Image]:
    """The pictures of the animation, one for every moment."""
    photograph = Image.fromarray(image)
    photograph.thumbnail((_PANEL_PX, _PANEL_PX), Image.Resampling.LANCZOS)
    grey = ImageEnhance.Color(photograph).enhance(0.25)
    stage = _Stage(
        patches,
        ImageEnhance.Brightness(grey).enhance(_DIMMED),
        _outlines(patches, patches.true_warps.tolist(), photograph.size),
    )
    count = len(next(iter(moments.values())))
    return [
        _side_by_side([_column(method, told[number], stage) for method, told in moments.items()])
        for number in range(count)
    ]


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """One palette for all frames: colours that changed from one to the next would flicker. What is
    drawn has its own places in it; the photographs share the others."""
    drawn = [PAPER, INK, GREY, FAINT, *METHOD_COLORS.values(), *PATCH_COLORS]
    some = _side_by_side([frames[len(frames) // 2], frames[-1]])
    found = some.quantize(_COLORS - len(drawn), Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for color in drawn for value in color] + found)
    return palette


def _column(method: PlanarMethod, moment: Moment, stage: _Stage) -> Image.Image:
    width, height = stage.photograph.size
    column_width = max(width, _PANEL_PX)
    left = (column_width - width) // 2
    column = Image.new("RGB", (column_width, _TITLE_PX + 2 * height + _GAP + _CAPTION_PX), PAPER)
    draw = ImageDraw.Draw(column)
    draw.text((0, 16), method, METHOD_COLORS[method], type_of(20), "lm")
    draw.text((0, 35), METHOD_NOTES[method], GREY, type_of(12), "lm")
    outlines = _outlines(stage.patches, moment.warps, stage.photograph.size)
    column.paste(_with_outlines(stage, outlines), (left, _TITLE_PX))
    learned = Image.open(io.BytesIO(moment.picture)).resize(stage.photograph.size)
    seen = _mask(outlines, stage.photograph.size)
    column.paste(
        FAINT, (left, _TITLE_PX + height + _GAP, left + width, _TITLE_PX + 2 * height + _GAP)
    )
    column.paste(learned, (left, _TITLE_PX + height + _GAP), seen)
    bottom = _TITLE_PX + 2 * height + _GAP
    draw.text(
        (0, bottom + 16), f"warp error {moment.figures.warp_error:.4f}", INK, type_of(15), "lm"
    )
    draw.text((column_width, bottom + 16), f"{moment.figures.psnr:.1f} dB", INK, type_of(15), "rm")
    draw.text((0, bottom + 36), f"step {moment.step}", GREY, type_of(12), "lm")
    return column


def _with_outlines(stage: _Stage, outlines: Sequence[Outline]) -> Image.Image:
    """The dimmed photograph with the patches: where they belong, and where they are."""
    width, height = stage.photograph.size
    large = stage.photograph.resize((width * _FINE, height * _FINE), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(large)
    for i, outline in enumerate(stage.outlines):
        _draw_closed(draw, outline, _dimmed(PATCH_COLORS[i % len(PATCH_COLORS)]), _FINE)
    for i, outline in enumerate(outlines):
        _draw_closed(draw, outline, PATCH_COLORS[i % len(PATCH_COLORS)], 2 * _FINE)
    return large.resize((width, height), Image.Resampling.LANCZOS)


def _draw_closed(draw: ImageDraw.ImageDraw, outline: Outline, color: Rgb, width: int) -> None:
    dots = [(x * _FINE, y * _FINE) for x, y in (*outline, *outline[:2])]
    draw.line(dots, color, width, joint="curve")


def _dimmed(color: Rgb) -> Rgb:
    red, green, blue = (round(value * 0.6) for value in color)
    return red, green, blue


def _mask(outlines: Sequence[Outline], size: tuple[int, int]) -> Image.Image:
    """White where a patch lies."""
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE), 0)
    draw = ImageDraw.Draw(large)
    for outline in outlines:
        draw.polygon([(x * _FINE, y * _FINE) for x, y in outline], 255)
    return large.resize(size, Image.Resampling.BOX)


def _outlines(patches: Patches, warps: Any, size: tuple[int, int]) -> list[Outline]:
    """The patches' corners in pixels of a picture of the plane."""
    matrices = homographies(torch.tensor(warps, dtype=torch.float64))
    corners = warped(matrices, corners_of(patches.half_side).double())
    half_size = patches.half_size.cpu().double()
    spots = (corners / half_size + 1) / 2 * torch.tensor(size, dtype=torch.float64)
    # A patch that got lost may have its corners anywhere; Pillow wants moderate numbers.
    limit = 4.0 * max(size)
    found = spots.nan_to_num(limit, limit, -limit).clamp(-limit, limit).tolist()
    return [[(x, y) for x, y in outline] for outline in found]


def _side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    width = sum(image.width for image in images) + _GAP * (len(images) + 1)
    height = max(image.height for image in images)
    joined = Image.new("RGB", (width, height), PAPER)
    x = _GAP
    for image in images:
        joined.paste(image, (x, 0))
        x += image.width + _GAP
    return joined
