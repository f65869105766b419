"""Points from tracks, and cameras from points, against a slow twin and on degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from pipeline.geometry.poses import Pose, angle_between_rotations, rotation_from_rotvec
from pipeline.radiance.refined import observations_of
from pipeline.radiance.track_geometry import (
    Observations,
    reprojection_errors,
    resect,
    triangulate,
)
from tests.radiance.reconstructions import make_model, small_world

WORLD = small_world()
MODEL = make_model(WORLD)
SEEN = observations_of(MODEL, {i: n for n, i in enumerate(sorted(MODEL.images))})
POSES = list(WORLD.poses)
CAMERAS = [MODEL.cameras[MODEL.images[i].camera] for i in sorted(MODEL.images)]


def test_points_have_the_least_reprojection_errors() -> None:
    found = triangulate(SEEN, POSES, CAMERAS)
    truth = WORLD.truth.points_world
    assert 1e-4 < np.linalg.norm(found - truth, axis=1).mean() < 5e-3
    for j in (0, 70, 149):
        mine = SEEN.where(SEEN.point_of == j)

        def residuals(point: np.ndarray, mine: Observations = mine) -> np.ndarray:
            projected = [CAMERAS[i].project(POSES[i].apply(point[None]))[0] for i in mine.image_of]
            return (np.array(projected) - mine.pixels).ravel()

        twin = least_squares(residuals, truth[j]).x
        # The twin minimises behind the distortion; here it is taken off first.
        assert np.linalg.norm(found[j] - twin) < 2e-4


def test_errors_are_those_of_the_noise() -> None:
    points = triangulate(SEEN, POSES, CAMERAS)
    errors = reprojection_errors(SEEN, points, POSES, CAMERAS)
    assert 0.2 < errors.mean() < 0.5  # 0.3 px in two directions, less what the points take up
    flip = np.diag([1.0, -1.0, -1.0])
    behind = [Pose(flip @ pose.rotation, flip @ pose.translation) for pose in POSES]
    assert np.isnan(reprojection_errors(SEEN, points, behind, CAMERAS)).all()


def test_what_cannot_be_triangulated_is_nan() -> None:
    alone = SEEN.where(SEEN.image_of == 2)
    assert np.isnan(triangulate(alone, POSES, CAMERAS)).all()
    same_place = [POSES[0]] * len(POSES)
    assert np.isnan(triangulate(SEEN, same_place, CAMERAS)).all()
    nothing = SEEN.where(np.zeros(len(SEEN.point_of), np.bool_))
    assert np.isnan(triangulate(nothing, POSES, CAMERAS)).all()


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_a_pose_is_found_again_from_points(outliers: float) -> None:
    mine = SEEN.where(SEEN.image_of == 3)
    pixels = mine.pixels.copy()
    rng = np.random.default_rng(0)
    thrown = rng.random(len(pixels)) < outliers
    pixels[thrown] += rng.normal(0.0, 60.0, (int(thrown.sum()), 2))
    points = WORLD.truth.points_world[mine.point_of]
    points[::17] = np.nan
    turn = rotation_from_rotvec(np.array([0.01, -0.02, 0.015]))
    start = Pose(turn @ POSES[3].rotation, POSES[3].translation + np.array([0.05, -0.03, 0.04]))
    found = resect(start, CAMERAS[3], points, pixels)
    assert found is not None
    assert angle_between_rotations(found.rotation, POSES[3].rotation) < 1e-3
    assert 1e-6 < np.linalg.norm(found.center - POSES[3].center) < 6e-3


def test_a_pose_is_not_made_from_few_points() -> None:
    mine = SEEN.where(SEEN.image_of == 3)
    few = np.full((len(mine.pixels), 3), np.nan)
    few[:11] = WORLD.truth.points_world[mine.point_of[:11]]
    assert resect(POSES[3], CAMERAS[3], few, mine.pixels) is None
