"""Noise on poses is of the size that it says, and the same every time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

from pipeline.geometry.poses import Pose, angle_between_rotations, cross_matrix
from pipeline.radiance.perturbation import displaced, published_noise, scene_size
from tests.synthetic import WorldSpec, make_world

POSES = make_world(WorldSpec(images=40)).poses


def test_published_noise_is_composed_on_the_camera_side() -> None:
    """exp(n) o pose, with the exponential of the 4 x 4 matrix as the twin."""
    twists = np.random.default_rng(3).normal(0.0, 0.15, (len(POSES), 6))
    for noisy, pose, twist in zip(published_noise(POSES, 0.15, 3), POSES, twists, strict=True):
        algebra = np.zeros((4, 4))
        algebra[:3, :3], algebra[:3, 3] = cross_matrix(twist[:3]), twist[3:]
        motion = expm(algebra)
        assert np.allclose(noisy.rotation, motion[:3, :3] @ pose.rotation, atol=1e-12)
        expected = motion[:3, :3] @ pose.translation + motion[:3, 3]
        assert np.allclose(noisy.translation, expected, atol=1e-12)


def test_published_noise_has_the_published_size() -> None:
    """Mean angle 15 degrees before alignment, mean distance of the centres 0.24."""
    many = (Pose.identity(),) * 500
    noisy = published_noise(many, 0.15, 0)
    angles = [math.degrees(angle_between_rotations(pose.rotation, np.eye(3))) for pose in noisy]
    assert 13.0 < float(np.mean(angles)) < 15.0
    assert 0.22 < float(np.mean([np.linalg.norm(pose.center) for pose in noisy])) < 0.26
    again = published_noise(many, 0.15, 0)
    assert all(np.array_equal(a.rotation, b.rotation) for a, b in zip(noisy, again, strict=True))
    assert not np.array_equal(noisy[0].rotation, published_noise(many, 0.15, 1)[0].rotation)


def test_displaced_turns_and_moves_every_camera_by_as_much_as_it_says() -> None:
    moved = displaced(POSES, 2.0, 0.02, 5)
    for before, after in zip(POSES, moved, strict=True):
        angle = angle_between_rotations(before.rotation, after.rotation)
        assert math.degrees(angle) == pytest.approx(2.0, abs=1e-9)
        step = float(np.linalg.norm(after.center - before.center))
        assert step == pytest.approx(0.02 * scene_size(POSES), rel=1e-9)


def test_scene_size() -> None:
    line = [Pose(np.eye(3), -np.array([x, 0.0, 0.0])) for x in (0.0, 1.0, 5.0)]
    assert scene_size(line) == pytest.approx(3.0)
    assert scene_size([]) == 0.0
