"""Bundle adjustment on synthetic worlds: accuracy, what is held, degenerate twins, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.mapping.bundle import (
    BundleOptions,
    BundleProblem,
    BundleResult,
    Loss,
    adjust_bundle,
)
from tests.synthetic import WorldSpec, free_all, make_world, perturb

TIGHT = BundleOptions(cost_tolerance=1e-12, max_iterations=100)


def _free(problem: BundleProblem, *kinds: str) -> BundleProblem:
    return replace(problem, free_intrinsics=free_all(problem, *kinds))


def _center_distances(rotations: Float64s, translations: Float64s) -> Float64s:
    """Distances between all camera centres, over their mean: what no change of frame alters."""
    centers = -np.einsum("iba,ib->ia", rotations, translations)
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    return np.asarray(distances / distances.mean())


def _shape_error(result: BundleResult, truth: BundleProblem) -> float:
    ours = _center_distances(result.rotations, result.translations)
    return float(np.abs(ours - _center_distances(truth.rotations, truth.translations)).max())


# ---------------------------------------------------------------- the dense twin


def _twin(problem: BundleProblem, iterations: int) -> float:
    """Levenberg-Marquardt with a numeric Jacobian and dense algebra: the least cost it finds."""
    images, points = len(problem.rotations), len(problem.points_world)
    own = (
        np.flatnonzero(problem.free_intrinsics[0]) if problem.free_intrinsics else np.zeros(0, int)
    )

    def residuals(x: Float64s) -> Float64s:
        pose, rest = x[: 6 * images].reshape(images, 6), x[6 * images :]
        params = problem.cameras[0].params.copy()
        params[own] += rest[3 * points :]
        rotations = rotation_from_rotvec(pose[:, :3]) @ problem.rotations
        xyz = problem.points_world + rest[: 3 * points].reshape(points, 3)
        cam = np.einsum("nab,nb->na", rotations[problem.obs_images], xyz[problem.obs_points])
        cam += (problem.translations + pose[:, 3:])[problem.obs_images]
        px = problem.cameras[0].with_params(params).project(cam)
        return np.asarray((px - problem.obs_px).reshape(-1))

    x, damping = np.zeros(6 * images + 3 * points + len(own)), 1e-4
    size = np.where(np.arange(len(x)) < 6 * images + 3 * points, 1e-6, 1e-4)
    for _ in range(iterations):
        r = residuals(x)
        steps = np.diag(size)
        jacobian = np.stack(
            [(residuals(x + s) - residuals(x - s)) / (2 * s.max()) for s in steps], 1
        )
        hessian = jacobian.T @ jacobian
        step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), -jacobian.T @ r)
        better = np.sum(residuals(x + step) ** 2) < r @ r
        x, damping = (x + step, damping / 10) if better else (x, damping * 10)
    return 0.5 * float(residuals(x) @ residuals(x))


@pytest.mark.parametrize("model", ["SIMPLE_PINHOLE", "SIMPLE_RADIAL", "OPENCV"])
def test_reaches_the_cost_of_the_dense_twin(model: str) -> None:
    world = make_world(WorldSpec(images=3, points=12, model=model, noise_px=0.7, arc=2.0))
    problem = perturb(_free(world.truth, "focal"), 0.01, params=0.01)
    twin = _twin(problem, 10)
    for gauge in ("two_cameras", "free"):
        ours = adjust_bundle(problem, replace(TIGHT, gauge=gauge))
        assert ours.final_cost == pytest.approx(twin, rel=1e-7)
    assert 1.0 < twin < 0.1 * ours.initial_cost


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("cameras", [1, 3, 8])
@pytest.mark.parametrize("model", ["SIMPLE_RADIAL", "OPENCV"])
def test_recovers_a_perturbed_world(model: str, cameras: int) -> None:
    world = make_world(WorldSpec(model=model, cameras=cameras, points=250))
    start = perturb(_free(world.truth, "focal", "distortion"), 0.03, params=0.03)
    result = adjust_bundle(start, TIGHT)
    assert result.converged
    assert result.final_cost < 1e-9 < 1e3 < result.initial_cost
    assert _shape_error(result, world.truth) < 1e-6
    for camera, truth in zip(result.cameras, world.truth.cameras, strict=True):
        np.testing.assert_allclose(camera.params, truth.params, atol=1e-4)


def test_residual_is_what_the_noise_leaves() -> None:
    sigma = 0.8
    world = make_world(WorldSpec(images=8, points=300, noise_px=sigma))
    start = perturb(_free(world.truth, "focal", "distortion"), 0.02, params=0.02)
    result = adjust_bundle(start)
    values = 2 * len(world.truth.obs_px)
    free = 6 * 8 - 7 + 3 * 300 + 2
    rms = np.sqrt(np.sum(result.obs_errors_px**2) / values)
    assert rms == pytest.approx(sigma * np.sqrt((values - free) / values), rel=0.03)
    assert result.final_cost == pytest.approx(0.5 * np.sum(result.obs_errors_px**2), rel=1e-9)
    assert 1e-6 < _shape_error(result, world.truth) < 1e-2
    assert 0.001 < abs(result.cameras[0].focal_px - 800.0) < 5.0


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy"])
def test_a_robust_loss_withstands_outliers(loss: Loss) -> None:
    world = make_world(WorldSpec(points=200, noise_px=0.3, outliers=0.08))
    start = perturb(_free(world.truth, "focal"), 0.003)
    robust = adjust_bundle(start, BundleOptions(loss=loss, loss_scale_px=1.0))
    plain = adjust_bundle(start)
    inliers = ~world.outliers
    assert 0.2 < np.median(robust.obs_errors_px[inliers]) < 0.6
    assert np.median(plain.obs_errors_px[inliers]) > 1.5
    assert np.median(robust.obs_errors_px[world.outliers]) > 50.0
    assert 1e-6 < _shape_error(robust, world.truth) < 0.2 * _shape_error(plain, world.truth)


@pytest.mark.parametrize("cameras", [1, 4])
def test_conjugate_gradients_end_where_cholesky_does(cameras: int) -> None:
    world = make_world(WorldSpec(images=12, points=300, views=6, noise_px=0.5, cameras=cameras))
    start = perturb(_free(world.truth, "focal", "distortion"), 0.01, params=0.01)
    options = replace(TIGHT, want_intrinsics_sigmas=True)
    dense = adjust_bundle(start, options)
    iterative = adjust_bundle(start, replace(options, max_dense_parameters=0))
    assert iterative.final_cost == pytest.approx(dense.final_cost, rel=1e-6)
    assert iterative.final_cost != dense.final_cost
    assert iterative.converged and iterative.iterations < 60
    assert dense.intrinsics_sigmas is not None and iterative.intrinsics_sigmas is not None
    for a, b in zip(iterative.intrinsics_sigmas, dense.intrinsics_sigmas, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    turn=st.tuples(*[st.floats(-3.0, 3.0)] * 3),
    shift=st.tuples(*[st.floats(-20.0, 20.0)] * 3),
    scale=st.floats(0.1, 10.0),
)
def test_the_choice_of_world_frame_does_not_matter(
    turn: tuple[float, ...], shift: tuple[float, ...], scale: float
) -> None:
    world = make_world(WorldSpec(images=5, points=40, noise_px=0.5))
    start = perturb(_free(world.truth, "focal"), 0.01)
    rotation = rotation_from_rotvec(np.array(turn))
    rotations = start.rotations @ rotation.T
    moved = replace(
        start,
        rotations=rotations,
        translations=scale * start.translations - rotations @ np.array(shift),
        points_world=scale * start.points_world @ rotation.T + np.array(shift),
    )
    here, there = adjust_bundle(start, TIGHT), adjust_bundle(moved, TIGHT)
    assert there.initial_cost == pytest.approx(here.initial_cost, rel=1e-6)
    assert there.final_cost == pytest.approx(here.final_cost, rel=1e-6)
    assert there.cameras[0].focal_px == pytest.approx(here.cameras[0].focal_px, rel=1e-4)


# ---------------------------------------------------------------- what is held


def test_what_is_held_is_unchanged_to_the_last_bit() -> None:
    world = make_world(WorldSpec(images=7, points=120, noise_px=0.5, model="OPENCV", cameras=2))
    problem = _free(world.truth, "focal")
    rng = np.random.default_rng(3)
    problem = replace(
        problem,
        fixed_images=np.arange(7) % 2 == 0,
        fixed_points=rng.random(120) < 0.3,
    )
    start = perturb(problem, 0.01, params=0.01)
    result = adjust_bundle(start)
    images, points = problem.fixed_images, problem.fixed_points
    assert images is not None and points is not None
    np.testing.assert_array_equal(result.rotations[images], start.rotations[images])
    np.testing.assert_array_equal(result.translations[images], start.translations[images])
    np.testing.assert_array_equal(result.points_world[points], start.points_world[points])
    assert (result.translations[~images] != start.translations[~images]).all()
    assert (result.points_world[~points] != start.points_world[~points]).all()
    for after, before in zip(result.cameras, start.cameras, strict=True):
        np.testing.assert_array_equal(after.params[2:], before.params[2:])
        assert (after.params[:2] != before.params[:2]).all()
    assert result.final_cost < 0.1 * result.initial_cost


def test_gauge_holds_one_pose_and_one_coordinate_only_where_nothing_else_does() -> None:
    world = make_world(WorldSpec(points=100, noise_px=0.5))
    start = perturb(world.truth, 0.02)
    result = adjust_bundle(start)
    same = np.array(
        [
            np.concatenate([(a == b).reshape(-1), c == d])
            for a, b, c, d in zip(
                result.rotations,
                start.rotations,
                result.translations,
                start.translations,
                strict=True,
            )
        ]
    )
    assert same[0].all()
    assert same[1:].sum() == 1 and same[-1, 9:].sum() == 1
    two = np.arange(8) < 2
    held = adjust_bundle(replace(start, fixed_images=two))
    assert (held.translations[2:] != start.translations[2:]).all()
    free = adjust_bundle(start, BundleOptions(gauge="free"))
    assert (free.translations != start.translations).all()
    assert free.final_cost == pytest.approx(result.final_cost, rel=1e-4)


def test_a_prior_keeps_a_parameter_near_its_start() -> None:
    world = make_world(WorldSpec(noise_px=0.5))
    start = perturb(_free(world.truth, "focal"), 0.01, params=0.05)
    wide, narrow = (
        adjust_bundle(replace(start, intrinsics_sigmas=(np.array([s, np.inf, np.inf, np.inf]),)))
        for s in (1e4, 1e-3)
    )
    assert abs(wide.cameras[0].focal_px - 800.0) < 5.0
    assert 0.0 < abs(narrow.cameras[0].focal_px - 840.0) < 0.5
    pull = (narrow.cameras[0].focal_px - 840.0) / 1e-3
    own = 0.5 * np.sum(narrow.obs_errors_px**2)
    assert narrow.final_cost == pytest.approx(own + 0.5 * pull**2, rel=1e-9)


# ---------------------------------------------------------------- how sure it is


def test_intrinsics_sigmas_tell_the_spread_over_repetitions() -> None:
    spec = WorldSpec(images=6, points=60, noise_px=0.5)
    found, told = [], []
    for seed in range(24):
        world = make_world(replace(spec, seed=1))
        rng = np.random.default_rng(seed)
        clean = make_world(replace(spec, seed=1, noise_px=0.0)).truth
        px = clean.obs_px + rng.normal(0.0, 0.5, clean.obs_px.shape)
        problem = _free(replace(world.truth, obs_px=px), "focal", "distortion")
        result = adjust_bundle(problem, BundleOptions(want_intrinsics_sigmas=True))
        assert result.intrinsics_sigmas is not None
        found.append(result.cameras[0].params[[0, 3]])
        told.append(result.intrinsics_sigmas[0])
    spread, sigmas = np.std(found, axis=0), np.mean(told, axis=0)
    assert (sigmas[[1, 2]] == 0.0).all()
    assert (spread / sigmas[[0, 3]] > 0.6).all() and (spread / sigmas[[0, 3]] < 1.6).all()


def test_sigmas_are_infinite_where_nothing_determines_the_parameter() -> None:
    world = make_world(WorldSpec(images=1, points=3))
    result = adjust_bundle(_free(world.truth, "focal"), BundleOptions(want_intrinsics_sigmas=True))
    assert result.intrinsics_sigmas is not None
    assert result.intrinsics_sigmas[0][0] == np.inf


# ---------------------------------------------------------------- determinism


def test_two_runs_and_any_number_of_threads_give_the_same_bits() -> None:
    world = make_world(WorldSpec(images=10, points=2500, noise_px=0.5, outliers=0.02, cameras=2))
    start = perturb(_free(world.truth, "focal", "distortion"), 0.01, params=0.01)
    options = BundleOptions(loss="cauchy", max_iterations=6, want_intrinsics_sigmas=True)
    results = [adjust_bundle(start, replace(options, threads=t)) for t in (1, 1, 2, 3)]
    for other in results[1:]:
        for name in ("rotations", "translations", "points_world", "obs_errors_px"):
            np.testing.assert_array_equal(getattr(other, name), getattr(results[0], name))
        assert other.final_cost == results[0].final_cost
        for a, b in zip(other.cameras, results[0].cameras, strict=True):
            np.testing.assert_array_equal(a.params, b.params)


def test_the_order_of_the_observations_does_not_matter() -> None:
    world = make_world(WorldSpec(noise_px=0.5, cameras=2))
    start = perturb(_free(world.truth, "focal"), 0.01)
    order = np.random.default_rng(0).permutation(len(start.obs_px))
    shuffled = replace(
        start,
        obs_images=start.obs_images[order],
        obs_points=start.obs_points[order],
        obs_px=start.obs_px[order],
    )
    one, other = adjust_bundle(start, TIGHT), adjust_bundle(shuffled, TIGHT)
    assert other.final_cost == pytest.approx(one.final_cost, rel=1e-9)
    np.testing.assert_allclose(other.obs_errors_px, one.obs_errors_px[order], atol=1e-6)
