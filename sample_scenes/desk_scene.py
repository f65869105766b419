"""The scene `desk`: a workplace by a brick wall, lit by a window and a lamp; 36 views of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sample_scenes import desk_objects as things
from sample_scenes import desk_prints as prints
from sample_scenes import pictures, surfaces
from sample_scenes.camera import Camera, look_at
from sample_scenes.meshes import Part, box, move_all, quad, rotation_about
from sample_scenes.noise import Pixels, blend, flat, fractal, smoothstep, to_pixels
from sample_scenes.scene import Device, Material, RectLight, Scene, SceneSpec, View

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SEED = 360
_VIEWS = 36
_ARC_DEG = (-62.0, 60.0)
_FOCAL_PX = 757.4
_K1 = -0.048


def spec() -> SceneSpec:
    """The scene, how it is photographed, and with what."""
    device = Device("Barfield", "Render R1", 4.25, 28, 1.8, 1 / 60, 200, "2026:01:10 15:20:00")
    return SceneSpec("desk", _SEED, parts, build, views, device, gain=0.80, jpeg_quality=88)


def views() -> list[View]:
    """A walk round the front of the desk: an arc of 122 degrees with an unsteady hand."""
    rng = np.random.default_rng([_SEED, 3])
    shots = []
    for i, share in enumerate(np.linspace(0.0, 1.0, _VIEWS)):
        angle = np.radians(_ARC_DEG[0] + (_ARC_DEG[1] - _ARC_DEG[0]) * share + rng.normal(0, 0.5))
        reach = 1.16 + 0.15 * np.sin(4.7 * np.pi * share + 0.6) + rng.normal(0, 0.015)
        height = 0.56 + 0.19 * np.sin(7.3 * np.pi * share + 1.0) + rng.normal(0, 0.012)
        center = np.array([reach * np.sin(angle), 0.10 - reach * np.cos(angle), height])
        target = np.array([0.0, 0.09, 0.11]) + rng.normal(0, 1, 3) * np.array([0.05, 0.03, 0.025])
        roll = np.radians(rng.normal(0, 2.6))
        rotation, translation = look_at(center, target, roll)
        camera = Camera(960, 640, _FOCAL_PX, _K1, rotation, translation)
        exposure = float(np.round(np.clip(rng.normal(0, 0.11), -0.25, 0.25), 3))
        shots.append(View(f"desk_{i + 1:03d}.jpg", i, camera, exposure))
    return shots


def build() -> Scene:
    """The whole scene; the table top is z = 0, the wall is y = 0.47, the window is on the left."""
    lights = (
        RectLight((-2.14, -1.7, 0.30), (0.0, 1.75, 0.0), (0.0, 0.0, 1.25), (12.5, 13.0, 13.6)),
        RectLight((0.530, 0.205, 0.372), (0.0, 0.07, 0.0), (0.07, 0.0, 0.016), (62.0, 44.0, 25.0)),
    )
    return Scene(parts(), materials(), lights, _dim_room)


def parts() -> list[Part]:
    """The geometry alone."""
    rng = np.random.default_rng([_SEED, 4])
    return [*_room(), *_table(), *_on_the_table(rng), *_on_the_walls()]


def materials() -> dict[str, Material]:
    """The surfaces by name, painted."""
    return dict(_painted(np.random.default_rng([_SEED, 5])))


def _dim_room(directions: Singles) -> Singles:
    """What lies behind the camera: a pale room, brighter above."""
    up = np.clip(0.5 + 0.5 * directions[:, 2:3], 0.0, 1.0)
    return np.asarray(0.08 + up * np.array([0.20, 0.20, 0.20]))


def _room() -> list[Part]:
    floor = quad((-2.2, 0.5, -0.74), (4.4, 0, 0), (0, -2.6, 0), "floor", 0.08)
    back = quad((-2.2, 0.47, 1.50), (4.4, 0, 0), (0, 0, -2.24), "brick", 0.05)
    left = quad((-2.2, -2.1, 1.5), (0, 2.6, 0), (0, 0, -2.24), "wall", 0.08)
    right = quad((2.2, 0.5, 1.5), (0, -2.6, 0), (0, 0, -2.24), "wall", 0.08)
    return [floor, back, left, right]


def _table() -> list[Part]:
    top = box((1.66, 0.86, 0.036), {"": "table_edge", "+z": "table"}, radius=0.004, step=0.014)
    found = move_all(top, np.eye(3), (0, 0.02, -0.018))
    for x in (-0.76, 0.76):
        for y in (-0.34, 0.38):
            leg = box((0.05, 0.05, 0.70), "black_plastic", radius=0.006)
            found += move_all(leg, np.eye(3), (x, y, -0.387))
    return found


def _on_the_table(rng: np.random.Generator) -> list[Part]:
    still = np.eye(3)

    def turned(degrees: float) -> Floats:
        return rotation_about("z", degrees)

    found: list[Part] = []
    found += move_all(things.monitor(), turned(-3.0), (0.02, 0.27, 0.0))
    found += move_all(things.keyboard(), turned(2.0), (0.0, -0.10, 0.0))
    pad = box((0.24, 0.20, 0.003), {"": "pad_edge", "+z": "pad"}, radius=0.001)
    found += move_all(pad, turned(-4.0), (0.36, -0.12, 0.0045))
    found += move_all(things.mouse(), turned(10.0), (0.345, -0.11, 0.006))
    found += move_all(things.mug(), turned(-25.0), (0.33, 0.085, 0.0))
    found += move_all(things.lamp(), turned(180.0), (0.73, 0.24, 0.0))
    found += move_all(things.plant(rng), turned(30.0), (-0.66, 0.30, 0.0))
    found += move_all(things.cup_of_pencils(rng), still, (-0.385, 0.325, 0.0))
    found += move_all(things.apple(), turned(40.0), (-0.345, 0.13, 0.0))
    lift = 0.0
    for number, angle in ((5, 8.0), (1, -3.0), (2, 14.0)):
        item = prints.BOOKS[number]
        found += move_all(things.book(number, item), turned(angle), (-0.565, 0.06, lift))
        lift += item.size[2] + 0.0004
    puzzle = box(
        (0.056, 0.056, 0.056),
        {f"{sign}{axis}": f"puzzle_{i}" for i, (sign, axis) in enumerate(_CUBE)},
        radius=0.003,
    )
    found += move_all(puzzle, turned(31.0), (-0.575, 0.075, lift + 0.028))
    x = 0.50
    for number, lean in ((0, 0.0), (3, 0.0), (6, 0.0), (7, 7.0)):
        item = prints.BOOKS[number]
        standing = things.upright(things.book(number, item), item.size[1])
        shift = (x + (0.016 if lean else 0.0), 0.345, 0.0)
        found += move_all(standing, rotation_about("y", -lean), shift)
        x += item.size[2] + 0.001
    found += move_all(
        things.sheet_of_paper(0.21, 0.297, "page_0", 0.010), turned(13), (-0.52, -0.235, 0)
    )
    found += move_all(
        things.sheet_of_paper(0.21, 0.297, "page_1", 0.006), turned(-9), (-0.38, -0.225, 0.001)
    )
    found += move_all(
        things.sheet_of_paper(0.42, 0.297, "map_small", 0.004), turned(-14), (0.60, -0.255, 0)
    )
    block = box((0.16, 0.22, 0.012), {"": "pages", "+z": "notebook"}, radius=0.001)
    found += move_all(block, turned(-20.0), (0.66, -0.01, 0.009))
    found += move_all(things.pen(), turned(38.0), (-0.40, -0.20, 0.0025))
    found += move_all([_ruler()], turned(4.0), (-0.02, -0.285, 0.0016))
    for number, (px, py, angle) in enumerate(
        ((-0.215, -0.345, 12.0), (0.235, 0.055, -12.0), (0.20, -0.325, 24.0))
    ):
        note = things.sheet_of_paper(0.076, 0.076, f"note_{number}", 0.007)
        found += move_all(note, turned(angle), (px, py, 0.0005))
    return found


_CUBE = (("+", "x"), ("-", "x"), ("+", "y"), ("-", "y"), ("+", "z"), ("-", "z"))


def _ruler() -> Part:
    return quad((-0.155, 0.016, 0.0), (0.31, 0, 0), (0, -0.032, 0), "ruler", 0.01)


def _on_the_walls() -> list[Part]:
    found: list[Part] = []

    def frame(width: float, height: float, picture: str, wood: str) -> list[Part]:
        image = quad(
            (-width / 2, -0.004, height / 2), (width, 0, 0), (0, 0, -height), picture, 0.04
        )
        pieces = [image]
        for sign in (-1, 1):
            rail = box((width + 0.05, 0.022, 0.025), wood, radius=0.003)
            post = box((0.025, 0.022, height), wood, radius=0.003)
            pieces += move_all(rail, np.eye(3), (0, -0.006, sign * (height / 2 + 0.0125)))
            pieces += move_all(post, np.eye(3), (sign * (width / 2 + 0.0125), -0.006, 0))
        return pieces

    still = np.eye(3)
    found += move_all(frame(0.42, 0.60, "poster", "black_plastic"), still, (-0.66, 0.462, 0.72))
    found += move_all(frame(0.80, 0.55, "map_wall", "table_edge"), still, (0.78, 0.462, 0.76))
    found += move_all(frame(0.46, 0.32, "photo", "table_edge"), still, (0.06, 0.462, 0.83))
    found += move_all(frame(0.50, 0.36, "photo_2", "black_plastic"), still, (-1.45, 0.462, 0.55))
    side = rotation_about("z", -90.0)
    found += move_all(frame(0.62, 0.86, "poster_2", "table_edge"), side, (2.19, -0.15, 0.45))
    found += move_all(frame(0.50, 0.40, "photo_3", "black_plastic"), side, (2.19, -0.95, 0.55))
    other = rotation_about("z", 90.0)
    found += move_all(frame(0.50, 0.36, "photo_4", "table_edge"), other, (-2.19, 0.22, 0.35))
    return found


def _painted(rng: np.random.Generator) -> Iterator[tuple[str, Material]]:
    yield "table", Material(surfaces.wood((1030, 2000), 7, rng), specular=0.10, gloss=40.0)
    yield "table_edge", Material(surfaces.wood((256, 768), 2, rng), specular=0.05)
    yield "floor", Material(surfaces.wood((900, 1500), 22, rng, surfaces.WALNUT), specular=0.05)
    yield "brick", Material(surfaces.brick((1120, 2200), (38, 125), rng))
    yield "wall", Material(surfaces.plaster((900, 1040), (0.83, 0.80, 0.73), rng))
    yield "black_plastic", Material(surfaces.plain((0.10, 0.10, 0.11), rng), 0.08, 40.0)
    yield "steel", Material(surfaces.metal((96, 256), (0.62, 0.63, 0.65), rng), 0.15, 25.0)
    yield "brass", Material(surfaces.plain((0.72, 0.53, 0.26), rng), 0.5, 90.0, 0.10)
    yield "screen", Material(prints.screen(rng), 0.02, 60.0, 0.02, emission=0.55)
    yield "key_frame", Material(surfaces.plain((0.27, 0.28, 0.31), rng), 0.12, 50.0)
    yield "keycaps", Material(prints.keycaps(rng), 0.10, 40.0)
    yield "mouse", Material(surfaces.plain((0.90, 0.89, 0.86), rng), 0.22, 80.0, 0.03)
    yield "pad", Material(surfaces.cloth((400, 480), (0.20, 0.33, 0.38), rng))
    yield "pad_edge", Material(surfaces.plain((0.12, 0.16, 0.18), rng))
    yield "mug_wrap", Material(prints.mug_wrap(rng), 0.30, 140.0, 0.03)
    yield "mug_glaze", Material(surfaces.plain((0.93, 0.91, 0.86), rng), 0.30, 140.0, 0.03)
    yield "coffee", Material(surfaces.plain((0.16, 0.08, 0.04), rng), 0.3, 200.0, 0.03)
    yield "stoneware", Material(surfaces.speckled((256, 512), (0.74, 0.70, 0.62), rng), 0.12, 60.0)
    for i, colour in enumerate(((0.85, 0.62, 0.12), (0.72, 0.16, 0.14), (0.14, 0.36, 0.52))):
        yield f"pencil_{i}", Material(surfaces.plain(colour, rng), 0.2, 70.0)
    yield "pencil_wood", Material(surfaces.plain((0.85, 0.67, 0.45), rng))
    yield "clay", Material(surfaces.speckled((300, 700), (0.72, 0.40, 0.27), rng), 0.04, 20.0)
    yield "soil", Material(_soil(rng))
    yield "stem", Material(surfaces.plain((0.34, 0.27, 0.13), rng))
    for i in range(3):
        yield f"leaf_{i}", Material(surfaces.leaf(rng), 0.16, 50.0)
    yield "lamp_paint", Material(surfaces.plain((0.15, 0.36, 0.34), rng), 0.25, 80.0, 0.03)
    yield "lamp_inside", Material(surfaces.plain((0.96, 0.92, 0.84), rng), emission=0.9)
    yield "bulb", Material(surfaces.plain((1.0, 0.86, 0.62), rng), emission=7.0)
    yield "apple", Material(_apple_skin(rng), 0.28, 110.0, 0.02)
    yield "pen", Material(surfaces.plain((0.07, 0.12, 0.28), rng), 0.35, 120.0, 0.03)
    yield "pen_cap", Material(surfaces.plain((0.08, 0.13, 0.30), rng), 0.35, 120.0, 0.03)
    yield "pages", Material(prints.page_edges(rng))
    for i, item in enumerate(prints.BOOKS):
        yield f"book_{i}", Material(prints.book_cover(item, rng), 0.07, 30.0)
        yield f"spine_{i}", Material(prints.book_spine(item, rng), 0.07, 30.0)
        yield f"board_{i}", Material(surfaces.plain(np.array(item.cover) / 255.0, rng), 0.07, 30.0)
    for i in range(6):
        yield f"puzzle_{i}", Material(prints.puzzle_face(rng), 0.2, 80.0)
    yield "page_0", Material(prints.paper_page(rng, "Structure from motion", 0, True))
    yield "page_1", Material(prints.paper_page(rng, "Rays that disagree", 61, False))
    yield "notebook", Material(prints.notebook_page(rng))
    yield "ruler", Material(prints.ruler_scale(), 0.08, 40.0)
    notes = (
        ("call/Levenberg", (250, 226, 92)),
        ("36 photos/overlap!", (246, 150, 170)),
        ("k1 = ?", (150, 214, 236)),
    )
    for i, (words, tint) in enumerate(notes):
        yield f"note_{i}", Material(prints.sticky_note(rng, words, tint))
    yield "map_small", Material(pictures.contour_map((740, 1050), rng, "SHEET 12  BUNDLE PASS"))
    yield (
        "map_wall",
        Material(pictures.contour_map((825, 1200), rng, "THE INLIER LAKES  1 : 25 000")),
    )
    yield "poster", Material(pictures.poster((1000, 700), rng))
    yield "poster_2", Material(pictures.contour_map((1000, 720), rng, "MOUNT RESIDUAL"))
    skies = (
        ((0.20, 0.42, 0.66), (0.94, 0.90, 0.82)),
        ((0.30, 0.16, 0.36), (0.98, 0.55, 0.36)),
        ((0.42, 0.62, 0.76), (0.90, 0.93, 0.92)),
        ((0.12, 0.20, 0.42), (0.90, 0.60, 0.56)),
    )
    for name, (high, low) in zip(("photo", "photo_2", "photo_3", "photo_4"), skies, strict=True):
        yield name, Material(pictures.landscape((420, 600), rng, high, low), mirror=0.015)


def _soil(rng: np.random.Generator) -> Pixels:
    shape = (160, 160)
    return to_pixels(
        flat(shape, (0.20, 0.14, 0.10)) * (1 + 0.4 * fractal(shape, 9.0, 3, rng))[..., None]
    )


def _apple_skin(rng: np.random.Generator) -> Pixels:
    shape = (256, 512)
    streaks = fractal(shape, (120.0, 7.0), 3, rng, 0.7)
    blush = smoothstep(-0.9, 0.9, fractal(shape, 200.0, 2, rng) + 0.5 * streaks)
    picture = blend(flat(shape, (0.83, 0.62, 0.18)), (0.68, 0.08, 0.07), 0.25 + 0.75 * blush)
    dots = smoothstep(1.9, 2.3, fractal(shape, 6.0, 1, rng))
    return to_pixels(blend(picture, (0.92, 0.74, 0.46), 0.7 * dots))
