"""Depth maps against true depth: known errors come out, and edges and distortion bring in none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline.dense_products import DepthView
from pipeline.depth_errors import TrueDepth, depth_errors
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.arrays import Float32s, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity

PHOTOGRAPH = Camera("SIMPLE_RADIAL", 300, 200, np.array([240.0, 151.0, 99.0, -0.06]))
MAP = Camera("PINHOLE", 150, 100, np.array([120.0, 121.0, 75.0, 49.0]))
BALL, RADIUS, WALL = np.array([0.1, 0.0, 4.0]), 0.8, 6.0
MOVE = Similarity(2.5, rotation_from_rotvec(np.array([0.3, -0.2, 0.9])), np.array([4.0, -1.0, 7.0]))


@dataclass(frozen=True)
class Map:
    depth: Float32s


@dataclass(frozen=True)
class Maps:
    views: Sequence[DepthView]
    maps: Sequence[Map]

    def __getitem__(self, n: int) -> Map:
        return self.maps[n]


def poses() -> list[Pose]:
    rng = np.random.default_rng(8)
    turns = rng.normal(0.0, 0.05, (5, 3))
    centers = rng.uniform(-0.6, 0.6, (5, 3))
    rotations = [rotation_from_rotvec(turn) for turn in turns]
    return [Pose(r, -r @ center) for r, center in zip(rotations, centers, strict=True)]


def depth_of(camera: Camera, pose: Pose) -> Float32s:
    """Exact depth (H, W) of a ball before a wall, through the pixels' centres."""
    y, x = np.divmod(np.arange(camera.height * camera.width), camera.width)
    rays = np.column_stack([camera.unproject(np.column_stack([x, y]) + 0.5), np.ones(len(x))])
    directions: Float64s = rays @ pose.rotation  # unit z in the camera: t is depth
    wall = (WALL - pose.center[2]) / directions[:, 2]
    towards = pose.center - BALL
    a, b = np.sum(directions**2, axis=1), directions @ towards
    inside = b**2 - a * (towards @ towards - RADIUS**2)
    ball = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
    depth: Float32s = np.where(inside > 0.0, ball, wall).astype(np.float32)
    return depth.reshape(camera.height, camera.width)


TRUE = {f"{i}.jpg": pose for i, pose in enumerate(poses())}
MAPS = [depth_of(PHOTOGRAPH, pose) for pose in TRUE.values()]


def truth() -> TrueDepth:
    photos = PosedPhotos(TRUE, dict.fromkeys(TRUE, PHOTOGRAPH))
    return TrueDepth(photos, dict(zip(TRUE, MAPS, strict=True)).get)


def estimated(factor: float = 1.0) -> Maps:
    """Maps without an error but a factor, in a world of their own."""
    views = [DepthView(f"in/{n}", MAP, MOVE.apply_to_pose(pose)) for n, pose in TRUE.items()]
    return Maps(views, shown_by(MAP, factor))


def shown_by(camera: Camera, factor: float = 1.0) -> list[Map]:
    scale = np.float32(MOVE.scale * factor)
    return [Map(depth_of(camera, pose) * scale) for pose in TRUE.values()]


def test_exact_maps_in_another_world_have_no_error() -> None:
    found = depth_errors(estimated(), truth())
    assert (found.photographs, found.of, found.missing) == (5, 5, 0.0)
    assert found.median_relative is not None and 1e-8 < found.median_relative < 2e-4
    # The edge of the ball goes through one pixel in fifty, and half of it is on either side.
    assert found.within_1_percent is not None and 0.985 < found.within_1_percent < 1.0


def test_known_errors_and_gaps_come_out() -> None:
    maps = estimated(factor=1.004)
    for n, m in enumerate(maps.maps):
        m.depth[: 10 * n] = 0.0
        m.depth[-20:] *= 1.02
    found = depth_errors(maps, truth())
    assert found.missing == pytest.approx(0.2, abs=1e-9)
    assert found.median_relative_of_known == pytest.approx(0.004, rel=0.02)
    assert found.median_relative is not None
    assert 0.004 < found.median_relative < 0.0045  # the gaps count above it
    assert found.within_1_percent == pytest.approx(0.6, abs=0.01)
    each = [photograph.missing for photograph in found.each]
    assert each == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert found.to_json()["missing"] == found.missing


def test_the_median_is_unknown_where_most_pixels_have_no_depth() -> None:
    maps = estimated(factor=0.99)
    for m in maps.maps:
        m.depth[:60] = 0.0
    found = depth_errors(maps, truth())
    assert found.median_relative is None and found.missing == pytest.approx(0.6)
    assert found.median_relative_of_known == pytest.approx(0.01, rel=0.01)


def test_the_cameras_of_the_photographs_tell_which_pixel_a_map_shows() -> None:
    """With a focal length 3 % off in photographs and maps, pixels still show the same things."""
    off = Camera("SIMPLE_RADIAL", 600, 400, np.array([494.4, 302.0, 198.0, -0.06]))
    maps = estimated()
    views = [replace(view, camera=MAP.with_focal_scaled(1.03)) for view in maps.views]
    shown = shown_by(MAP)
    cameras = {view.name: off for view in views}
    # Not exact: undistorting with the wrong focal length bends the edges by a pixel.
    known = depth_errors(Maps(views, shown), truth(), cameras)
    without = depth_errors(Maps(views, shown), truth())
    assert known.within_1_percent is not None and without.within_1_percent is not None
    assert 0.97 < known.within_1_percent < 1.0
    assert 0.90 < without.within_1_percent < known.within_1_percent


def test_no_sky_and_nothing_outside_the_photograph_is_compared() -> None:
    sky = [np.where(m > 5.5, 0.0, m).astype(np.float32) for m in MAPS]
    given = replace(truth(), depth=dict(zip(TRUE, sky, strict=True)).get)
    wide = MAP.with_focal_scaled(0.5)
    maps = estimated()
    views = [replace(view, camera=wide) for view in maps.views]
    found = depth_errors(Maps(views, shown_by(wide)), given)
    assert found.missing == 0.0
    assert found.within_1_percent is not None and 0.9 < found.within_1_percent < 1.0


def test_what_cannot_be_compared_says_why() -> None:
    maps = estimated()
    few = depth_errors(Maps(maps.views[:2], maps.maps[:2]), truth())
    assert (few.photographs, few.of) == (0, 5) and "3 needed" in few.reason
    assert few.median_relative is None and few.within_1_percent is None
    nothing = depth_errors(maps, replace(truth(), depth=lambda name: None))
    assert nothing.photographs == 0 and "true depth" in nothing.reason
