"""Similarity transformations and their estimate, and the point sets that determine none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import NoSimilarity, Similarity, estimate_similarity

properties = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)


def random_similarity(rng: np.random.Generator) -> Similarity:
    rotation = rotation_from_rotvec(rng.normal(size=3) * rng.uniform(0.0, 2.0))
    return Similarity(float(10.0 ** rng.uniform(-3.0, 3.0)), rotation, rng.normal(size=3) * 50.0)


def estimated(points_a: Float64s, points_b: Float64s) -> Similarity:
    found = estimate_similarity(points_a, points_b)
    assert isinstance(found, Similarity), found
    return found


@properties
@given(seeds, st.integers(3, 12), st.booleans())
def test_exact_correspondences_give_the_true_similarity(seed: int, n: int, planar: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = random_similarity(rng)
    points = rng.normal(size=(n, 3))
    if planar:
        points[:, 2] = 0.0
    found = estimated(points, truth.apply(points))
    # Three random points may lie almost on a line, which costs digits.
    assert abs(found.scale / truth.scale - 1.0) < 1e-9
    assert np.abs(found.rotation - truth.rotation).max() < 1e-7
    assert np.abs(found.apply(points) - truth.apply(points)).max() < 1e-9 * (1 + truth.scale) * 50
    assert abs(np.linalg.det(found.rotation) - 1.0) < 1e-12


@properties
@given(seeds)
def test_inverse_undoes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = random_similarity(rng)
    points = rng.normal(size=(5, 3))
    returned = similarity.inverse().apply(similarity.apply(points))
    assert np.abs(returned - points).max() < 1e-9 * (1.0 + 50.0 / similarity.scale)


@properties
@given(seeds)
def test_a_moved_camera_sees_moved_points_at_the_same_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = random_similarity(rng)
    cam_from_a = Pose(rotation_from_rotvec(rng.normal(size=3)), rng.normal(size=3))
    points_a = cam_from_a.inverse().apply(
        rng.uniform(-1.0, 1.0, (10, 3)) + np.array([0.0, 0.0, 4.0])
    )
    camera = Camera("SIMPLE_PINHOLE", 640, 480, np.array([600.0, 320.0, 240.0]))
    cam_from_b = similarity.apply_to_pose(cam_from_a)
    pixels = camera.project(cam_from_b.apply(similarity.apply(points_a)))
    np.testing.assert_allclose(pixels, camera.project(cam_from_a.apply(points_a)), atol=1e-5)
    np.testing.assert_allclose(
        cam_from_b.center, similarity.apply(cam_from_a.center[None])[0], atol=1e-7, rtol=1e-9
    )


def test_noise_is_averaged_and_the_estimate_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(3)
    truth = Similarity(
        2.5, rotation_from_rotvec(np.array([0.3, -0.8, 0.2])), np.array([4.0, -1, 2])
    )
    points = rng.normal(size=(200, 3))
    noisy = truth.apply(points) + rng.normal(size=(200, 3)) * 0.01
    found = estimated(points, noisy)
    assert 1e-6 < abs(found.scale - truth.scale) < 2e-3
    residual = float(np.sum((found.apply(points) - noisy) ** 2))
    for _ in range(30):
        turned = found.rotation @ rotation_from_rotvec(rng.normal(size=3) * 1e-3)
        other = Similarity(found.scale * (1.0 + rng.normal() * 1e-3), turned, found.translation)
        shifted = other.apply(points)
        shifted += (noisy - shifted).mean(axis=0)
        assert np.sum((shifted - noisy) ** 2) >= residual


def test_mirrored_points_give_a_rotation_still() -> None:
    points = np.random.default_rng(4).normal(size=(20, 3))
    found = estimated(points, points * (1.0, 1.0, -1.0))
    assert abs(np.linalg.det(found.rotation) - 1.0) < 1e-12
    assert np.abs(found.apply(points) - points * (1.0, 1.0, -1.0)).max() > 0.1


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((0, 3)), "0 corresponding points, 3 needed"),
        (np.eye(3)[:2], "2 corresponding points, 3 needed"),
        (np.ones((5, 3)) * 7.0, "coincide"),
        (np.linspace(0.0, 1.0, 6)[:, None] * (1.0, 2.0, 3.0) + 5.0, "lie on one line"),
        (np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, np.nan]]), "not finite"),
    ],
)
def test_degenerate_points_are_refused(points: Float64s, reason: str) -> None:
    good = np.random.default_rng(5).normal(size=points.shape)
    for pair in ((points, good), (good, points)):
        found = estimate_similarity(*pair)
        assert isinstance(found, NoSimilarity)
        assert reason in found.reason


def test_almost_collinear_points_still_align() -> None:
    """The degenerate twin's neighbour: cameras on a rail with a millimetre of play per metre."""
    rng = np.random.default_rng(6)
    points = np.linspace(0.0, 10.0, 11)[:, None] * (1.0, 0.0, 0.0) + rng.normal(size=(11, 3)) * 0.01
    truth = random_similarity(rng)
    assert np.abs(estimated(points, truth.apply(points)).rotation - truth.rotation).max() < 1e-8


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        estimate_similarity(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="positive scale"):
        Similarity(0.0, np.eye(3), np.zeros(3))
