"""Two-view geometry against a world whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.geometry import epipolar
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.homography import rotation_between_rays, transfer_errors
from pipeline.geometry.poses import Pose, angle_between_rotations, rotation_from_rotvec
from pipeline.geometry.triangulation import ray_angles, triangulate_two_views

K = np.array([[1100.0, 0.0, 512.0], [0.0, 1100.0, 384.0], [0.0, 0.0, 1.0]])
MOTION = Pose(rotation_from_rotvec(np.array([0.02, -0.2, 0.05])), np.array([1.0, 0.1, 0.2]))


def _views(points: Float64s, motion: Pose = MOTION) -> tuple[Float64s, Float64s]:
    second = motion.apply(points)
    return points[:, :2] / points[:, 2:], second[:, :2] / second[:, 2:]


def _points(seed: int = 0, count: int = 60) -> Float64s:
    return np.random.default_rng(seed).uniform((-1.5, -1.0, 4.0), (1.5, 1.0, 8.0), (count, 3))


def _px(rays: Float64s) -> Float64s:
    return rays * 1100.0 + (512.0, 384.0)


def test_eight_points_find_the_fundamental_matrix() -> None:
    rays1, rays2 = _views(_points())
    noise = np.random.default_rng(1).normal(0.0, 0.3, (2, 60, 2))
    F = epipolar.fundamental_from_points(_px(rays1) + noise[0], _px(rays2) + noise[1])
    assert F is not None
    errors = epipolar.sampson_errors(F, _px(rays1), _px(rays2))
    assert 0.0 < np.median(errors) < 0.3
    assert abs(np.linalg.det(F)) < 1e-12


def test_essential_and_fundamental_agree() -> None:
    E = epipolar.essential_from_pose(MOTION)
    F = epipolar.fundamental_from_essential(E, K, K)
    rays1, rays2 = _views(_points())
    assert epipolar.sampson_errors(F, _px(rays1), _px(rays2)).max() < 1e-8
    back = epipolar.essential_from_fundamental(F, K, K)
    assert min(np.abs(back - E).max(), np.abs(back + E).max()) < 1e-8


def test_a_motion_without_translation_has_no_essential_matrix() -> None:
    with pytest.raises(ValueError, match="one place"):
        epipolar.essential_from_pose(Pose(MOTION.rotation, np.zeros(3)))


def test_too_few_or_coincident_points_give_no_fundamental_matrix() -> None:
    rays1, rays2 = _views(_points())
    assert epipolar.fundamental_from_points(rays1[:7], rays2[:7]) is None
    assert epipolar.fundamental_from_points(np.ones((9, 2)), rays2[:9]) is None


def test_pose_from_essential_takes_the_motion_in_front() -> None:
    rays1, rays2 = _views(_points())
    found = epipolar.pose_from_essential(epipolar.essential_from_pose(MOTION), rays1, rays2)
    assert found is not None and found.in_front.all()
    assert angle_between_rotations(found.cam2_from_cam1.rotation, MOTION.rotation) < 1e-8
    direction = MOTION.translation / np.linalg.norm(MOTION.translation)
    assert np.allclose(found.cam2_from_cam1.translation, direction, atol=1e-8)
    assert 0.05 < np.median(found.angles) < 0.4


def test_focal_vote_finds_the_focal_length_from_noisy_pairs() -> None:
    rng = np.random.default_rng(3)
    fundamentals = []
    for n in range(6):
        motion = Pose(rotation_from_rotvec(rng.normal(0, 0.15, 3)), rng.normal((2, 0, 0), 1, 3))
        rays1, rays2 = _views(_points(n, 200), motion)
        a = _px(rays1) + rng.normal(0, 0.3, rays1.shape)
        b = _px(rays2) + rng.normal(0, 0.3, rays2.shape)
        F = epipolar.fundamental_from_points(a, b)
        assert F is not None
        fundamentals.append(F)
    focal = epipolar.focal_from_fundamentals(fundamentals, [1.0] * 6, (1024, 768))
    assert focal is not None and 1045.0 < focal < 1155.0 and focal != 1100.0


def test_focal_vote_of_nothing_or_of_nonsense_is_none() -> None:
    assert epipolar.focal_from_fundamentals([], [], (1024, 768)) is None
    # A pair of parallel cameras moving sideways: every focal length explains it.
    F = epipolar.essential_from_pose(Pose(np.eye(3), np.array([1.0, 0.0, 0.0])))
    assert epipolar.focal_from_fundamentals([F], [1.0], (1024, 768)) is None


def test_midpoints_are_the_points_and_parallel_rays_are_none() -> None:
    points = _points()
    found, in_front = triangulate_two_views(MOTION, *_views(points))
    assert in_front.all() and np.allclose(found, points, atol=1e-9)
    rays = np.zeros((3, 2))
    _, in_front = triangulate_two_views(Pose(np.eye(3), np.array([1.0, 0, 0])), rays, rays)
    assert not in_front.any()
    _, in_front = triangulate_two_views(Pose(np.eye(3), np.zeros(3)), *_views(points))
    assert not in_front.any()


def test_ray_angle_of_a_right_angle() -> None:
    angle = ray_angles(np.array([[0.0, 0.0, 1.0]]), np.zeros(3), np.array([1.0, 0.0, 1.0]))
    assert angle[0] == pytest.approx(np.pi / 2)


def test_rotation_between_rays_and_transfer() -> None:
    turn = Pose(rotation_from_rotvec(np.array([0.1, 0.2, -0.05])), np.zeros(3))
    rays1, rays2 = _views(_points(), turn)
    R = rotation_between_rays(rays1, rays2)
    assert angle_between_rotations(R, turn.rotation) < 1e-9
    assert transfer_errors(R, rays1, rays2).max() < 1e-12
    assert np.isinf(transfer_errors(np.zeros((3, 3)), rays1, rays2)).all()
