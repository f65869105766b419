"""Materials without pictures on them: wood, brick, plaster, cloth, leaves, metal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sample_scenes.noise import Pixels, blend, flat, fractal, smoothstep, to_pixels

Floats = NDArray[np.float32]


Tones = tuple[tuple[float, float, float], tuple[float, float, float]]

OAK: Tones = ((0.80, 0.60, 0.38), (0.47, 0.28, 0.13))
WALNUT: Tones = ((0.47, 0.38, 0.31), (0.25, 0.18, 0.13))


def wood(
    shape: tuple[int, int], planks: int, rng: np.random.Generator, tones: Tones = OAK
) -> Pixels:
    """Boards with the grain along the rows, `planks` of them below one another.

    `tones` are the sRGB colours of the early and the late wood.
    """
    height, width = shape
    light, dark = np.array(tones[0]), np.array(tones[1])
    picture = np.zeros((height, width, 3), dtype=np.float32)
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in pairwise(edges):
        size = (bottom - top, width)
        across = (np.arange(size[0])[:, None] - rng.uniform(0, size[0])) / size[0]
        bend = fractal(size, (size[0] * 1.2, width / 3), 4, rng, 0.45)
        rings = across * rng.uniform(5, 9) + 1.3 * bend
        tooth = (rings % 1.0) ** 2.2
        fibre = fractal(size, (3.0, 170.0), 3, rng, 0.7)
        pores = smoothstep(1.1, 1.9, fractal(size, (2.2, 46.0), 2, rng, 0.6))
        cloud = fractal(size, (size[0] / 2, 300.0), 3, rng)
        amount = 0.18 + 0.42 * tooth + 0.10 * fibre + 0.08 * cloud + rng.uniform(-0.08, 0.14)
        board = light + (dark - light) * np.clip(amount, 0.0, 1.2)[..., None]
        board = blend(board, dark * 0.62, 0.65 * pores)
        for _ in range(rng.integers(1, 3)):
            board = _knot(board, dark * 0.55, rng)
        board[:2] *= 0.55
        board[-1:] *= 0.7
        picture[top:bottom] = board
    wear = smoothstep(1.2, 2.2, fractal(shape, 90.0, 4, rng))
    picture = blend(picture, dark * 0.8, 0.35 * wear)
    return to_pixels(picture)


def _knot(board: Floats, colour: ArrayLike, rng: np.random.Generator) -> Floats:
    height, width = board.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    centre_y, centre_x = rng.uniform(0.2, 0.8) * height, rng.uniform(0.03, 0.97) * width
    size = rng.uniform(9, 18)
    distance = np.hypot((y - centre_y) / size, (x - centre_x) / (size * 1.7))
    rings = 0.5 + 0.5 * np.sin(distance * 9.0 + fractal((height, width), 20.0, 2, rng))
    mask = np.exp(-((distance / 1.25) ** 2))
    return blend(board, colour, mask * (0.55 + 0.45 * rings))


def brick(shape: tuple[int, int], size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A brick wall in running bond; `size` is a brick with its joint, (height, width) in pixels."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y += 1.6 * fractal(shape, 70.0, 2, rng)
    x += 1.6 * fractal(shape, 60.0, 2, rng)
    row = np.floor(y / size[0]).astype(int)
    shifted = x + (row % 2) * size[1] / 2.0
    column = np.floor(shifted / size[1]).astype(int)
    picked = (row + 1, column + 1)
    table = (row.max() + 3, column.max() + 3)
    tone = rng.standard_normal(table)[picked]
    hue = rng.uniform(0.0, 1.0, table)[picked][..., None]
    edge = np.minimum.reduce(
        [
            y - row * size[0],
            (row + 1) * size[0] - y,
            shifted - column * size[1],
            (column + 1) * size[1] - shifted,
        ]
    )
    rough = fractal(shape, 7.0, 3, rng, 0.7)
    face = np.array([0.56, 0.34, 0.26]) * (1 - hue) + np.array([0.68, 0.49, 0.39]) * hue
    face = face * (1.0 + 0.15 * tone + 0.09 * rough)[..., None]
    face = blend(face, (0.30, 0.17, 0.14), 0.6 * smoothstep(0.9, 2.0, fractal(shape, 24.0, 4, rng)))
    face = blend(face, (0.82, 0.74, 0.67), 0.5 * smoothstep(1.1, 2.1, fractal(shape, 40.0, 4, rng)))
    mortar = flat(shape, (0.70, 0.66, 0.60)) * (1.0 + 0.10 * fractal(shape, 4.0, 2, rng))[..., None]
    joint = size[0] * 0.075
    inside = smoothstep(joint * 0.5, joint * 1.5, edge + 0.9 * rough)
    shade = smoothstep(0.0, joint * 0.9, edge)
    return to_pixels(blend(mortar * (0.6 + 0.4 * shade)[..., None], face, inside))


def plaster(shape: tuple[int, int], colour: ArrayLike, rng: np.random.Generator) -> Pixels:
    """Painted plaster: faint clouds and the grain of a roller."""
    clouds = fractal(shape, max(shape) / 6, 5, rng)
    grain = fractal(shape, 5.0, 3, rng, 0.8)
    return to_pixels(flat(shape, colour) * (1.0 + 0.035 * clouds + 0.035 * grain)[..., None])


def plain(colour: ArrayLike, rng: np.random.Generator, grain: float = 0.02) -> Pixels:
    """A nearly even colour, for small things."""
    return to_pixels(
        flat((64, 64), colour) * (1.0 + grain * fractal((64, 64), 6.0, 3, rng))[..., None]
    )


def cloth(shape: tuple[int, int], colour: ArrayLike, rng: np.random.Generator) -> Pixels:
    """A coarse weave of thick and thin threads."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    weave = 0.5 + 0.25 * (np.sin(x * 1.3) + np.sin(y * 1.3))
    slub = fractal(shape, (3.0, 60.0), 2, rng) + fractal(shape, (60.0, 3.0), 2, rng)
    stain = fractal(shape, 120.0, 4, rng)
    return to_pixels(
        flat(shape, colour) * (0.82 + 0.2 * weave + 0.10 * slub + 0.06 * stain)[..., None]
    )


def leaf(rng: np.random.Generator) -> Pixels:
    """A green leaf with its midrib along the rows' direction and slanting veins."""
    shape = (256, 128)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    off = np.abs(x - 63.5)
    slant = (y + off * 0.9) % 26.0
    vein = np.exp(-(((slant - 13.0) / 1.6) ** 2)) * (1.0 - smoothstep(20.0, 64.0, off))
    rib = np.exp(-((off / 2.6) ** 2))
    green = flat(shape, (0.20, 0.42, 0.16)) * (1.0 + 0.16 * fractal(shape, 40.0, 4, rng))[..., None]
    green = blend(green, (0.45, 0.62, 0.25), np.clip(0.9 * rib + 0.55 * vein, 0.0, 1.0))
    spots = smoothstep(1.5, 2.2, fractal(shape, 14.0, 3, rng))
    return to_pixels(blend(green, (0.55, 0.50, 0.22), 0.5 * spots))


def metal(shape: tuple[int, int], colour: ArrayLike, rng: np.random.Generator) -> Pixels:
    """Brushed metal, brushed along the rows."""
    return to_pixels(
        flat(shape, colour) * (1.0 + 0.07 * fractal(shape, (2.0, 90.0), 3, rng))[..., None]
    )


def speckled(shape: tuple[int, int], colour: ArrayLike, rng: np.random.Generator) -> Pixels:
    """Glazed stoneware with dark iron specks."""
    base = flat(shape, colour) * (1.0 + 0.03 * fractal(shape, 40.0, 4, rng))[..., None]
    specks = smoothstep(1.75, 2.1, fractal(shape, 5.0, 2, rng, 0.8))
    return to_pixels(blend(base, (0.28, 0.20, 0.15), 0.85 * specks))
