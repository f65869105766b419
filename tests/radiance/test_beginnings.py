"""Several beginnings, of which the best goes on; and what unknown cameras begin with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.geometry.poses import Pose
from pipeline.radiance.beginnings import Beginnings, Trials
from pipeline.radiance.frame import frame_of_unknown
from pipeline.radiance.grid import GridShape
from pipeline.radiance.inside_out import other_explanation
from pipeline.radiance.motions import rigid_exp
from pipeline.radiance.pose_steps import Curvature, GaussNewtonPoses
from pipeline.radiance.problem import Problem
from pipeline.radiance.settings import resolve
from pipeline.radiance_config import RadianceConfig
from tests.radiance.blobs import BlobSpec, blob_problem
from tests.radiance.test_pose_steps import some_cameras
from tests.radiance.test_training import same
from tests.radiance.trainers import CPU, config_of, trainer_of, use_field

THREE = Beginnings(count=3, end=0.6, alpha=2.0)


def unknown() -> Problem:
    """Blobs seen by cameras that nothing is known of but that they look one way."""
    problem, _ = blob_problem(BlobSpec(views=4, width=12, height=10))
    space = frame_of_unknown(problem.views[0].camera)
    return Problem(
        problem.views,
        (Pose.identity(),) * 4,
        (),
        (),
        space.field_from_world,
        space.depth_range,
        space.box,
        bounded=False,
        background="none",
    )


def test_attempts_share_the_beginning_evenly() -> None:
    assert [THREE.number(share) for share in (0.0, 0.19, 0.21, 0.59, 0.6, 1.0)] == [
        0, 0, 1, 2, 3, 3,
    ]  # fmt: skip
    assert THREE.share(0.1) == pytest.approx(0.5)
    assert THREE.share(0.3) == pytest.approx(0.5)
    assert THREE.share(0.6) == THREE.share(1.0) == 1.0
    assert [THREE.rest(share) for share in (0.0, 0.5, 0.8, 1.0)] == pytest.approx([0, 0, 0.5, 1])
    assert [Beginnings().rest(share) for share in (0.0, 0.4, 1.0)] == [0.0, 0.4, 1.0]
    assert [Beginnings().share(share) for share in (0.0, 0.4, 1.0)] == [0.0, 0.4, 1.0]


def test_the_attempt_with_the_least_error_at_its_end_goes_on() -> None:
    first, states = {"x": np.zeros(1)}, [{"x": np.full(1, n)} for n in (1.0, 2.0, 3.0)]
    trials = Trials(THREE, first, "x", lambda found, attempt: -attempt * found)
    late = (0.18, 0.38, 0.58)
    for number, error in enumerate((0.3, 0.1, 0.2)):
        trials.note(late[number] - 0.15, 9.0)  # early errors do not count
        trials.note(late[number], error)
        assert not trials.due(late[number])
        end = (number + 1) * 0.2 + 1e-6
        assert trials.due(end)
        now = trials.next(number, end, states[number])
        # The next ones vary what the first one found; in the end the second one goes on.
        assert now["x"] == (-1.0, -2.0, 2.0)[number]
    assert not trials.due(1.0) and not trials.to_arrays()


def test_an_attempt_that_broke_is_no_choice() -> None:
    first = {"x": np.zeros(1)}
    for states, expected in (([1.0, np.nan, 3.0], 1.0), ([np.nan] * 3, 0.0)):
        trials = Trials(THREE, first, "x", lambda found, attempt: found)
        for number, state in enumerate(states):
            trials.note((0.18, 0.38, 0.58)[number], (0.3, 0.1, 0.4)[number])
            now = trials.next(number, (number + 1) * 0.2 + 1e-6, {"x": np.full(1, state)})
        assert now["x"] == expected


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_camera_sees_the_mirrored_scene_as_it_saw_the_scene(attempt: int) -> None:
    box = np.array([[-4.0, -3.0, 1.0], [4.0, 3.0, 4.0]])
    rng = np.random.default_rng(0)
    corrections = (0.01 * rng.normal(size=(5, 6))).astype(np.float32)
    corrections[:, 5] = 0.0  # held, as long as attempts last
    other = other_explanation(box, corrections, attempt)
    back = other_explanation(box, other, attempt)
    np.testing.assert_allclose(back, corrections, atol=1e-7)
    seen: list[np.ndarray] = []
    seen_mirrored: list[np.ndarray] = []
    for nearness in (0.3, 0.5, 0.9):
        for twists, near, found in (
            (corrections, nearness, seen),
            (other, 2.0 * 0.625 - nearness, seen_mirrored),
        ):
            motions = rigid_exp(torch.from_numpy(twists).double()).numpy()
            point = motions[:, :, 2] / near + motions[:, :, 3]  # of (0, 0, 1 / near)
            found.append(point[:, :2] / point[:, 2:])
    shifts, mirrored = np.array(seen), np.array(seen_mirrored)
    sideways, upwards = bool(attempt & 1), bool(attempt & 2)
    for axis, turned in ((0, sideways), (1, upwards)):
        largest = np.abs(shifts[..., axis]).max()
        error = np.abs(mirrored - shifts)[..., axis].max()
        assert 0.005 < largest < 0.1
        assert (error < 0.03 * largest) == turned, (axis, error, largest)


def test_every_attempt_opens_its_bands_and_the_rest_follows() -> None:
    settings = resolve(RadianceConfig(preset="barf-cpu"), CPU, unknown())
    begun = settings.beginnings
    assert begun.count > 1 and settings.depth_start > begun.alpha > settings.alpha_start
    each = begun.end / begun.count
    for number in range(begun.count):
        assert settings.alpha_at(number * each + 1e-9, 4) == pytest.approx(1.0, abs=1e-3)
        assert settings.alpha_at((number + 1) * each - 1e-9, 4) == pytest.approx(2.7, abs=1e-3)
    assert settings.alpha_at(begun.end, 4) == pytest.approx(2.7)
    assert settings.alpha_at(1.0, 4) == 4.0


def test_attempts_end_as_if_undisturbed_wherever_they_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_field(monkeypatch, GridShape(resolution=16), beginnings=THREE)
    problem, config = unknown(), config_of(preset="barf-cpu", steps=20, rays=48, samples=8)
    straight = trainer_of(problem, config)
    while not straight.done:
        straight.step()
    for stop in (3, 7, 12, 14):
        stopped, resumed = trainer_of(problem, config), trainer_of(problem, config)
        for _ in range(stop):
            stopped.step()
        resumed.restore(stopped.checkpoint())
        while not resumed.done:
            resumed.step()
        assert same(straight, resumed), stop


def test_cameras_rest_while_a_field_is_learned_for_an_explanation_that_was_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a field that has learned nothing yet would move them back."""
    use_field(monkeypatch, GridShape(resolution=16), beginnings=THREE, pose_start=0.0)
    config = config_of(preset="barf-cpu", steps=100, rays=48, samples=8)
    trainer = trainer_of(unknown(), config)
    moved = []
    while trainer.step_number < 62:
        before = trainer.model.cameras.corrections.detach().clone()
        trainer.step()
        moved.append(not torch.equal(before, trainer.model.cameras.corrections.detach()))
    # Attempts of 20 steps; the second and third begin elsewhere, rest for six, and then move.
    assert all(moved[:20])
    for began in (20, 40):
        assert moved[began] and not any(moved[began + 1 : began + 6])
        assert all(moved[began + 6 : began + 20])
    assert all(moved[60:])


def test_cameras_can_be_held_along_their_axes() -> None:
    moved = {}
    for holds in (False, True):
        cameras = some_cameras()
        count = len(cameras.corrections)
        squares = (torch.eye(6) + 0.3).expand(count, 6, 6).contiguous()
        cameras.corrections.grad = torch.arange(1.0, 7.0).expand(count, 6).clone()
        steps = GaussNewtonPoses(cameras)
        steps.step(cameras, torch.arange(count), 0.01, Curvature(squares, 1e-3, 1.0, holds))
        moved[holds] = cameras.corrections.detach()
    assert (moved[False][:, 5] != 0).all() and (moved[True][:, 5] == 0).all()
    assert (moved[True][:, :5] != 0).all()
