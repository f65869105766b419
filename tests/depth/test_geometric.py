"""What photographs agree on: depths that are confirmed, their means and normals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.depth.geometric import Estimate, agree
from tests.depth.plain_world import BACK, VIEWS, poses
from tests.depth.test_sweep import picture, true_inverse_depth

MIDDLE = VIEWS // 2


def estimate(n: int, noise: float = 0.0) -> Estimate:
    inverse_depth = true_inverse_depth(n)
    spread = torch.from_numpy(np.random.default_rng(n).normal(0.0, noise, inverse_depth.shape))
    return Estimate(picture(n), (inverse_depth * (1.0 + spread)).float())


def others(noise: float = 0.0) -> list[Estimate]:
    near_first = sorted(set(range(VIEWS)) - {MIDDLE}, key=lambda n: abs(n - MIDDLE))
    return [estimate(n, noise) for n in near_first]


def error_of(depth: torch.Tensor) -> torch.Tensor:
    return (depth * true_inverse_depth(MIDDLE) - 1.0).abs()[depth > 0]


def test_agreeing_photographs_are_nearer_the_truth_than_each() -> None:
    reference = estimate(MIDDLE, 0.003)
    agreed = agree(reference, others(0.003), 2, 0.01)
    alone = error_of(1.0 / reference.inverse_depth)
    assert float(error_of(agreed.depth).median()) < 0.6 * float(alone.median())
    assert float((agreed.depth > 0).float().mean()) > 0.97


def test_a_wrong_depth_is_replaced_by_what_others_see_there() -> None:
    reference = estimate(MIDDLE)
    reference.inverse_depth[40:60, 20:40] *= 1.3
    agreed = agree(reference, others(), 2, 0.01)
    there = agreed.depth[40:60, 20:40]
    true = 1.0 / true_inverse_depth(MIDDLE)[40:60, 20:40]
    right = (there / true - 1.0).abs() < 0.01
    assert float(right.float().mean()) > 0.95


def test_what_too_few_confirm_is_left_out() -> None:
    reference = estimate(MIDDLE)
    sources = others()
    for source in sources[1:]:
        source.inverse_depth.mul_(0.8)
    alone = agree(reference, sources, 1, 0.01)
    two = agree(reference, sources, 2, 0.01)
    wrong = (two.depth * true_inverse_depth(MIDDLE) - 1.0).abs() < 0.01
    assert float((alone.depth > 0).float().mean()) > 0.9
    assert float((wrong & (two.depth > 0)).float().mean()) < 0.05


def test_masked_pixels_have_no_depth() -> None:
    reference = estimate(MIDDLE)
    reference.picture.valid[:, :50] = False
    agreed = agree(reference, others(), 2, 0.01)
    assert not agreed.depth[:, :50].any() and not agreed.normals[:, :50].any()
    assert float((agreed.depth[:, 50:] > 0).float().mean()) > 0.97


def test_normals_stand_on_the_surface_and_face_the_camera() -> None:
    agreed = agree(estimate(MIDDLE), others(), 2, 0.01)
    normal = poses()[MIDDLE].rotation @ -BACK[0] / np.linalg.norm(BACK[0])
    normals = agreed.normals[10:30, 20:160].reshape(-1, 3).numpy()
    assert np.median(normals @ normal) == pytest.approx(1.0, abs=1e-4)
    assert np.quantile(normals @ normal, 0.05) > 0.995
    assert agreed.confidence.max() == 1.0 and agreed.confidence.min() >= 0.0
