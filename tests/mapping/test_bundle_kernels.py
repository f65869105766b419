"""The kernels of bundle adjustment against numeric derivatives and against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.geometry.cameras import MODELS
from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.mapping.bundle_kernels import (
    LOSSES,
    Linearised,
    Observations,
    Robust,
    World,
    evaluate,
    linearise_observation,
)
from tests.synthetic import WorldSpec, make_world

CENTRAL = 1e-6


def _world(model: str) -> tuple[Observations, World]:
    """Five observations of five points by two images, and errors of some pixels."""
    truth = make_world(WorldSpec(images=2, points=5, model=model, noise_px=4.0)).truth
    obs = Observations(truth.obs_images, truth.obs_points, truth.obs_px)
    opencv = np.stack([camera.opencv_params for camera in truth.cameras])
    return obs, World(
        truth.rotations, truth.translations, truth.points_world, opencv, truth.image_cameras
    )


def _empty(observations: int, own: int) -> Linearised:
    shapes = [(observations, 2), (observations, 2, 6), (observations, 2, own), (observations, 2, 3)]
    return Linearised(*(np.full(shape, np.nan) for shape in [*shapes, (0, 6), (0, 3)]))


def _linearise(obs: Observations, world: World, robust: Robust, feeds: Int64s) -> Linearised:
    out = _empty(len(obs.px), 8)
    for n in range(len(obs.px)):
        linearise_observation(n, obs, world, robust, feeds, out)
    return out


def _moved(world: World, image: int, point: int, step: Float64s) -> World:
    """The world after a step (17,): pose (6), OPENCV parameters (8), point (3)."""
    rotations, translations = world.rotations.copy(), world.translations.copy()
    rotations[image] = rotation_from_rotvec(step[:3]) @ rotations[image]
    translations[image] += step[3:6]
    points = world.points.copy()
    points[point] += step[14:]
    return World(rotations, translations, points, world.opencv + step[6:14], world.image_cameras)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_jacobians_agree_with_central_differences(model: str) -> None:
    obs, world = _world(model)
    every_parameter = np.arange(8)[None]
    none = Robust(LOSSES["none"], 1.0)
    found = _linearise(obs, world, none, every_parameter)
    for n in range(len(obs.px)):
        image, point = int(obs.images[n]), int(obs.points[n])
        numeric = np.empty((2, 17))
        for axis in range(17):
            # A focal length is hundreds of pixels, an angle a fraction: steps to match.
            size = CENTRAL * (1e3 if 6 <= axis < 10 else 1.0)
            step = np.zeros(17)
            step[axis] = size
            forth = _linearise(obs, _moved(world, image, point, step), none, every_parameter)
            back = _linearise(obs, _moved(world, image, point, -step), none, every_parameter)
            numeric[:, axis] = (forth.residuals[n] - back.residuals[n]) / (2.0 * size)
        analytic = np.hstack([found.by_pose[n], found.by_own[n], found.by_point[n]])
        scale = np.abs(numeric).max()
        assert np.abs(analytic - numeric).max() < 1e-8 * scale
        assert 1.0 < scale < 1e4


def test_a_shared_parameter_collects_the_derivatives_of_those_it_feeds() -> None:
    obs, world = _world("SIMPLE_RADIAL")
    none = Robust(LOSSES["none"], 1.0)
    apart = _linearise(obs, world, none, np.arange(8)[None]).by_own
    together = _linearise(obs, world, none, np.array([[0, 0, -1, -1, 1, -1, -1, -1]])).by_own
    np.testing.assert_array_equal(together[..., 0], apart[..., 0] + apart[..., 1])
    np.testing.assert_array_equal(together[..., 1], apart[..., 4])
    assert not together[..., 2:].any()


def _rho(loss: str, s: Float64s, scale: float) -> Float64s:
    """rho(s) as the Ceres manual defines it."""
    b = scale * scale
    if loss == "huber":
        return np.where(s <= b, s, 2.0 * scale * np.sqrt(s) - b)
    if loss == "soft_l1":
        return 2.0 * b * (np.sqrt(1.0 + s / b) - 1.0)
    if loss == "cauchy":
        return b * np.log1p(s / b)
    return s


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_losses_and_their_weights(loss: str) -> None:
    obs, world = _world("OPENCV")
    scale = 3.0
    plain, robust = Robust(LOSSES["none"], 1.0), Robust(LOSSES[loss], scale**2)
    squared, rho = np.empty(len(obs.px)), np.empty(len(obs.px))
    evaluate(0, len(obs.px), obs, world, plain, squared)
    evaluate(0, len(obs.px), obs, world, robust, rho)
    np.testing.assert_allclose(rho, _rho(loss, squared, scale), rtol=1e-12)
    slope = (_rho(loss, squared + 1e-5, scale) - _rho(loss, squared - 1e-5, scale)) / 2e-5
    weighted = _linearise(obs, world, robust, np.arange(8)[None])
    full = _linearise(obs, world, plain, np.arange(8)[None])
    for name in ("residuals", "by_pose", "by_own", "by_point"):
        ours, theirs = getattr(weighted, name), getattr(full, name)
        root = np.sqrt(slope).reshape(-1, *[1] * (theirs.ndim - 1))
        np.testing.assert_allclose(ours, root * theirs, rtol=1e-6, atol=1e-12)
    assert squared.min() < scale**2 < squared.max()


def test_a_point_behind_its_camera_costs_infinitely_much() -> None:
    obs, world = _world("RADIAL")
    image, point = int(obs.images[0]), int(obs.points[0])
    behind = world.points.copy()
    center = -world.rotations[image].T @ world.translations[image]
    behind[point] = 2.0 * center - behind[point]
    rho = np.empty(len(obs.px))
    evaluate(0, len(rho), obs, world._replace(points=behind), Robust(0, 1.0), rho)
    assert rho[0] == np.inf
    assert np.isfinite(rho[obs.points != point]).all()
