"""The choice of a pair's model, on scenes made to be each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.config import VerificationConfig
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, angle_between_rotations, rotation_from_rotvec
from pipeline.matching.two_view import TwoViewPoints, describe_pair, fit_fundamental
from pipeline.products import PairKind, TwoViewGeometry

CONFIG = VerificationConfig()
MOTION = Pose(rotation_from_rotvec(np.array([0.02, -0.25, 0.03])), np.array([1.5, 0.1, 0.2]))
TURN = Pose(rotation_from_rotvec(np.array([0.03, -0.2, 0.02])), np.zeros(3))


def _camera(prior: bool) -> Camera:
    return Camera("SIMPLE_RADIAL", 1024, 768, np.array([1100.0, 512.0, 384.0, 0.02]), prior)


def _box(rng: np.random.Generator) -> Float64s:
    return rng.uniform((-1.5, -1.0, 4.0), (1.5, 1.0, 8.0), (300, 3))


def _wall(rng: np.random.Generator) -> Float64s:
    points = rng.uniform((-1.5, -1.0, 0.0), (1.5, 1.0, 0.0), (300, 3))
    points[:, 2] = 5.0 + 0.3 * points[:, 0]
    return points


def _describe(
    scene: Callable[[np.random.Generator], Float64s],
    motion: Pose,
    prior: bool = True,
    outliers: int = 60,
    seed: int = 0,
) -> TwoViewGeometry:
    rng = np.random.default_rng(seed)
    camera = _camera(prior)
    points = scene(rng)
    a, b = camera.project(points), camera.project(motion.apply(points))
    a, b = a + rng.normal(0, 0.4, a.shape), b + rng.normal(0, 0.4, b.shape)
    b[:outliers] = rng.uniform((0, 0), (1024, 768), (outliers, 2))
    matches = np.column_stack([np.arange(300), np.arange(300)]).astype(np.uint32)
    points_of = TwoViewPoints(matches, a, b)
    return describe_pair(points_of, fit_fundamental(a, b, CONFIG), (camera, camera), CONFIG)


@pytest.mark.parametrize(
    ("scene", "motion", "prior", "kind"),
    [
        (_box, MOTION, True, PairKind.CALIBRATED),
        (_box, MOTION, False, PairKind.UNCALIBRATED),
        (_wall, MOTION, True, PairKind.PLANAR),
        (_box, TURN, True, PairKind.PANORAMIC),
    ],
)
def test_kind_of_scene(
    scene: Callable[[np.random.Generator], Float64s], motion: Pose, prior: bool, kind: PairKind
) -> None:
    found = _describe(scene, motion, prior)
    assert found.verified and found.kind is kind
    assert 235 <= len(found.inliers) <= 250  # 240 are true, chance adds a few


def test_pose_and_angle_of_a_calibrated_pair() -> None:
    found = _describe(_box, MOTION)
    assert found.cam2_from_cam1 is not None
    error = angle_between_rotations(found.cam2_from_cam1.rotation, MOTION.rotation)
    assert 0.0 < np.degrees(error) < 0.3
    direction = MOTION.translation / np.linalg.norm(MOTION.translation)
    assert 0.998 < found.cam2_from_cam1.translation @ direction <= 1.0
    assert 8.0 < found.triangulation_angle_deg < 25.0


def test_a_turn_has_no_relative_position() -> None:
    assert _describe(_box, TURN).cam2_from_cam1 is None


def test_chance_is_refused_with_numbers() -> None:
    found = _describe(_box, MOTION, outliers=300)
    assert not found.verified and found.kind is PairKind.DEGENERATE
    assert "of 300 matches agree, 60 needed" in found.reason


def test_a_mark_in_the_border_is_a_watermark() -> None:
    rng = np.random.default_rng(2)
    a = np.column_stack([rng.uniform(10, 1000, 120), rng.uniform(730, 760, 120)])
    b = a + rng.normal((3.0, -2.0), 0.3, a.shape)
    matches = np.column_stack([np.arange(120)] * 2).astype(np.uint32)
    camera = _camera(False)
    points = TwoViewPoints(matches, a, b)
    found = describe_pair(points, fit_fundamental(a, b, CONFIG), (camera, camera), CONFIG)
    assert found.kind in (PairKind.WATERMARK, PairKind.PANORAMIC)


def test_fewer_than_eight_matches_have_no_fundamental_matrix() -> None:
    few = np.random.default_rng(0).uniform(0, 500, (7, 2))
    assert fit_fundamental(few, few, CONFIG) is None


def test_the_same_matches_give_the_same_geometry() -> None:
    first, second = _describe(_box, MOTION), _describe(_box, MOTION)
    assert first.F is not None and second.F is not None
    assert np.array_equal(first.F, second.F) and np.array_equal(first.inliers, second.inliers)
