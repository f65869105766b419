"""The painted surfaces of the facade: weathered plaster, glass with curtains, door, pavement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sample_scenes.noise import Pixels, blend, flat, fractal, smoothstep, to_floats, to_pixels
from sample_scenes.pictures import landscape, poster
from sample_scenes.surfaces import brick
from sample_scenes.text import Colour, font, write

Floats = NDArray[np.float32]
Opening = tuple[float, float, float, float]

PIXELS_PER_METRE = 140
_OCHRE = (0.80, 0.66, 0.45)


def weathered_wall(
    width_m: float,
    height_m: float,
    openings: Sequence[Opening],
    rustic_m: float,
    rng: np.random.Generator,
) -> Pixels:
    """Plaster that no two square metres of which have aged alike.

    `openings` are (left, bottom, right, top) in metres from the wall's lower left corner; below
    `rustic_m` the plaster is grooved like stone courses.
    """
    scale = PIXELS_PER_METRE
    shape = (round(height_m * scale), round(width_m * scale))
    height = (height_m - np.arange(shape[0])[:, None] / scale).astype(np.float32)
    clouds, grain = fractal(shape, 420.0, 6, rng, 0.55), fractal(shape, 7.0, 3, rng, 0.9)
    picture = flat(shape, _OCHRE) * (1.0 + 0.05 * clouds + 0.04 * grain)[..., None]
    faded = smoothstep(0.3, 1.6, fractal(shape, 300.0, 5, rng, 0.6))
    picture = blend(picture, (0.86, 0.78, 0.64), 0.5 * faded)
    picture = _grooved(picture, height, rustic_m)
    for _ in range(int(width_m * 1.2)):
        picture = _repaired(picture, rng)
    bare = _blots(shape, int(width_m * 0.45), (0.3, 1.0), rng)
    inside, rim = smoothstep(0.42, 0.50, bare), smoothstep(0.30, 0.42, bare)
    picture = blend(picture, (0.62, 0.56, 0.48), rim * 0.75)
    courses = brick(shape, (11, 34), rng).astype(np.float32) / 255.0
    picture = blend(picture, courses * np.float32(0.92), inside)
    picture = _streaked(picture, openings, rng)
    reach = 0.55 + 0.35 * fractal(shape, 90.0, 5, rng)
    splash = smoothstep(0.0, 0.5, np.asarray(reach - height, dtype=np.float32))
    picture = blend(picture, (0.33, 0.30, 0.25), 0.62 * splash)
    spots = smoothstep(1.8, 2.3, fractal(shape, 11.0, 2, rng)) * smoothstep(0.0, 1.5, clouds)
    picture = blend(picture, (0.38, 0.33, 0.26), 0.5 * spots)
    image = Image.fromarray(to_pixels(picture))
    draw = ImageDraw.Draw(image)
    for _ in range(int(width_m * 1.6)):
        _crack(draw, shape, rng)
    return np.asarray(image)


def _grooved(picture: Floats, height: Floats, rustic_m: float) -> Floats:
    phase = height % 0.45
    low = (height < rustic_m).astype(np.float32)
    groove = (phase < 0.028).astype(np.float32) * low
    light = ((phase >= 0.028) & (phase < 0.043)).astype(np.float32) * low
    columns = np.ones((1, picture.shape[1]), dtype=np.float32)
    picture = blend(picture, (0.42, 0.34, 0.24), 0.8 * groove * columns)
    return blend(picture, (0.95, 0.86, 0.68), 0.35 * light * columns)


def _repaired(picture: Floats, rng: np.random.Generator) -> Floats:
    """A trowelled patch of another tint."""
    size = (int(rng.integers(40, 200)), int(rng.integers(40, 260)))
    top = int(rng.integers(0, picture.shape[0] - size[0]))
    left = int(rng.integers(0, picture.shape[1] - size[1]))
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    edge = 0.86 + 0.16 * fractal(size, 40.0, 4, rng) - (np.abs(x) ** 4 + np.abs(y) ** 4) ** 0.25
    tint = np.array(_OCHRE) * rng.uniform(0.82, 1.12) + rng.normal(0, 0.025, 3)
    rough = 1.0 + 0.07 * fractal(size, (9.0, 26.0), 3, rng, 0.8)
    patch = flat(size, tint) * rough[..., None]
    window = picture[top : top + size[0], left : left + size[1]]
    mask = smoothstep(0.0, 0.06, edge) * rng.uniform(0.5, 0.9)
    window[:] = blend(window, patch, mask.astype(np.float32))
    return picture


def _blots(
    shape: tuple[int, int], count: int, size_m: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Irregular islands: a field that is above 0.4 or so inside them."""
    field = np.zeros(shape, dtype=np.float32)
    ragged = 0.16 * fractal(shape, 70.0, 5, rng, 0.6)
    for _ in range(count):
        radius = rng.uniform(*size_m) * PIXELS_PER_METRE
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        top, left = max(int(y - radius), 0), max(int(x - radius), 0)
        rows = np.arange(top, min(int(y + radius), shape[0]))[:, None]
        columns = np.arange(left, min(int(x + radius), shape[1]))[None]
        bump = 1.0 - np.hypot((rows - y) / 0.7, columns - x) / radius
        place = field[top : top + len(rows), left : left + columns.shape[1]]
        np.maximum(place, bump, out=place)
    return np.asarray(np.where(field > 0.02, field + ragged, 0.0), dtype=np.float32)


def _streaked(picture: Floats, openings: Sequence[Opening], rng: np.random.Generator) -> Floats:
    """Rain has run down below the sills and from the eaves, farther at some places."""
    shape = (picture.shape[0], picture.shape[1])
    scale = PIXELS_PER_METRE
    threads = smoothstep(-0.2, 1.5, fractal(shape, (500.0, 9.0), 4, rng, 0.75))
    reach = np.zeros(shape, dtype=np.float32)
    down = np.arange(shape[0], dtype=np.float32)[:, None]
    eaves = 60.0 + 130.0 * np.abs(fractal((1, shape[1]), (1.0, 90.0), 4, rng))
    np.maximum(reach, 1.0 - down / eaves, out=reach)
    for left, bottom, right, _ in openings:
        start = shape[0] - round((bottom - 0.10) * scale)
        columns = slice(max(round((left - 0.16) * scale), 0), round((right + 0.16) * scale))
        width = reach[:, columns].shape[1]
        fall = 30.0 + rng.uniform(10, 150) * np.abs(fractal((1, width), (1.0, 26.0), 3, rng))
        below = np.where(down < start, 0.0, 1.0 - (down - start) / fall)
        reach[:, columns] = np.maximum(reach[:, columns], below)
    mask = np.clip(reach, 0.0, 1.0) ** 0.6 * threads
    return blend(picture, (0.27, 0.24, 0.20), (0.75 * mask).astype(np.float32))


def _crack(draw: ImageDraw.ImageDraw, shape: tuple[int, int], rng: np.random.Generator) -> None:
    point = np.array([rng.uniform(0, shape[1]), rng.uniform(0, shape[0])])
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(12, 60))):
        turned = heading + rng.normal(0, 0.7)
        end = point + rng.uniform(3, 9) * np.array([np.cos(turned), np.sin(turned)])
        draw.line([tuple(point), tuple(end)], fill=(70, 58, 44), width=int(rng.integers(1, 3)))
        point = end


def with_graffiti(wall: Pixels, rng: np.random.Generator) -> Pixels:
    """The front wall after the street has written and glued things on it."""
    image = Image.fromarray(wall)
    draw = ImageDraw.Draw(image)
    bottom, scale = image.height, PIXELS_PER_METRE

    def at(x: float, z: float) -> tuple[int, int]:
        return round(x * scale), round(bottom - z * scale)

    _tag(draw, at(2.0, 1.30), "LOOP", 118, (40, 120, 176), (240, 240, 232))
    _tag(draw, at(7.0, 1.05), "drift?", 92, (178, 40, 66), (24, 22, 30))
    _tag(draw, at(28.7, 1.0), "RANSAC", 92, (70, 150, 86), (20, 30, 26))
    _tag(draw, at(10.55, 3.4), "7", 95, (230, 190, 40), (60, 30, 90))
    glued = (
        (poster((420, 290), rng), 20.92, 2.3),
        (landscape((230, 320), rng, (0.2, 0.4, 0.6), (0.95, 0.85, 0.7)), 4.83, 2.2),
        (poster((300, 210), rng), 23.95, 2.3),
        (landscape((190, 150), rng, (0.5, 0.2, 0.3), (0.95, 0.6, 0.4)), 31.83, 1.9),
    )
    for picture, x, z in glued:
        image.paste(
            Image.fromarray(picture).resize((picture.shape[1] // 2, picture.shape[0] // 2)),
            at(x, z),
        )
    for x, z, words, colour in (
        (21.2, 2.85, "12", (24, 60, 130)),
        (29.24, 3.0, "BASELINE ST", (24, 60, 130)),
        (2.28, 3.0, "ROW 7 ONLY", (122, 36, 30)),
    ):
        left, top = at(x, z)
        width = draw.textlength(words, font=font(23))
        draw.rectangle((left - 12, top - 8, left + width + 12, top + 34), fill=colour)
        draw.rectangle(
            (left - 9, top - 5, left + width + 9, top + 31), outline=(240, 240, 240), width=2
        )
        write(draw, (left, top), words, 23, (244, 244, 240), weight=1)
    return np.asarray(image)


def _tag(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    words: str,
    size: float,
    fill: Colour,
    outline: Colour,
) -> None:
    face = font(size)
    draw.text(place, words, font=face, fill=outline, stroke_width=11, stroke_fill=outline)
    draw.text(place, words, font=face, fill=fill, stroke_width=5, stroke_fill=fill)
    length = draw.textlength(words, font=face)
    y = place[1] + size * 1.28
    wave = [(place[0] + t, y + 9 * np.sin(t / 17.0)) for t in range(0, int(length), 6)]
    draw.line(wave, fill=outline, width=7)


def window_glass(rng: np.random.Generator) -> Pixels:
    """A dark room behind drawn-back curtains; all windows share this picture."""
    shape = (300, 180)
    y, x = np.mgrid[0:1:300j, -1:1:180j].astype(np.float32)
    picture = flat(shape, (0.10, 0.115, 0.13)) * (1.15 - 0.4 * y)[..., None]
    opened = 0.32 + 0.40 * (1.0 - np.abs(y - 0.55) ** 1.5 * 1.6)
    folds = 0.82 + 0.14 * np.sin(x * 46.0 + 2.0 * y) + 0.04 * fractal(shape, 20.0, 3, rng)
    cloth = flat(shape, (0.86, 0.82, 0.73)) * (folds * (1.0 - 0.35 * y))[..., None]
    picture = blend(picture, cloth, smoothstep(0.0, 0.03, np.abs(x) - opened))
    lace = 0.75 + 0.25 * np.sin(x * 70.0) * np.sin(y * 110.0)
    rail = 1.0 - smoothstep(0.16, 0.17, y + 0.018 * np.cos(x * 40.0))
    return to_pixels(blend(picture, flat(shape, (0.90, 0.88, 0.82)) * lace[..., None], 0.85 * rail))


def door_leaf(rng: np.random.Generator) -> Pixels:
    """A green double door with panels, a letter slot and a sticker."""
    image = Image.new("RGB", (280, 480), (38, 84, 66))
    draw = ImageDraw.Draw(image)
    for left in (18, 150):
        for top, bottom in ((20, 190), (210, 300), (320, 460)):
            draw.rectangle(
                (left, top, left + 112, bottom), fill=(32, 72, 57), outline=(20, 48, 38), width=5
            )
            draw.line(
                [(left + 5, bottom - 3), (left + 108, bottom - 3)], fill=(88, 140, 116), width=3
            )
    draw.rectangle((137, 0, 143, 480), fill=(18, 40, 32))
    draw.rectangle((160, 306, 236, 316), fill=(190, 160, 90))
    draw.ellipse((122, 246, 136, 260), fill=(210, 180, 100))
    draw.rectangle((34, 226, 96, 282), fill=(236, 206, 70))
    write(draw, (40, 238), "no ads", 18, (40, 30, 30))
    shade = 1.0 + 0.08 * fractal((480, 280), (60.0, 8.0), 4, rng)
    return to_pixels(to_floats(image) * shade[..., None])


def shop_sign(rng: np.random.Generator) -> Pixels:
    """The sign over the door."""
    image = Image.new("RGB", (720, 130), (120, 32, 38))
    draw = ImageDraw.Draw(image)
    draw.rectangle((8, 8, 711, 121), outline=(236, 200, 120), width=5)
    write(draw, (360, 64), "CAFÉ PARALLAX", 74, (244, 222, 160), weight=2, anchor="mm")
    worn = 1.0 + 0.05 * fractal((130, 720), 60.0, 5, rng)
    return to_pixels(to_floats(image) * worn[..., None])


def slabs(shape: tuple[int, int], size: int, rng: np.random.Generator) -> Pixels:
    """Pavement: square slabs in rows that do not quite agree, gum, a mended place."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    y += 1.2 * fractal(shape, 90.0, 2, rng)
    row = np.floor(y / size).astype(int)
    x = x + rng.uniform(0, size, row.max() + 3)[row + 1].astype(np.float32)
    column = np.floor(x / size).astype(int)
    tone = rng.standard_normal((row.max() + 3, column.max() + 3))[row + 1, column + 1]
    edge = np.minimum(np.minimum(y % size, size - y % size), np.minimum(x % size, size - x % size))
    grain = fractal(shape, 5.0, 3, rng, 0.9)
    stain = fractal(shape, 160.0, 6, rng, 0.6)
    level = 1.0 + 0.07 * tone + 0.07 * grain + 0.06 * stain
    picture = flat(shape, (0.56, 0.54, 0.51)) * level.astype(np.float32)[..., None]
    picture = blend(picture, (0.25, 0.24, 0.22), 0.8 * (1.0 - smoothstep(0.8, 2.4, edge)))
    gum = smoothstep(1.9, 2.2, fractal(shape, 13.0, 1, rng))
    picture = blend(picture, (0.33, 0.32, 0.31), 0.7 * gum)
    mended = smoothstep(1.55, 1.62, stain)
    return to_pixels(blend(picture, (0.30, 0.30, 0.31), 0.8 * mended))


def asphalt(shape: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A road with tar seams, patches and a worn white line."""
    grain, stain = fractal(shape, 4.0, 2, rng, 0.9), fractal(shape, 200.0, 6, rng, 0.6)
    picture = flat(shape, (0.34, 0.34, 0.35)) * (1.0 + 0.10 * grain + 0.07 * stain)[..., None]
    patch = smoothstep(1.2, 1.25, fractal(shape, 260.0, 3, rng))
    picture = blend(picture, (0.24, 0.24, 0.25), 0.7 * patch)
    image = Image.fromarray(to_pixels(picture))
    draw = ImageDraw.Draw(image)
    for _ in range(26):
        point = np.array([rng.uniform(0, shape[1]), rng.uniform(0, shape[0])])
        heading = rng.uniform(0, 2 * np.pi)
        for _ in range(30):
            heading += rng.normal(0, 0.35)
            end = point + 8 * np.array([np.cos(heading), np.sin(heading)])
            draw.line([tuple(point), tuple(end)], fill=(40, 40, 42), width=3)
            point = end
    return np.asarray(image)


def neighbour_house(shape: tuple[int, int], pitch: int, rng: np.random.Generator) -> Pixels:
    """A plain brick house with painted windows, for the background."""
    image = Image.fromarray(brick(shape, (9, 28), rng))
    draw = ImageDraw.Draw(image)
    for top in range(60, shape[0] - 160, 230):
        for left in range(50, shape[1] - 100, pitch):
            tone = int(rng.integers(24, 90))
            draw.rectangle((left - 10, top - 10, left + 90, top + 150), fill=(206, 198, 182))
            draw.rectangle((left, top, left + 80, top + 140), fill=(tone, tone + 6, tone + 14))
            blind = int(rng.integers(0, 120))
            draw.rectangle((left, top, left + 80, top + blind), fill=(220, 212, 190))
            draw.line([(left + 40, top), (left + 40, top + 140)], fill=(206, 198, 182), width=6)
    return np.asarray(image)
