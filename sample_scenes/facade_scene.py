"""The scene `facade`: a street front of identical windows in the sun, and its corner; 20 views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sample_scenes import facade_paint as paint
from sample_scenes import facade_parts as pieces
from sample_scenes import surfaces
from sample_scenes.camera import Camera, look_at
from sample_scenes.meshes import Part, box, move_all, quad, rotation_about
from sample_scenes.scene import Device, Material, Scene, SceneSpec, Sun, View

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SEED = 725
_VIEWS = 20
_STRAIGHT = 14
_FOCAL_PX = 730.6
_K1 = -0.031
_PITCH_M = 2.7
_FRONT_M, _SIDE_M, _HEIGHT_M = 32.4, 10.8, 10.9
_RUSTIC_M = 3.65
_DOOR_COLUMN = 8
_WINDOW_M = (1.10, 1.90)
_STORIES = ((1.15, "plain"), (4.55, "pediment"), (8.0, "keystone"))


def spec() -> SceneSpec:
    """The scene, how it is photographed, and with what."""
    device = Device("Barfield", "Render R2", 4.1, 27, 2.4, 1 / 400, 64, "2026:01:11 11:05:00")
    return SceneSpec("facade", _SEED, parts, build, views, device, gain=0.62, jpeg_quality=86)


def views() -> list[View]:
    """A walk along the front, then round the corner to the side."""
    rng = np.random.default_rng([_SEED, 3])
    shots = []
    pivot = np.array([_FRONT_M - 2.0, 1.2])
    for i in range(_VIEWS):
        if i < _STRAIGHT:
            x = 3.2 + (_FRONT_M - 7.4) * i / (_STRAIGHT - 1)
            place = np.array([x, -10.2])
            aim = np.array([x + 0.5 + 0.9 * i / (_STRAIGHT - 1), 0.0])
        else:
            angle = np.radians(-101.0 + 11.6 * (i - _STRAIGHT + 1))
            place = pivot + 11.6 * np.array([np.cos(angle), np.sin(angle)])
            aim = np.array([_FRONT_M - 2.6, 0.0]) + np.array([0.25, 0.35]) * (i - _STRAIGHT + 1)
        place = place + rng.normal(0, 1, 2) * (0.12, 0.25)
        aim = aim + rng.normal(0, 0.18, 2)
        center = np.array([*place, 1.66 + rng.normal(0, 0.05)])
        target = np.array([*aim, 4.15 + rng.normal(0, 0.15)])
        rotation, translation = look_at(center, target, np.radians(rng.normal(0, 1.3)))
        camera = Camera(960, 640, _FOCAL_PX, _K1, rotation, translation)
        exposure = float(np.round(np.clip(rng.normal(0, 0.09), -0.2, 0.2), 3))
        shots.append(View(f"facade_{i + 1:03d}.jpg", i, camera, exposure))
    return shots


def build() -> Scene:
    """The whole scene; the front is y = 0 from x = 0 to 32.4, the side is x = 32.4."""
    sun = Sun((0.72, -0.60, 0.62), 0.012, (5.4, 5.0, 4.3))
    return Scene(parts(), materials(), (sun,), sky)


def parts() -> list[Part]:
    """The geometry alone."""
    rng = np.random.default_rng([_SEED, 4])
    return [*_walls(), *_street(), *_extras(rng), *_neighbours()]


def materials() -> dict[str, Material]:
    """The surfaces by name, painted."""
    return dict(_painted(np.random.default_rng([_SEED, 5])))


def sky(directions: Singles) -> Singles:
    """A summer sky with thin clouds, and pale ground below the horizon."""
    up = directions[:, 2]
    height = np.clip(up, 0.0, 1.0)[:, None]
    blue = np.array([0.78, 0.88, 1.0]) + height**0.6 * (
        np.array([0.24, 0.44, 0.85]) - (0.78, 0.88, 1.0)
    )
    plane = directions[:, :2] / np.maximum(up, 0.08)[:, None]
    wave = np.zeros(len(directions))
    for i, (a, b, c) in enumerate(
        ((0.9, 0.5, 0.3), (-0.7, 1.3, 1.9), (1.9, -1.1, 4.0), (2.7, 2.9, 0.7))
    ):
        wave += np.sin(plane @ np.array([a, b]) + c + 0.8 * np.sin(plane @ np.array([b, -a]))) / (
            i + 1
        )
    cloud = np.clip(0.55 * wave - 0.15, 0.0, 1.0)[:, None] * np.clip(up * 6.0, 0.0, 1.0)[:, None]
    light = blue + 0.75 * cloud * (np.array([1.0, 0.98, 0.95]) - blue)
    return np.asarray(np.where(up[:, None] > 0.0, light, np.array([0.34, 0.33, 0.31])))


def openings(length_m: float, with_door: bool) -> list[paint.Opening]:
    """The holes of a wall: (left, bottom, right, top) in metres; the door, if any, comes first."""
    holes: list[paint.Opening] = []
    width, height = _WINDOW_M
    for column in range(round(length_m / _PITCH_M)):
        x = (column + 0.5) * _PITCH_M
        for story, (sill, _) in enumerate(_STORIES):
            if with_door and column == _DOOR_COLUMN and story == 0:
                holes.insert(0, (x - 0.75, 0.0, x + 0.75, 3.1))
            else:
                holes.append((x - width / 2, sill, x + width / 2, sill + height))
    return holes


def _walls() -> list[Part]:
    found = _wall(_FRONT_M, "front", True)
    turn = rotation_about("z", 90.0)
    return found + move_all(_wall(_SIDE_M, "side", False), turn, (_FRONT_M, 0.0, 0.0))


def _wall(length: float, material: str, with_door: bool) -> list[Part]:
    still = np.eye(3)
    holes = openings(length, with_door)
    found = [pieces.pierced_wall(length, _HEIGHT_M, holes, material, 0.25)]
    crowns = dict(_STORIES)
    for left, bottom, right, _ in holes:
        foot = ((left + right) / 2, 0.0, bottom)
        if bottom == 0.0:
            found += move_all(pieces.door(1.5, 3.1), still, foot)
        else:
            found += move_all(pieces.window(*_WINDOW_M, crowns[bottom]), still, foot)
    for z, thick in ((_RUSTIC_M, 0.20), (7.25, 0.13)):
        band = box((length, 0.14, thick), "stone", step=0.5)
        found += move_all(band, still, (length / 2, 0.0, z + thick / 2))
    return found + move_all(pieces.cornice(length, _HEIGHT_M - 0.55, 0.675), still, (0, 0, 0))


def _street() -> list[Part]:
    pavement = quad((-9, 0.0, 0), (55, 0, 0), (0, -4.2, 0), "pavement", 0.4)
    beside = quad((_FRONT_M, 26, 0), (4.2, 0, 0), (0, -26, 0), "pavement_side", 0.4)
    kerb = box((55, 0.16, 0.16), "kerb", step=0.5)
    road = quad((-9, -4.2, -0.13), (55, 0, 0), (0, -12, 0), "road", 0.6)
    lane = quad((_FRONT_M + 4.2, 26, -0.13), (9, 0, 0), (0, -30.2, 0), "lane", 0.6)
    far = quad((_FRONT_M + 13.2, 26, 0), (20, 0, 0), (0, -30.2, 0), "pavement", 1.0)
    return [pavement, beside, road, lane, far, *move_all(kerb, np.eye(3), (18.5, -4.2, -0.06))]


def _extras(rng: np.random.Generator) -> list[Part]:
    """What each stretch of the front has alone."""
    still = np.eye(3)
    door_x = (_DOOR_COLUMN + 0.5) * _PITCH_M
    found = move_all(pieces.drain_pipe(_HEIGHT_M - 0.75), still, (3 * _PITCH_M, 0, 0))
    sign = box((2.0, 0.08, 0.36), {"": "iron", "-y": "sign"})
    found += move_all(sign, still, (door_x, -0.06, 3.38))
    found += move_all(pieces.wall_lamp(), still, (door_x + 1.32, 0, 2.75))
    found += move_all(pieces.bicycle(), rotation_about("x", -9.0), (door_x + 2.2, -0.30, 0.0))
    found += move_all(pieces.lamp_post(), still, (1.6, -3.9, 0.0))
    found += move_all(pieces.flower_box(rng, 1.0), still, (1.5 * _PITCH_M, -0.06, 4.56))
    found += move_all(pieces.flower_box(rng, 1.0), still, (10.5 * _PITCH_M, -0.06, 8.01))
    side = rotation_about("z", 90.0)
    found += move_all(pieces.wall_lamp(), side, (_FRONT_M, 5.4, 4.0))
    found += move_all(pieces.drain_pipe(_HEIGHT_M - 0.75), side, (_FRONT_M, 8.1, 0.0))
    bin_box = box((0.62, 0.66, 1.0), "bin", radius=0.04)
    found += move_all(bin_box, rotation_about("z", 8.0), (9.6, -0.55, 0.52))
    bench = box((1.6, 0.42, 0.06), "bench", radius=0.01)
    found += move_all(bench, still, (5.4, -0.5, 0.46))
    for x in (4.75, 6.05):
        found += move_all(box((0.08, 0.38, 0.44), "iron", radius=0.01), still, (x, -0.5, 0.22))
    return found


def _neighbours() -> list[Part]:
    left = quad((-9.0, 0.3, 8.6), (9.0, 0, 0), (0, 0, -8.6), "neighbour", 0.5)
    edge = quad((-0.0, 0.3, 8.6), (0, 6, 0), (0, 0, -8.6), "kerb", 1.0)
    behind = quad((_FRONT_M - 9, 15.5, 9.6), (9.0, 0, 0), (0, 0, -9.6), "neighbour_2", 0.5)
    flank = quad((_FRONT_M, 15.5, 9.6), (0, 10, 0), (0, 0, -9.6), "neighbour_2", 0.5)
    across = quad((_FRONT_M + 20, 34, 9.0), (-24, 0, 0), (0, 0, -9.0), "neighbour", 0.8)
    return [left, edge, behind, flank, across]


def _painted(rng: np.random.Generator) -> Iterator[tuple[str, Material]]:
    front = paint.weathered_wall(_FRONT_M, _HEIGHT_M, openings(_FRONT_M, True), _RUSTIC_M, rng)
    yield "front", Material(paint.with_graffiti(front, rng))
    side = paint.weathered_wall(_SIDE_M, _HEIGHT_M, openings(_SIDE_M, False), _RUSTIC_M, rng)
    yield "side", Material(side)
    yield "stone", Material(surfaces.plaster((160, 160), (0.84, 0.81, 0.74), rng))
    yield "reveal", Material(surfaces.plaster((96, 96), (0.72, 0.66, 0.55), rng))
    yield "frame", Material(surfaces.plain((0.90, 0.89, 0.86), rng))
    yield "glass", Material(paint.window_glass(rng), mirror=0.06)
    yield "door", Material(paint.door_leaf(rng), 0.08, 40.0)
    yield "sign", Material(paint.shop_sign(rng), 0.06, 40.0)
    yield "step", Material(surfaces.speckled((128, 512), (0.58, 0.57, 0.55), rng))
    yield "kerb", Material(surfaces.speckled((64, 2048), (0.56, 0.55, 0.53), rng))
    yield "pavement", Material(paint.slabs((400, 5000), 42, rng))
    yield "pavement_side", Material(paint.slabs((2400, 390), 42, rng))
    yield "road", Material(paint.asphalt((800, 3600), rng))
    yield "lane", Material(paint.asphalt((1500, 450), rng))
    yield "zinc", Material(surfaces.metal((400, 64), (0.55, 0.57, 0.58), rng), 0.15, 30.0)
    yield "iron", Material(surfaces.plain((0.10, 0.11, 0.11), rng), 0.12, 40.0)
    yield "lantern", Material(surfaces.plain((0.93, 0.88, 0.72), rng), 0.2, 60.0)
    yield "clay", Material(surfaces.speckled((96, 256), (0.66, 0.36, 0.24), rng))
    yield "bush", Material(surfaces.leaf(rng))
    yield "bloom_0", Material(surfaces.plain((0.84, 0.14, 0.18), rng, 0.15))
    yield "bloom_1", Material(surfaces.plain((0.93, 0.46, 0.58), rng, 0.15))
    yield "bike", Material(surfaces.plain((0.78, 0.20, 0.14), rng), 0.2, 60.0)
    yield "bin", Material(surfaces.speckled((200, 160), (0.22, 0.34, 0.26), rng), 0.06, 30.0)
    yield "bench", Material(surfaces.wood((128, 480), 3, rng))
    yield "neighbour", Material(paint.neighbour_house((860, 900), 170, rng))
    yield "neighbour_2", Material(paint.neighbour_house((960, 900), 210, rng))
