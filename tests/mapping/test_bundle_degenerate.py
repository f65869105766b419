"""Bundle adjustment on problems that determine little, and those that it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.mapping.bundle import (
    BundleOptions,
    Loss,
    adjust_bundle,
)
from tests.synthetic import WorldSpec, free_all, make_world, perturb

TIGHT = BundleOptions(cost_tolerance=1e-12, max_iterations=100)


# ---------------------------------------------------------------- degenerate twins


def test_an_empty_problem_comes_back_as_it_is() -> None:
    truth = make_world(WorldSpec(images=3, points=5)).truth
    none = np.zeros(0, np.int64)
    for problem in (
        replace(truth, obs_images=none, obs_points=none, obs_px=np.zeros((0, 2))),
        replace(truth, fixed_images=np.ones(3, bool), fixed_points=np.ones(5, bool)),
    ):
        result = adjust_bundle(problem)
        assert result.converged and result.iterations == 0
        assert result.termination == "nothing is free"
        np.testing.assert_array_equal(result.points_world, problem.points_world)
        np.testing.assert_array_equal(result.rotations, problem.rotations)
        assert len(result.obs_errors_px) == len(problem.obs_px)


def test_images_and_points_that_nothing_sees_stay() -> None:
    truth = make_world(WorldSpec(images=6, points=80, noise_px=0.3)).truth
    seen = (truth.obs_images != 2) & (truth.obs_points != 5)
    # Point 7 keeps a single observation.
    first = np.flatnonzero(truth.obs_points == 7)[0]
    seen &= (truth.obs_points != 7) | (np.arange(len(seen)) == first)
    problem = replace(
        truth,
        obs_images=truth.obs_images[seen],
        obs_points=truth.obs_points[seen],
        obs_px=truth.obs_px[seen],
    )
    start = perturb(problem, 0.01)
    result = adjust_bundle(start)
    assert result.converged
    np.testing.assert_array_equal(result.rotations[2], start.rotations[2])
    np.testing.assert_array_equal(result.points_world[5], start.points_world[5])
    assert np.isfinite(result.points_world).all()
    single = problem.obs_points == 7
    assert result.obs_errors_px[single][0] < 1e-3
    assert result.final_cost < 0.05 * result.initial_cost


def test_one_image_of_a_plane_ends_without_nonsense() -> None:
    world = make_world(WorldSpec(images=1, points=40, planar=True, noise_px=0.5))
    problem = replace(world.truth, free_intrinsics=free_all(world.truth, "focal"))
    result = adjust_bundle(perturb(problem, 0.005))
    assert result.final_cost < 1e-6 * result.initial_cost
    assert np.isfinite(result.points_world).all()


@pytest.mark.parametrize("same_place", [False, True])
def test_two_images_of_a_plane(same_place: bool) -> None:
    world = make_world(WorldSpec(images=2, points=60, planar=True, noise_px=0.3, arc=0.5))
    problem = world.truth
    if same_place:
        # Both centres coincide: no baseline, depths undetermined.
        pose = Pose(problem.rotations[0], problem.translations[0])
        turned = rotation_from_rotvec(np.array([0.0, 0.02, 0.0]))
        second = Pose(turned @ pose.rotation, turned @ pose.translation)
        cam = second.apply(problem.points_world)
        px = np.concatenate(
            [
                problem.cameras[0].project(pose.apply(problem.points_world)),
                problem.cameras[0].project(cam),
            ]
        )
        problem = replace(
            problem,
            rotations=np.stack([pose.rotation, second.rotation]),
            translations=np.stack([pose.translation, second.translation]),
            obs_images=np.repeat([0, 1], 60),
            obs_points=np.tile(np.arange(60), 2),
            obs_px=px + np.random.default_rng(0).normal(0.0, 0.3, px.shape),
        )
    result = adjust_bundle(perturb(problem, 0.0) if same_place else perturb(problem, 0.01))
    assert np.isfinite(result.points_world).all() and np.isfinite(result.final_cost)
    assert result.final_cost <= result.initial_cost
    assert np.sqrt(np.mean(result.obs_errors_px**2)) < 0.5


def test_a_point_seen_twice_by_one_image() -> None:
    truth = make_world(WorldSpec(images=4, points=20, noise_px=0.5)).truth
    double = replace(
        truth,
        obs_images=np.concatenate([truth.obs_images, truth.obs_images]),
        obs_points=np.concatenate([truth.obs_points, truth.obs_points]),
        obs_px=np.concatenate([truth.obs_px, truth.obs_px]),
    )
    once = adjust_bundle(perturb(truth, 0.01), TIGHT)
    twice = adjust_bundle(perturb(double, 0.01), TIGHT)
    assert twice.final_cost == pytest.approx(2.0 * once.final_cost, rel=1e-8)
    assert twice.iterations <= once.iterations + 2


# ---------------------------------------------------------------- refusals


def test_observations_behind_their_camera_are_refused() -> None:
    truth = make_world(WorldSpec(images=3, points=10)).truth
    points = truth.points_world.copy()
    points[4] *= -100.0
    points[4] += 100.0 * truth.rotations[0][2] * -1.0
    with pytest.raises(ValueError, match=r"behind their camera.*point 4"):
        adjust_bundle(replace(truth, points_world=points))
    points[4] = np.nan
    with pytest.raises(ValueError, match=r"observations are"):
        adjust_bundle(replace(truth, points_world=points))


def test_arrays_that_do_not_agree_are_refused() -> None:
    truth = make_world(WorldSpec(images=3, points=10)).truth
    with pytest.raises(ValueError, match="obs_points must lie in"):
        replace(truth, obs_points=truth.obs_points + 1)
    with pytest.raises(ValueError, match="obs_px must have shape"):
        replace(
            truth,
            obs_images=truth.obs_images[1:],
            obs_points=truth.obs_points[1:],
            obs_px=truth.obs_px[1:, :1],
        )
    with pytest.raises(ValueError, match="free_intrinsics"):
        replace(truth, free_intrinsics=(np.ones(3, bool),))
    with pytest.raises(ValueError, match="positive"):
        replace(truth, intrinsics_sigmas=(np.zeros(4),))
    with pytest.raises(ValueError, match="unknown loss"):
        BundleOptions(loss=cast(Loss, "tukey"))
