"""Smoothed photographs, space before cameras that look one way, and the grid in training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.geometry.cameras import Camera
from pipeline.radiance.frame import frame_of_unknown
from pipeline.radiance.grid import GridShape
from pipeline.radiance.perspective import Perspective
from pipeline.radiance.problem import Problem
from pipeline.radiance.relocation import relocate
from pipeline.radiance.settings import Rate
from pipeline.radiance.training import Trainer
from pipeline.radiance.views import View, Views
from tests.radiance.blobs import BlobSpec, blob_problem
from tests.radiance.trainers import config_of, trainer_of, use_field

CPU = torch.device("cpu")


def step_view(mask: np.ndarray | None = None) -> View:
    """Black to the left of the middle, white to the right of it."""
    rgb = np.zeros((30, 40, 3), np.uint8)
    rgb[:, 20:] = 255
    return View("step", rgb, Camera("PINHOLE", 40, 30, np.array([40.0, 40.0, 20.0, 15.0])), mask)


def row_of(views: Views) -> np.ndarray:
    """Mean brightness of every column, as training sees it."""
    samples = views.sample(torch.tensor([0]), 20_000, torch.Generator().manual_seed(0))
    columns = samples.pixels[:, 0].long()
    sums = torch.zeros(40).index_add(0, columns, samples.rgb[:, 0])
    return np.asarray(sums / torch.bincount(columns, minlength=40))


def test_smoothed_views_are_those_of_a_gaussian() -> None:
    """An edge becomes the error function; far from it and without a filter nothing changes."""
    views = Views([step_view()], CPU)
    sharp = row_of(views)
    views.smooth(3.0)
    soft = row_of(views)
    truth = [0.5 * (1 + math.erf((x - 19.5) / (3.0 * math.sqrt(2)))) for x in range(40)]
    np.testing.assert_allclose(soft[10:30], truth[10:30], atol=0.01)
    views.smooth(0.0)
    np.testing.assert_array_equal(row_of(views), sharp)
    assert set(sharp.tolist()) == {0.0, 1.0}
    assert views.whole(0).rgb[:20].max() == 0.0  # what is whole is never smoothed


def test_what_a_mask_excludes_does_not_bleed() -> None:
    mask = np.zeros((30, 40), bool)
    mask[:, :18] = True
    views = Views([step_view(mask)], CPU)
    views.smooth(3.0)
    samples = views.sample(torch.tensor([0]), 2000, torch.Generator().manual_seed(0))
    assert samples.rgb.max() == 0.0


def test_perspective_maps_the_view_to_a_box_and_infinity_to_its_side() -> None:
    camera = Camera("PINHOLE", 40, 30, np.array([40.0, 40.0, 20.0, 15.0]))
    space = Perspective(torch.tensor(frame_of_unknown(camera).box, dtype=torch.float32))
    points = torch.tensor([[0.5, -0.25, 1.0], [1.0, -0.5, 2.0], [5e5, -2.5e5, 1e6]])
    expected = torch.tensor([[0.5, -0.25, 1.0], [0.5, -0.25, 0.5], [0.5, -0.25, 1e-6]])
    torch.testing.assert_close(space(points), expected)
    behind = space(torch.tensor([[0.1, 0.1, -3.0], [9.0, 0.0, 1.0]]))
    assert ((behind >= space.reach[0]) & (behind <= space.reach[1])).all()
    torch.testing.assert_close(space.nearness(points).squeeze(-1), expected[:, 2])


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small grid and Gauss-Newton steps in the place of the published method."""
    others: dict[str, Any] = {
        "pose_solver": "gauss-newton",
        "pose_damping": Rate(0.3, 1e-3),
        "pose_start": 0.1,
        "c2f_start": 0.0,
        "c2f_end": 0.6,
        "same_pixels": False,
        "relocate_at": (0.5,),
    }
    use_field(monkeypatch, GridShape(resolution=24), **others)


def pose_errors(trainer: Trainer, truth: list[Any]) -> np.ndarray:
    """Degrees between the cameras' rotations and the true ones, up to what they have in common."""
    every = torch.arange(len(truth))
    turns = trainer.model.cameras.cam_from_world(every)[..., :3].detach().double().numpy()
    offsets = np.array([pose.rotation.T @ turn for pose, turn in zip(truth, turns, strict=True)])
    u, _, vt = np.linalg.svd(offsets.sum(0))
    traces = np.trace(offsets @ (u @ vt).T, axis1=1, axis2=2)
    return np.asarray(np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1))))


def train(problem: Problem, **values: Any) -> Trainer:
    rates = {"field_rate": 0.05, "field_rate_end": 0.005, "pose_rate": 0.2, "pose_rate_end": 0.05}
    trainer = trainer_of(problem, config_of(**{"rays": 400, **rates, **values}))
    while not trainer.done:
        trainer.step()
    return trainer


@pytest.mark.usefixtures("grid")
def test_the_grid_pulls_cameras_back() -> None:
    """Twelve cameras that are some degrees off come near the truth; with full detail from the start
    they do not come so near."""
    problem, truth = blob_problem(BlobSpec(views=12, noise=0.08, seed=1))
    before = pose_errors(trainer_of(problem, config_of()), truth)
    after = pose_errors(train(problem, steps=150), truth)
    assert 4.0 < before.mean() < 12.0
    assert after.mean() < 0.4 * before.mean()


@pytest.mark.usefixtures("grid")
def test_equal_trainings_give_equal_bits_and_a_checkpoint_goes_on() -> None:
    """With the grid, its empty cells, smoothed photographs and Gauss-Newton steps."""
    problem, _ = blob_problem(BlobSpec(noise=0.05))
    config = config_of(steps=130)
    straight = trainer_of(problem, config)
    for _ in range(110):
        straight.step()
    checkpoint = straight.checkpoint()
    resumed = trainer_of(problem, config)
    resumed.restore(checkpoint)
    for trainer in (straight, resumed):
        while not trainer.done:
            trainer.step()
    one, other = straight.checkpoint().arrays, resumed.checkpoint().arrays
    assert one.keys() == other.keys()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.usefixtures("grid")
def test_a_lost_camera_is_found_again() -> None:
    """A camera turned by a radian is put back near the truth, and no other one is touched."""
    problem, truth = blob_problem(BlobSpec(views=12))
    trainer = train(problem, steps=100, refine_poses=False)
    with torch.no_grad():
        trainer.model.cameras.corrections[4] = torch.tensor([0.0, 0.5, 0.9, 0.0, 0.0, 0.0])
    views = Views(problem.views, CPU)
    assert pose_errors(trainer, truth)[4] > 40.0
    moved = relocate(trainer.model, views, torch.Generator().manual_seed(0))
    assert moved == [4]
    assert pose_errors(trainer, truth)[4] < 12.0
    assert not trainer.model.cameras.corrections.detach()[[0, 1, 2, 3, 5]].any()
