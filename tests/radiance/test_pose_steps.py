"""Steps of the poses on a loss whose least value is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.pose_steps import (
    AdamPoses,
    Curvature,
    GaussNewtonPoses,
    random_signs,
    squares_of,
)

_IMAGES = 3


def some_cameras() -> RayCameras:
    camera = Camera("PINHOLE", 20, 16, np.array([30.0, 30.0, 10.0, 8.0]))
    return RayCameras([Pose.identity()] * _IMAGES, [camera], [0] * _IMAGES)


def narrow_valleys() -> tuple[Tensor, Tensor]:
    """Squares (I, 6, 6) a thousand times as stiff in one direction as in another, as those of
    turning and moving at once are, and where the loss is least (I, 6)."""
    generator = torch.Generator().manual_seed(1)
    turns = torch.linalg.qr(torch.randn((_IMAGES, 6, 6), generator=generator)).Q
    stiffness = torch.logspace(0, -3, 6)
    squares = turns @ (stiffness[:, None] * turns.mT)
    return squares, 0.05 * torch.randn((_IMAGES, 6), generator=generator)


def descend(steps: AdamPoses | GaussNewtonPoses, rate: float, count: int) -> Tensor:
    """Distances (I,) from the least loss after some steps."""
    cameras = some_cameras()
    squares, best = narrow_valleys()
    images = torch.arange(_IMAGES)
    for _ in range(count):
        offsets = cameras.corrections.detach() - best
        cameras.corrections.grad = (squares @ offsets[..., None]).squeeze(-1)
        steps.step(cameras, images, rate, Curvature(squares, 1e-6))
    shares: Tensor = (cameras.corrections.detach() - best).norm(dim=-1) / best.norm(dim=-1)
    return shares


def test_gauss_newton_goes_along_narrow_valleys() -> None:
    """All directions arrive at one pace; first-order steps are still far from there."""
    assert descend(GaussNewtonPoses(some_cameras()), 0.1, 100).max() < 0.02
    assert descend(AdamPoses(some_cameras()), 3e-3, 100).max() > 0.1


def test_equal_damping_prefers_to_turn_and_stiff_turns_to_move() -> None:
    """Where turning and moving have the same effect, the damping decides between them."""
    moves = []
    for stiff_turns in (1.0, 100.0):
        cameras = some_cameras()
        effect = torch.tensor([4.0, 0.0, 0.0, 0.0, 1.0, 0.0])  # as of a point four units away
        squares = (effect[:, None] * effect).expand(_IMAGES, 6, 6).contiguous()
        cameras.corrections.grad = -effect.expand(_IMAGES, 6).clone()
        steps = GaussNewtonPoses(cameras)
        steps.step(cameras, torch.arange(_IMAGES), 0.1, Curvature(squares, 0.01, stiff_turns))
        moves.append(cameras.corrections.detach()[0])
    turned, moved = moves
    assert turned[0] == pytest.approx(4.0 * float(turned[4]), rel=1e-3)
    assert moved[4] > 3.0 * moved[0] > 0.0
    for move in moves:
        assert torch.equal(move[[1, 2, 3, 5]], torch.zeros(4))


def test_images_that_were_not_looked_at_rest() -> None:
    cameras = some_cameras()
    steps = GaussNewtonPoses(cameras)
    cameras.corrections.grad = torch.ones(_IMAGES, 6)
    steps.step(cameras, torch.tensor([1]), 0.1, Curvature(torch.eye(6)[None], 0.0))
    moved = cameras.corrections.detach().norm(dim=-1)
    assert moved[0] == moved[2] == 0.0 < moved[1]


def test_steps_are_bounded_where_there_is_no_curvature() -> None:
    cameras = some_cameras()
    steps = GaussNewtonPoses(cameras)
    cameras.corrections.grad = torch.ones(_IMAGES, 6)
    steps.step(cameras, torch.arange(_IMAGES), 0.5, Curvature(torch.zeros(_IMAGES, 6, 6), 0.0))
    lengths = cameras.corrections.detach().norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((_IMAGES,), 0.1))


def test_state_comes_back_and_is_forgotten() -> None:
    one, other = some_cameras(), some_cameras()
    steps, again = GaussNewtonPoses(one), GaussNewtonPoses(other)
    squares, _ = narrow_valleys()
    images = torch.arange(_IMAGES)
    one.corrections.grad = torch.ones(_IMAGES, 6)
    steps.step(one, images, 0.1, Curvature(squares, 0.1))
    again.load_arrays(steps.to_arrays())
    with torch.no_grad():
        other.corrections.copy_(one.corrections)
    other.corrections.grad = one.corrections.grad.clone()
    for cameras, own in ((one, steps), (other, again)):
        own.step(cameras, images, 0.1, Curvature(squares, 0.1))
    assert torch.equal(one.corrections, other.corrections)
    steps.forget([1])
    for value in steps.to_arrays().values():
        assert not value[1].any() and value[0].any() and value[2].any()
    with pytest.raises(ValueError, match="squares"):
        again.load_arrays({**steps.to_arrays(), "squares": np.zeros((2, 6, 6), np.float32)})


def test_squares_of_random_sums_are_the_sum_of_squares() -> None:
    """In the mean over many draws; a single draw is not."""
    generator = torch.Generator().manual_seed(2)
    jacobian = torch.randn((2, 3, 6), generator=generator)  # of three residuals of two rays
    truth = (jacobian.mT @ jacobian).sum(0)
    draws = 4000
    signs = random_signs(torch.zeros(draws, 2, 3), generator)
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    slopes = (signs[..., None] * jacobian).sum(-2).reshape(-1, 6)
    rows = torch.arange(draws).repeat_interleave(2)
    squares = squares_of(slopes, rows, draws)
    torch.testing.assert_close(squares.mean(0), truth, rtol=0.0, atol=0.3)
    assert (squares[0] - truth).abs().max() > 0.5
