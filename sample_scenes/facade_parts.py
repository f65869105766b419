"""The pieces of the facade: a wall with holes in it, windows, door, cornice, pipe, lamps, bicycle.

Walls and what hangs on them are built in the plane y = 0, seen from -y, x to the right, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sample_scenes.facade_paint import Opening
from sample_scenes.meshes import Part, box, lathe, move_all, quad, rotation_about, sheet, tube

Floats = NDArray[np.float64]

_STILL = np.eye(3)
_REVEAL_M = 0.17


def pierced_wall(
    width: float, height: float, openings: Sequence[Opening], material: str, step: float
) -> Part:
    """A flat wall (metres) without the rectangles `openings`; its picture covers all of it."""
    x_edges = [0.0, width, *(o[0] for o in openings), *(o[2] for o in openings)]
    z_edges = [0.0, height, *(o[1] for o in openings), *(o[3] for o in openings)]
    x, z = _lines(x_edges, step), _lines(z_edges, step)[::-1]
    grid_x, grid_z = np.meshgrid(x, z)
    whole = sheet(np.stack([grid_x, np.zeros_like(grid_x), grid_z], axis=-1), material)
    middle = whole.vertices[whole.triangles].mean(axis=1)
    kept = np.ones(len(middle), dtype=bool)
    for left, bottom, right, top in openings:
        inside = (middle[:, 0] > left) & (middle[:, 0] < right)
        kept &= ~(inside & (middle[:, 2] > bottom) & (middle[:, 2] < top))
    uv = np.stack([whole.vertices[:, 0] / width, 1.0 - whole.vertices[:, 2] / height], axis=1)
    return Part(whole.vertices, whole.normals, uv, whole.triangles[kept], material)


def _lines(edges: Sequence[float], step: float) -> Floats:
    stops = np.unique(np.round(edges, 6))
    pieces = [
        np.linspace(low, high, 1 + int(np.ceil((high - low) / step)), endpoint=False)
        for low, high in pairwise(stops)
    ]
    return np.concatenate([*pieces, stops[-1:]])


def reveal(width: float, height: float, material: str, depth: float = _REVEAL_M) -> list[Part]:
    """The four inner faces of an opening whose lower middle is the origin."""
    half = width / 2
    return [
        quad((-half, 0, height), (0, depth, 0), (0, 0, -height), material, 0.15),
        quad((half, depth, height), (0, -depth, 0), (0, 0, -height), material, 0.15),
        quad((-half, 0, height), (width, 0, 0), (0, depth, 0), material, 0.15),
        quad((-half, depth, 0), (width, 0, 0), (0, -depth, 0), material, 0.15),
    ]


def window(width: float, height: float, crown: str) -> list[Part]:
    """A casement window with its stone surround; `crown` is "pediment", "keystone" or "plain"."""
    parts = reveal(width, height, "reveal")
    deep = _REVEAL_M - 0.03
    parts.append(quad((-width / 2, deep, height), (width, 0, 0), (0, 0, -height), "glass", 0.3))
    for x in (-width / 2 + 0.03, 0.0, width / 2 - 0.03):
        parts += _bar((0.06, 0.05, height), (x, deep - 0.02, height / 2), "frame")
    for z in (0.03, height * 0.68, height - 0.03):
        parts += _bar((width, 0.05, 0.055), (0, deep - 0.022, z), "frame")
    for x in (-width / 2 - 0.08, width / 2 + 0.08):
        parts += _bar((0.16, 0.10, height + 0.10), (x, 0.0, height / 2 + 0.05), "stone")
    parts += _bar((width + 0.32, 0.11, 0.17), (0, 0, height + 0.085), "stone")
    parts += _bar((width + 0.46, 0.34, 0.085), (0, -0.03, -0.043), "stone")
    for x in (-width / 2, width / 2):
        parts += _bar((0.12, 0.20, 0.16), (x, 0.0, -0.16), "stone")
    if crown == "keystone":
        parts += _bar((0.22, 0.20, 0.30), (0, 0, height + 0.14), "stone")
    if crown == "pediment":
        parts += _pediment(width + 0.56, height + 0.19)
    return parts


def _bar(size: Sequence[float], centre: Sequence[float], material: str) -> list[Part]:
    return move_all(box(size, material, step=0.5), _STILL, centre)


def _pediment(width: float, base: float) -> list[Part]:
    half, rise = width / 2, 0.34
    parts = _bar((width, 0.36, 0.07), (0, 0, base + 0.035), "stone")
    low, top = base + 0.07, base + 0.07 + rise
    left, right, peak = (-half + 0.05, 0.0, low), (half - 0.05, 0.0, low), (0.0, 0.0, top - 0.04)
    points = np.array([[peak, peak], [left, right]]) + np.array([0.0, -0.06, 0.0])
    parts.append(sheet(points, "stone"))
    length, angle = float(np.hypot(half, rise)), float(np.degrees(np.arctan2(rise, half)))
    for sign in (-1, 1):
        slope = box((length + 0.03, 0.36, 0.065), "stone", step=0.5)
        turned = move_all(
            slope, rotation_about("y", sign * angle), (sign * half / 2, 0, (low + top) / 2)
        )
        parts += turned
    return parts


def door(width: float, height: float) -> list[Part]:
    """A double door with its frame, two steps and a fanlight."""
    parts = reveal(width, height, "reveal", 0.35)
    parts.append(quad((-width / 2, 0.30, 2.5), (width, 0, 0), (0, 0, -2.5), "door", 0.2))
    parts.append(
        quad((-width / 2, 0.28, height), (width, 0, 0), (0, 0, 2.5 - height), "glass", 0.3)
    )
    parts += _bar((width, 0.12, 0.10), (0, 0.27, 2.5), "frame")
    for x in (-width / 2 - 0.12, width / 2 + 0.12):
        parts += _bar((0.24, 0.16, height), (x, 0, height / 2), "stone")
    parts += _bar((width + 0.6, 0.9, 0.16), (0, -0.25, 0.08), "step")
    return parts


def cornice(length: float, z: float, bracket: float) -> list[Part]:
    """The eaves: mouldings along the wall, brackets every `bracket` metres, all alike."""
    middle = length / 2
    parts = _bar((length + 0.9, 0.9, 0.16), (middle, 0, z + 0.40), "stone")
    parts += _bar((length + 0.5, 0.5, 0.12), (middle, 0, z + 0.27), "stone")
    parts += _bar((length + 0.16, 0.16, 0.10), (middle, 0, z), "stone")
    count = int(length / bracket)
    for i in range(count):
        parts += _bar((0.14, 0.56, 0.20), ((i + 0.5) * bracket, 0, z + 0.14), "stone")
    return parts


def drain_pipe(height: float) -> list[Part]:
    """A rain pipe with clamps and a bent foot."""
    path = [(0, -0.11, height), (0, -0.11, 0.35), (0, -0.14, 0.22), (0.0, -0.26, 0.12)]
    smooth = np.concatenate([np.linspace(path[0], path[1], 24), np.array(path[2:])])
    parts = [tube(smooth, 0.055, "zinc", 14)]
    for z in np.arange(0.8, height, 1.35):
        parts.append(tube([(0, -0.11, z + 0.03), (0, -0.11, z - 0.03)], 0.068, "iron", 14))
    hopper = box((0.30, 0.22, 0.26), "zinc", radius=0.01)
    return parts + move_all(hopper, _STILL, (0, -0.11, height + 0.1))


def wall_lamp() -> list[Part]:
    """A lantern on an arm."""
    arm = [(0, 0, 0.0), (0, -0.18, 0.10), (0, -0.36, 0.10), (0, -0.42, 0.02)]
    cap = lathe([(0.0, 0.08), (0.02, 0.06), (0.13, -0.02), (0.13, -0.02), (0.0, -0.03)], "iron", 24)
    glass = lathe([(0.10, -0.03), (0.065, -0.30), (0.065, -0.30), (0.0, -0.31)], "lantern", 24)
    return [tube(arm, 0.018, "iron", 10), *move_all([cap, glass], _STILL, (0, -0.42, 0.0))]


def flower_box(rng: np.random.Generator, width: float) -> list[Part]:
    """Geraniums on a sill."""
    parts = move_all(box((width, 0.20, 0.18), "clay", radius=0.01), _STILL, (0, -0.10, 0.09))
    for _ in range(46):
        size = rng.uniform(0.03, 0.075)
        angle = np.linspace(0, np.pi, 5)
        profile = np.stack([size * np.sin(angle), 0.8 * size * np.cos(angle)], axis=1)
        name = ("bloom_0", "bloom_1", "bush", "bush")[int(rng.integers(4))]
        place = (
            rng.uniform(-width / 2, width / 2),
            rng.uniform(-0.24, 0.0),
            rng.uniform(0.14, 0.36),
        )
        parts.append(lathe(profile, name, 7).moved(_STILL, place))
    return parts


def bicycle() -> list[Part]:
    """A bicycle along x, its wheels on z = 0."""
    parts: list[Part] = []
    angle = np.linspace(0.0, 2 * np.pi, 33)
    for x in (-0.52, 0.52):
        ring = np.stack([x + 0.33 * np.cos(angle), 0 * angle, 0.34 + 0.33 * np.sin(angle)], axis=1)
        parts.append(tube(ring, 0.017, "iron", 8))
        for spoke in np.linspace(0, np.pi, 8, endpoint=False):
            tip = 0.33 * np.array([np.cos(spoke), 0.0, np.sin(spoke)])
            hub = np.array([x, 0.0, 0.34])
            parts.append(tube([hub - tip, hub + tip], 0.003, "zinc", 5))
    crank, seat, head = (-0.08, 0, 0.30), (-0.24, 0, 0.82), (0.36, 0, 0.86)
    rear, front = (-0.52, 0, 0.34), (0.52, 0, 0.34)
    for start, end in ((crank, seat), (crank, head), (seat, head), (rear, seat), (rear, crank)):
        parts.append(tube([start, end], 0.017, "bike", 9))
    parts.append(tube([head, front], 0.015, "bike", 9))
    parts.append(tube([(0.36, 0, 0.86), (0.33, 0, 1.0)], 0.013, "zinc", 9))
    parts.append(tube([(0.30, 0.26, 1.0), (0.33, 0, 1.01), (0.30, -0.26, 1.0)], 0.013, "iron", 9))
    saddle = box((0.26, 0.14, 0.05), "iron", radius=0.02)
    return parts + move_all(saddle, _STILL, (-0.26, 0, 0.88))


def lamp_post() -> list[Part]:
    """A street lamp with a cast foot."""
    foot = [(0.05, 0.8), (0.06, 0.6), (0.11, 0.5), (0.11, 0.1), (0.16, 0.0), (0.0, 0.0)]
    parts = [lathe(foot, "iron", 20), tube([(0, 0, 5.2), (0, 0, 0.6)], 0.045, "iron", 14)]
    return parts + move_all(wall_lamp(), rotation_about("z", 180.0), (0, 0, 5.1))
