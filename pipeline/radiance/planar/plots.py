"""The curves of planar alignment as a picture: warp error and PSNR of every method."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from pipeline.planar_config import PlanarMethod
from pipeline.radiance.planar.drawing import FAINT, GREY, INK, METHOD_COLORS, PAPER, type_of
from pipeline.radiance.planar.race import Moment

_WIDTH, _HEIGHT = 1000, 420
_FINE = 2  # lines are drawn larger and scaled down, which smooths them
_PLOT = (64, 52, 410, 270)  # left, top, width, height of the first plot
_NEXT_PLOT = 490  # to the right
_LEGEND_Y = 390


@dataclass(frozen=True)
class _Axis:
    """The vertical axis of a plot: marks with their words, and where values lie, from 0 to 1."""

    title: str
    marks: Sequence[tuple[float, str]]
    place: Callable[[float], float]


def plot_curves(moments: Mapping[PlanarMethod, Sequence[Moment]]) -> bytes:
    """Warp error (logarithmic) and PSNR over the share of the steps, as PNG."""
    image = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), PAPER)
    draw = ImageDraw.Draw(image)
    errors = {m: [moment.figures.warp_error for moment in told] for m, told in moments.items()}
    decibels = {m: [moment.figures.psnr for moment in told] for m, told in moments.items()}
    _plot(draw, 0, _error_axis(errors), errors)
    _plot(draw, _NEXT_PLOT, _psnr_axis(decibels), decibels)
    x = float(_PLOT[0])
    for method, told in moments.items():
        last = told[-1].figures
        words = f"{method}   {last.warp_error:.4f}   {last.psnr:.1f} dB"
        line = [_fine(x, _LEGEND_Y), _fine(x + 22, _LEGEND_Y)]
        draw.line(line, METHOD_COLORS[method], 4 * _FINE)
        draw.text(_fine(x + 30, _LEGEND_Y), words, INK, type_of(14 * _FINE), "lm")
        x += 228
    buffer = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue()


def _plot(
    draw: ImageDraw.ImageDraw, right: int, axis: _Axis, curves: Mapping[PlanarMethod, list[float]]
) -> None:
    left, top, width, height = _PLOT
    left += right
    bottom = top + height
    draw.text(_fine(left, top - 22), axis.title, INK, type_of(16 * _FINE), "lm")
    for value, words in axis.marks:
        y = bottom - axis.place(value) * height
        draw.line([_fine(left, y), _fine(left + width, y)], FAINT, _FINE)
        draw.text(_fine(left - 8, y), words, GREY, type_of(12 * _FINE), "rm")
    for percent in (0, 25, 50, 75, 100):
        x = left + width * percent / 100
        draw.text(_fine(x, bottom + 16), f"{percent} %", GREY, type_of(12 * _FINE), "mm")
    draw.text(_fine(left + width / 2, bottom + 34), "steps", GREY, type_of(12 * _FINE), "mm")
    for method, values in curves.items():
        spread = width / max(len(values) - 1, 1)
        dots = [
            _fine(left + number * spread, bottom - min(max(axis.place(value), 0), 1) * height)
            for number, value in enumerate(values)
        ]
        draw.line(dots, METHOD_COLORS[method], 3 * _FINE, joint="curve")


def _error_axis(curves: Mapping[PlanarMethod, list[float]]) -> _Axis:
    values = [max(value, 1e-5) for told in curves.values() for value in told]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    marks = [(10.0**power, f"{10.0**power:g}") for power in range(low, high + 1)]
    return _Axis(
        "warp error", marks, lambda value: (math.log10(max(value, 1e-5)) - low) / (high - low)
    )


def _psnr_axis(curves: Mapping[PlanarMethod, list[float]]) -> _Axis:
    values = [value for told in curves.values() for value in told]
    low, high = 5 * math.floor(min(values) / 5), 5 * math.ceil(max(values) / 5)
    high = max(high, low + 5)
    stride = 5 if high - low <= 50 else 20
    marks = [(float(value), f"{value} dB") for value in range(low, high + 1, stride)]
    return _Axis("PSNR of the patches", marks, lambda value: (value - low) / (high - low))


def _fine(x: float, y: float) -> tuple[float, float]:
    return x * _FINE, y * _FINE
