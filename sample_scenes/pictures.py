"""Painted pictures: mountain landscapes, a contour map, a poster."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from sample_scenes.noise import Pixels, blend, flat, fractal, smoothstep, to_floats, to_pixels
from sample_scenes.text import write

Floats = NDArray[np.float32]


def landscape(
    shape: tuple[int, int], rng: np.random.Generator, high: ArrayLike, low: ArrayLike
) -> Pixels:
    """Mountain ridges over a lake at sunset; `high` and `low` are the colours of the sky."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    horizon = 0.68
    picture = flat(shape, low)
    picture = blend(picture, high, 1.0 - smoothstep(0.0, horizon, y))
    sun = np.hypot((x - 0.64) * width / height, y - 0.36)
    picture = blend(picture, (1.0, 0.93, 0.75), np.exp(-((sun / 0.16) ** 2)) * 0.6)
    picture = blend(picture, (1.0, 0.97, 0.86), 1.0 - smoothstep(0.055, 0.062, sun))
    clouds = fractal(shape, (height / 9, width / 3), 6, rng, 0.55)
    picture = blend(picture, (1.0, 0.86, 0.80), 0.55 * smoothstep(0.4, 1.6, clouds))
    haze = np.asarray(low, dtype=np.float32)
    for layer in range(5):
        depth = layer / 4.0
        ridge = fractal((1, width), (1.0, width / (2.5 + layer)), 7, rng, 0.48)[0]
        line = 0.40 + 0.065 * layer - (0.075 - 0.007 * layer) * ridge
        rock = np.array([0.16, 0.22, 0.30]) * (1 - depth) + np.array([0.08, 0.15, 0.10]) * depth
        colour = haze * (0.62 - 0.55 * depth) + rock * (0.38 + 0.55 * depth)
        relief = fractal(shape, (height / 10, width / 26), 5, rng, 0.65)
        hill = colour * (1.0 + (0.10 + 0.10 * depth) * relief)[..., None]
        snow = smoothstep(0.02, 0.10, line[None] + 0.09 - y + 0.03 * relief) * (layer < 3)
        hill = blend(hill, (0.93, 0.92, 0.95), 0.75 * snow * (relief > -0.3))
        picture = blend(picture, hill, smoothstep(0.0, 0.004, y - line[None]))
    shore = int(horizon * height)
    mirror = picture[shore - (height - shore) : shore][::-1]
    ripple = fractal((height - shore, width), (3.0, 90.0), 3, rng, 0.6)
    shift = np.clip(np.arange(width)[None] + np.rint(3 * ripple).astype(int), 0, width - 1)
    water = mirror[np.arange(height - shore)[:, None], shift] * np.array([0.74, 0.82, 0.92])
    picture[shore:] = water * (1.0 + 0.10 * ripple)[..., None]
    bank = 0.93 + 0.03 * fractal((1, width), (1.0, width / 6), 6, rng)[0][None]
    grass = np.array([0.10, 0.16, 0.07]) * (
        1 + 0.5 * fractal(shape, (12.0, 4.0), 3, rng, 0.8)[..., None]
    )
    picture = blend(picture, grass, smoothstep(0.0, 0.006, y - bank))
    return to_pixels(picture)


def contour_map(shape: tuple[int, int], rng: np.random.Generator, title: str) -> Pixels:
    """A walker's map: tinted heights, contour lines, streams, names, a grid."""
    height, width = shape
    ground = fractal(shape, min(shape) / 3.2, 6, rng, 0.42)
    stops = [-2.0, -0.9, -0.2, 0.6, 1.4, 2.4]
    tints = np.array(
        [
            [0.55, 0.73, 0.84],
            [0.70, 0.82, 0.66],
            [0.85, 0.90, 0.71],
            [0.95, 0.88, 0.68],
            [0.88, 0.70, 0.52],
            [0.97, 0.95, 0.93],
        ]
    )
    picture = np.stack([np.interp(ground, stops, tints[:, c]) for c in range(3)], axis=-1)
    slope_y, slope_x = np.gradient(ground, axis=0), np.gradient(ground, axis=1)
    picture *= (1.0 + np.clip(9.0 * (slope_x + slope_y), -0.22, 0.18))[..., None]
    steep = np.maximum(np.hypot(slope_x, slope_y), 1e-4)
    for spacing, line_width in ((0.16, 0.75), (0.8, 1.5)):
        near = np.abs((ground / spacing + 0.5) % 1.0 - 0.5) * spacing / steep
        picture = blend(
            picture,
            (0.48, 0.30, 0.17),
            0.8 * (1 - smoothstep(line_width - 0.5, line_width + 0.5, near)),
        )
    shore = np.abs(ground + 1.15) / steep
    picture = blend(picture, (0.35, 0.62, 0.80), 1.0 - smoothstep(-1.2, -1.1, ground))
    picture = blend(picture, (0.16, 0.36, 0.55), 1.0 - smoothstep(0.6, 1.6, shore))
    image = Image.fromarray(to_pixels(picture))
    draw = ImageDraw.Draw(image)
    cell = min(shape) // 6
    for at in range(cell, max(shape), cell):
        draw.line([(at, 0), (at, height)], fill=(110, 110, 140), width=1)
        draw.line([(0, at), (width, at)], fill=(110, 110, 140), width=1)
    for _ in range(7):
        points = [(float(rng.uniform(0, width)), float(rng.uniform(0, height)))]
        heading = rng.uniform(0, 2 * np.pi)
        for _ in range(60):
            heading += rng.normal(0, 0.22)
            last = points[-1]
            points.append((last[0] + 9 * np.cos(heading), last[1] + 9 * np.sin(heading)))
        draw.line(points, fill=(196, 62, 46), width=4)
        draw.line(points, fill=(250, 214, 120), width=2)
    names = (
        "Rotation Peak,Inlier Lake,Bundle Pass,Gauge Hill,Baseline,Tie Point,Newton Ridge,Old Prior"
    )
    for name in names.split(","):
        place = (float(rng.uniform(0.05, 0.75) * width), float(rng.uniform(0.1, 0.85) * height))
        draw.ellipse((place[0] - 9, place[1] + 4, place[0] - 3, place[1] + 10), fill=(30, 30, 30))
        write(draw, place, name, 17, (25, 25, 35), weight=0)
    band = max(height // 14, 26)
    draw.rectangle((0, height - band, width, height), fill=(247, 243, 232))
    write(draw, (band * 0.4, height - band * 0.9), title, band * 0.68, (40, 45, 60), weight=1)
    draw.rectangle((0, 0, width - 1, height - 1), outline=(247, 243, 232), width=9)
    draw.rectangle((9, 9, width - 10, height - band), outline=(40, 45, 60), width=2)
    return np.asarray(image)


def poster(shape: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A geometric print: sun, planes of colour and a fan of camera frusta."""
    height, width = shape
    image = Image.new("RGB", (width, height), (240, 230, 208))
    draw = ImageDraw.Draw(image)
    colours = [(214, 90, 58), (236, 176, 70), (38, 92, 110), (24, 48, 66), (126, 164, 150)]
    for ring in range(9):
        size = width * (0.46 - 0.048 * ring)
        middle = (width * 0.5, height * 0.40)
        box = (middle[0] - size, middle[1] - size, middle[0] + size, middle[1] + size)
        draw.ellipse(box, fill=colours[ring % 5] if ring % 2 == 0 else (240, 230, 208))
    for step in range(11):
        left = width * step / 11
        top = height * (0.52 + 0.2 * float(rng.random()))
        shape_points = [
            (left, height * 0.82),
            (left + width / 22, top),
            (left + width / 11, height * 0.82),
        ]
        draw.polygon(shape_points, fill=colours[int(rng.integers(5))])
    for step in range(7):
        x, y = width * (0.12 + 0.127 * step), height * (0.13 + 0.05 * np.sin(step * 1.3))
        corners = [(x - 16, y + 26), (x + 16, y + 26), (x + 16, y + 48), (x - 16, y + 48)]
        draw.polygon(corners, outline=(24, 48, 66), width=3)
        for corner in corners:
            draw.line([(x, y), corner], fill=(24, 48, 66), width=3)
    write(draw, (width * 0.07, height * 0.835), "MANY VIEWS", width * 0.125, (24, 48, 66), weight=2)
    write(
        draw,
        (width * 0.07, height * 0.915),
        "ONE SCENE · 36 PICTURES",
        width * 0.062,
        (214, 90, 58),
        weight=1,
    )
    grain = 1.0 + 0.035 * fractal(shape, 4.0, 2, rng, 0.8)[..., None]
    return to_pixels(to_floats(image) * grain)
