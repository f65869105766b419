"""Adam for the field and for the poses against a slow twin."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.field_steps import FieldSteps
from pipeline.radiance.model import ModelShape, RadianceModel
from pipeline.radiance.pose_steps import AdamPoses
from pipeline.radiance.setup import Setup
from tests.radiance.blobs import BlobSpec, blob_camera, blob_poses, blob_problem
from tests.radiance.trainers import CPU, TINY


class SlowAdam:
    """Algorithm 1 of Kingma and Ba, line by line."""

    def __init__(self, parameter: torch.nn.Parameter, rate: float) -> None:
        self.parameter, self.rate = parameter, rate
        self.t = 0
        self.m = self.v = np.zeros(parameter.shape)

    def step(self) -> None:
        assert self.parameter.grad is not None
        g = self.parameter.grad.double().numpy()
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        m_hat = self.m / (1 - 0.9**self.t)
        v_hat = self.v / (1 - 0.999**self.t)
        with torch.no_grad():
            move = self.rate * m_hat / (np.sqrt(v_hat) + 1e-8)
            self.parameter.sub_(torch.tensor(move))


def model_of(seed: int = 0) -> RadianceModel:
    problem, _ = blob_problem(BlobSpec(views=3, width=4, height=4))
    shape = ModelShape(TINY, 4, exposure=True)
    return RadianceModel(Setup.of(problem), shape, CPU, torch.Generator().manual_seed(seed))


def slopes(model: RadianceModel, step: int) -> None:
    """Some gradient for every parameter but the background's, which is white."""
    generator = torch.Generator().manual_seed(step)
    for name, parameter in model.named_parameters():
        if "background" not in name:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_all_but_the_poses_move_as_adam_moves_them() -> None:
    model, twin = model_of(), model_of()
    steps = FieldSteps(model, refine_focal=True)
    focal = twin.cameras.focal_logs
    moved = [*twin.fields.parameters(), twin.exposure_logs]
    twins = [SlowAdam(parameter, 1e-2) for parameter in moved] + [SlowAdam(focal, 1e-3)]
    for step in range(3):
        for one in (model, twin):
            slopes(one, step)
        steps.step(1e-2, 1e-3)
        for each in twins:
            each.step()
    for (name, value), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(value, other, atol=1e-6), name
        assert bool((value != model_of().get_parameter(name)).any()) == (
            "corrections" not in name and "background" not in name
        )


def test_what_is_not_to_be_refined_rests() -> None:
    model = model_of()
    steps = FieldSteps(model, refine_focal=False)
    slopes(model, 0)
    steps.step(1e-2, 1e-2)
    assert not model.cameras.focal_logs.detach().any()
    steps.clear()
    before = model.exposure_logs.detach().clone()
    steps.step(1e-2, 1e-2)  # without a gradient, nothing moves
    assert torch.equal(model.exposure_logs.detach(), before) and before.any()


def test_poses_move_as_adam_moves_them_where_all_are_looked_at() -> None:
    cameras, twin = (RayCameras(blob_poses(4), [blob_camera(BlobSpec())], [0] * 4) for _ in "ab")
    poses, adam = AdamPoses(cameras), SlowAdam(twin.corrections, 3e-3)
    for step in range(4):
        gradient = torch.randn(4, 6, generator=torch.Generator().manual_seed(step))
        cameras.corrections.grad, twin.corrections.grad = gradient, gradient.clone()
        poses.step(cameras, torch.arange(4), 3e-3, None)
        adam.step()
    found, expected = (c.corrections.detach().numpy() for c in (cameras, twin))
    assert np.allclose(found, expected, atol=1e-7) and np.abs(found).max() > 5e-3
