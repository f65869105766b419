"""The things on the desk, each built about its own origin, standing on z = 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_scenes.desk_prints import Book, key_layout
from sample_scenes.meshes import Part, box, lathe, move_all, quad, rotation_about, sheet, tube

Floats = NDArray[np.float64]

_KEY_PITCH_M = 0.0285
_STILL = np.eye(3)


def monitor() -> list[Part]:
    """A 27 inch screen on a foot; it looks along -y."""
    tilt = rotation_about("x", -6.0)
    panel = box((0.60, 0.028, 0.365), "black_plastic", radius=0.008)
    glass = quad((-0.285, -0.0145, 0.170), (0.57, 0, 0), (0, 0, -0.3206), "screen", 0.02)
    chin = quad((-0.03, -0.0145, -0.158), (0.06, 0, 0), (0, 0, -0.012), "steel", 0.02)
    head = move_all([*panel, glass, chin], tilt, (0, 0, 0.335))
    neck = move_all(box((0.07, 0.018, 0.30), "steel", radius=0.006), _STILL, (0, 0.045, 0.16))
    foot = move_all(box((0.26, 0.19, 0.014), "steel", radius=0.006), _STILL, (0, 0.02, 0.007))
    return [*head, *neck, *foot]


def keyboard() -> list[Part]:
    """A keyboard with labelled caps, its rear edge towards +y, slightly raised."""
    pitch = _KEY_PITCH_M
    width, depth = 15.2 * pitch, 6.3 * pitch
    parts = box((width + 0.012, depth + 0.010, 0.014), "key_frame", radius=0.004, step=0.02)
    for label, left, top, units in key_layout():
        size = (units * pitch - 0.0024, pitch - 0.0024, 0.009)
        span = ((left + 0.04) / 15, (top + 0.04) / 7, (left + units - 0.04) / 15, (top + 0.96) / 7)
        side = (span[0] + 0.002, span[3] - 0.03, span[0] + 0.008, span[3] - 0.005)
        sides = dict.fromkeys(("+x", "-x", "+y", "-y"), side)
        cap = box(size, "keycaps", radius=0.0026, uv={"+z": span, **sides}, skip=("-z",))
        x = (left + units / 2 - 7.5) * pitch
        y = (3.0 - top - 0.5) * pitch
        lift = 0.0095 + (0.0 if label else -0.0004)
        parts += move_all(cap, _STILL, (x, y, lift))
    return move_all(parts, rotation_about("x", 3.5), (0, 0, 0.014))


def mouse() -> list[Part]:
    """A computer mouse, its buttons towards +y."""
    u = np.linspace(-np.pi, np.pi, 41)[None, :]
    v = np.linspace(np.pi / 2, 0.0, 15)[:, None]
    ring = np.cos(v) ** 0.75
    points = np.stack(
        [
            0.032 * ring * np.cos(u),
            0.055 * ring * np.sin(u),
            0.036 * np.sin(v) * (1.0 - 0.22 * ring * np.sin(u)),
        ],
        axis=-1,
    )
    wheel = tube([(-0.003, 0.033, 0.0215), (0.003, 0.033, 0.0215)], 0.007, "black_plastic", 18)
    return [sheet(points, "mouse", closed=True), wheel]


def book(number: int, item: Book) -> list[Part]:
    """A closed book lying on its back, its spine towards -y, its title to be read from there."""
    width, height, thick = item.size
    board = 0.003
    cover, spine, edge = f"book_{number}", f"spine_{number}", f"board_{number}"
    front = box((height, width, board), {"": edge, "+z": cover}, radius=0.0012)
    parts = move_all(front, _STILL, (0, 0, thick - board / 2))
    parts += move_all(box((height, width, board), edge, radius=0.0012), _STILL, (0, 0, board / 2))
    block = box(
        (height - 0.008, width - 0.008, thick - 2 * board), "pages", skip=("+z", "-z"), step=0.03
    )
    parts += move_all(block, _STILL, (0, 0.0, thick / 2))
    angle = np.linspace(0.0, np.pi, 9)
    line = np.stack([-width / 2 - 0.004 * np.sin(angle), thick / 2 * (1 + np.cos(angle))], axis=1)
    along = np.linspace(-height / 2, height / 2, 12)
    grid = np.empty((len(line), len(along), 3))
    grid[..., 0] = along[None, :]
    grid[..., 1:] = line[:, None, :]
    parts.append(sheet(grid, spine))
    return parts


def upright(parts: list[Part], height: float) -> list[Part]:
    """Stand a lying book of `height` up: its spine still towards -y, the title running down."""
    return move_all(parts, rotation_about("y", 90.0), (0, 0, height / 2))


def mug() -> list[Part]:
    """A mug with a print and a handle towards +x, coffee in it."""
    outer = [(0.0415, 0.098), (0.0422, 0.096), (0.0422, 0.094), (0.0420, 0.012), (0.039, 0.002)]
    inner = [(0.0, 0.008), (0.033, 0.008), (0.0385, 0.014), (0.0388, 0.094), (0.0400, 0.0975)]
    wall = np.linspace((0.0422, 0.094), (0.0420, 0.012), 9)
    parts = [
        lathe(wall, "mug_wrap", 56),
        lathe([inner[-1], *outer[:3]], "mug_glaze", 56),
        lathe([outer[3], outer[4], (0.0, 0.002)], "mug_glaze", 56),
        lathe(inner, "mug_glaze", 56),
        lathe([(0.0, 0.072), (0.0386, 0.072)], "coffee", 40),
    ]
    angle = np.linspace(-0.62 * np.pi, 0.62 * np.pi, 21)
    loop = np.stack(
        [0.0445 + 0.027 * np.cos(angle), np.zeros(21), 0.053 + 0.033 * np.sin(angle)], axis=1
    )
    return [*parts, tube(loop, 0.0052, "mug_glaze", 14)]


def cup_of_pencils(rng: np.random.Generator) -> list[Part]:
    """A stoneware cup with six pencils."""
    parts = [
        lathe([(0.037, 0.1), (0.0385, 0.098), (0.0385, 0.0), (0.0, 0.0)], "stoneware", 40),
        lathe([(0.0, 0.01), (0.0355, 0.01), (0.0355, 0.098), (0.037, 0.1)], "stoneware", 40),
    ]
    for number in range(6):
        angle = 2 * np.pi * (number + 0.4 * rng.random()) / 6
        lean = 0.010 + 0.010 * rng.random()
        foot = np.array([-0.014 * np.cos(angle), -0.014 * np.sin(angle), 0.012])
        top = np.array([(0.022 + lean) * np.cos(angle), (0.022 + lean) * np.sin(angle), 0.165])
        top[2] += 0.03 * rng.random()
        path = foot + np.linspace(0.0, 1.0, 7)[:, None] * (top - foot)
        tip = top + 0.085 * (top - foot)
        parts.append(tube(path[::-1], 0.0037, f"pencil_{number % 3}", 7))
        parts.append(tube([tip, top], [0.0007, 0.0037], "pencil_wood", 7))
    return parts


def plant(rng: np.random.Generator) -> list[Part]:
    """A rubber plant in a clay pot."""
    pot = [
        (0.066, 0.125),
        (0.076, 0.125),
        (0.076, 0.125),
        (0.076, 0.102),
        (0.076, 0.102),
        (0.070, 0.102),
        (0.054, 0.0),
        (0.0, 0.0),
    ]
    parts = [lathe(pot, "clay", 44), lathe([(0.0, 0.112), (0.067, 0.110)], "soil", 30)]
    for number in range(24):
        level = number / 23.0
        turn = number * 137.5 + rng.uniform(-12, 12)
        length = (0.165 - 0.075 * level) * rng.uniform(0.85, 1.15)
        rise = 42 + 38 * level + rng.uniform(-8, 8)
        shape = _leaf(length, length * rng.uniform(0.40, 0.50), rise, rng.uniform(55, 95))
        root = (0.008 * rng.normal(), 0.008 * rng.normal(), 0.16 + 0.20 * level)
        leaf = sheet(shape, f"leaf_{number % 3}")
        parts.append(leaf.moved(rotation_about("z", turn), root))
    stem = [(0, 0, 0.10), (0.005, 0.003, 0.2), (-0.004, 0.004, 0.3), (0.003, 0, 0.385)]
    return [*parts, tube(stem, [0.007, 0.006, 0.005, 0.003], "stem", 9)]


def _leaf(length: float, width: float, rise_deg: float, droop_deg: float) -> Floats:
    """A leaf that leaves the origin towards +x and bends down: a grid (14,7,3)."""
    along = np.linspace(0.0, 1.0, 14)
    pitch = np.radians(rise_deg - droop_deg * along)
    step = length / 13
    x = np.concatenate([[0.0], np.cumsum(np.cos(pitch[1:]) * step)]) + 0.012
    z = np.concatenate([[0.0], np.cumsum(np.sin(pitch[1:]) * step)])
    half = 0.5 * width * np.sin(np.pi * np.clip(along, 0.03, 0.985) ** 0.8) ** 0.85
    across = np.linspace(1.0, -1.0, 7)
    grid = np.empty((14, 7, 3))
    grid[..., 0] = x[:, None]
    grid[..., 1] = half[:, None] * across
    grid[..., 2] = z[:, None] + 0.30 * half[:, None] * np.abs(across)
    return grid[:, ::-1]


def lamp() -> list[Part]:
    """A reading lamp whose shade hangs over +x; the light under it is not part of the mesh."""
    base = [(0.0, 0.022), (0.07, 0.022), (0.078, 0.018), (0.078, 0.018), (0.078, 0.0), (0.0, 0.0)]
    elbow, head = (-0.05, 0.0, 0.27), (0.16, 0.0, 0.44)
    parts = [
        lathe(base, "lamp_paint", 44),
        tube(np.linspace(elbow, (0, 0, 0.02), 8), 0.007, "brass", 12),
        tube(np.linspace(head, elbow, 8), 0.006, "brass", 12),
        lathe(
            [(0.0, 0.012), (0.011, 0.008), (0.013, 0.0), (0.011, -0.008), (0.0, -0.012)],
            "brass",
            18,
        ).moved(_STILL, elbow),
    ]
    shade = [(0.014, 0.05), (0.022, 0.046), (0.030, 0.03), (0.078, -0.055)]
    inside = [(0.077, -0.0545), (0.029, 0.0285), (0.0, 0.0285)]
    bulb = [(0.0, 0.028), (0.022, 0.012), (0.028, -0.008), (0.022, -0.026), (0.0, -0.034)]
    hood = [
        lathe(shade, "lamp_paint", 44),
        lathe(inside, "lamp_inside", 44),
        lathe(bulb, "bulb", 24),
    ]
    return parts + move_all(hood, rotation_about("y", -14.0), (0.165, 0.0, 0.415))


def sheet_of_paper(width: float, height: float, material: str, curl: float) -> list[Part]:
    """A paper on the table, its corners lifted by `curl` metres."""
    u, v = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(1, -1, 33))
    lift = curl * (0.75 * np.clip(u * v, 0, 1) ** 2.5 + 0.45 * np.clip(-u * v, 0, 1) ** 3)
    grid = np.stack([u * width / 2, v * height / 2, 0.0012 + lift], axis=-1)
    return [sheet(grid, material)]


def apple() -> list[Part]:
    """A red apple with its stalk."""
    angle = np.linspace(0.0, np.pi, 22)
    radius = 0.039 * np.sin(angle) ** 0.82 * (1.0 + 0.10 * np.cos(angle))
    z = 0.036 + 0.036 * np.cos(angle) * (1.0 - 0.38 * np.exp(-((np.sin(angle) / 0.42) ** 2)))
    body = lathe(np.stack([radius, z], axis=1), "apple", 44)
    stalk = tube([(0.004, 0.002, 0.077), (0.001, 0, 0.066), (0, 0, 0.056)], 0.0016, "stem", 7)
    return [body, stalk]


def pen() -> list[Part]:
    """A fountain pen lying along x."""
    r = 0.0056
    body = tube(
        [(0.03, 0, r), (0.0, 0, r), (-0.045, 0, r), (-0.052, 0, r)], [r, r, r, r * 0.6], "pen", 16
    )
    cap = tube(
        [(0.086, 0, r), (0.083, 0, r), (0.03, 0, r)], [r * 0.6, r * 1.08, r * 1.08], "pen_cap", 16
    )
    nib = tube([(-0.052, 0, r), (-0.072, 0, r)], [r * 0.55, r * 0.08], "brass", 10)
    clip = tube([(0.08, 0, 2.2 * r), (0.042, 0, 2.2 * r)], 0.0011, "brass", 7)
    return [body, cap, nib, clip]
