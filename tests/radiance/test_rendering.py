"""Volume rendering against numbers worked out by hand and a slow twin; where rays are sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.radiance.contraction import Contraction
from pipeline.radiance.rendering import DepthRange, composite, stratified_shares
from pipeline.radiance.sampling import importance_shares, widened

CPU = torch.device("cpu")


def slow_composite(
    density: Tensor, rgb: Tensor, depths: Tensor, length: float, background: list[float]
) -> tuple[list[float], float, float]:
    """One ray, sample by sample: colour, depth, opacity."""
    left, color, depth = 1.0, [0.0, 0.0, 0.0], 0.0
    for number in range(len(depths)):
        last = number == len(depths) - 1
        step = 1e10 if last else float(depths[number + 1] - depths[number]) * length
        alpha = 1.0 - math.exp(-float(density[number]) * step)
        weight = left * alpha
        color = [c + weight * float(v) for c, v in zip(color, rgb[number], strict=True)]
        depth += weight * float(depths[number])
        left *= 1.0 - alpha
    return [c + left * b for c, b in zip(color, background, strict=True)], depth, 1.0 - left


def test_composite_by_hand() -> None:
    """Half of the light stops at each of two samples, the rest at the background."""
    ln2 = math.log(2.0)
    density = torch.tensor([[ln2, ln2, 0.0]])
    rgb = torch.eye(3)[None]
    seen = composite(density, rgb, torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1), torch.ones(3))
    assert torch.allclose(seen.weights, torch.tensor([[0.5, 0.25, 0.0]]), atol=1e-6)
    assert torch.allclose(seen.rgb, torch.tensor([[0.75, 0.5, 0.25]]), atol=1e-6)
    assert seen.depth.item() == pytest.approx(1.0, abs=1e-6)
    assert seen.opacity.item() == pytest.approx(0.75, abs=1e-6)


def test_composite_is_its_slow_twin() -> None:
    generator = torch.Generator().manual_seed(0)
    density = 3 * torch.rand(6, 9, generator=generator, dtype=torch.float64)
    density[:, -1] = 0.0
    density[0] = 0.0  # a ray that meets nothing
    rgb = torch.rand(6, 9, 3, generator=generator, dtype=torch.float64)
    depths = torch.rand(6, 9, generator=generator, dtype=torch.float64).sort(dim=-1).values
    lengths = 1.0 + torch.rand(6, generator=generator, dtype=torch.float64)
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    seen = composite(density, rgb, depths, lengths, background)
    for ray in range(6):
        color, depth, opacity = slow_composite(
            density[ray], rgb[ray], depths[ray], float(lengths[ray]), background.tolist()
        )
        assert np.allclose(seen.rgb[ray].tolist(), color, atol=1e-12)
        assert seen.depth[ray].item() == pytest.approx(depth, abs=1e-12)
        assert seen.opacity[ray].item() == pytest.approx(opacity, abs=1e-12)
    assert seen.rgb[0].tolist() == background.tolist()


def test_composite_has_the_gradient_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    density = torch.rand(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    rgb = torch.rand(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    depths = torch.linspace(1, 2, 5, dtype=torch.float64).repeat(2, 1)
    lengths = torch.tensor([1.0, 1.5], dtype=torch.float64)

    def rendered(density: Tensor, rgb: Tensor) -> tuple[Tensor, ...]:
        return tuple(composite(density, rgb, depths, lengths, None))

    assert torch.autograd.gradcheck(rendered, (density, rgb))


def test_one_sample_lies_in_each_interval() -> None:
    shares = stratified_shares(50, 8, CPU, torch.Generator().manual_seed(0))
    assert torch.equal((shares * 8).floor(), torch.arange(8.0).expand(50, 8))
    again = stratified_shares(50, 8, CPU, torch.Generator().manual_seed(0))
    assert torch.equal(shares, again)
    assert not torch.equal(shares, stratified_shares(50, 8, CPU, torch.Generator().manual_seed(1)))
    assert torch.allclose(
        stratified_shares(1, 4, CPU, None), torch.tensor([0.125, 0.375, 0.625, 0.875])
    )


def test_depths_are_even_in_depth_or_in_its_inverse() -> None:
    shares = torch.tensor([0.0, 0.5, 1.0])
    assert DepthRange(2.0, 6.0).at(shares).tolist() == [2.0, 4.0, 6.0]
    inverse = DepthRange(1.0, math.inf, inverse=True).at(shares)
    assert inverse[:2].tolist() == [1.0, 2.0]
    assert torch.isfinite(inverse).all() and inverse[2] > 1e6


def test_more_samples_where_the_weight_is() -> None:
    """As many draws fall into each interval as its weight says."""
    shares = stratified_shares(2000, 10, CPU, None)
    weights = torch.zeros(2000, 10)
    weights[:, 3], weights[:, 7] = 0.6, 0.2
    drawn = importance_shares(shares, weights, 16, torch.Generator().manual_seed(0))
    assert (drawn.diff(dim=-1) >= 0).all()
    among = [float(((drawn > n / 10) & (drawn < (n + 1) / 10)).float().mean()) for n in range(10)]
    assert among[3] == pytest.approx(0.75, abs=0.01)
    assert among[7] == pytest.approx(0.25, abs=0.01)
    inside = drawn[(drawn > 0.3) & (drawn < 0.4)]
    assert float(inside.mean()) == pytest.approx(0.35, abs=0.002)


def test_a_ray_that_saw_nothing_is_sampled_evenly() -> None:
    shares = stratified_shares(3, 8, CPU, None)
    drawn = importance_shares(shares, torch.zeros(3, 8), 4, None)
    assert torch.allclose(drawn, torch.tensor([0.125, 0.375, 0.625, 0.875]).expand(3, 4), atol=1e-5)


def test_a_pass_for_a_denser_one_looks_beside_what_it_found_and_a_little_everywhere() -> None:
    weights = torch.zeros(1, 6)
    weights[0, 3] = 0.8
    wide = widened(weights)[0]
    assert wide[2:5].tolist() == pytest.approx([0.805] * 3)
    assert wide[[0, 1, 5]].tolist() == pytest.approx([0.005] * 3)


def test_contraction_keeps_the_box_and_draws_infinity_close() -> None:
    box = torch.tensor([[-1.0, -2.0, 0.0], [3.0, 2.0, 1.0]])
    contraction = Contraction(box)
    inside = box[0] + torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * (
        box[1] - box[0]
    )
    assert torch.allclose(contraction(inside), inside, atol=1e-6)
    assert contraction.inside(inside).all()
    far = torch.tensor([[5.0, 0.0, 0.5], [1e8, 0.0, 0.5], [1.0, 0.0, -1e8]])
    drawn = contraction(far)
    # (5 - 1) / 2 = 2 half sizes away: 1.5 - 0.5 / 2^2 of them.
    assert drawn[0].tolist() == pytest.approx([1.0 + 2.0 * 1.375, 0.0, 0.5])
    assert drawn[1].tolist() == pytest.approx([4.0, 0.0, 0.5], abs=1e-5)
    assert drawn[2].tolist() == pytest.approx([1.0, 0.0, -0.25], abs=1e-5)
    assert not contraction.inside(far).any()
    assert contraction.reach.tolist() == [[-2.0, -3.0, -0.25], [4.0, 3.0, 1.25]]


def test_contraction_has_the_gradient_of_finite_differences() -> None:
    contraction = Contraction(torch.tensor([[-1.0, -2.0, 0.0], [3.0, 2.0, 1.0]])).double()
    points = torch.tensor(
        [[0.5, 0.5, 0.5], [9.0, 1.0, 0.2], [-7.0, 5.0, 4.0]],
        dtype=torch.float64,
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(contraction, (points,))
    at_the_side = torch.tensor(
        [[3.0 - 1e-4, 0.0, 0.5], [3.0, 0.0, 0.5], [3.0 + 1e-4, 0.0, 0.5]], dtype=torch.float64
    )
    slopes = contraction(at_the_side)[:, 0].diff() / 1e-4
    assert slopes.tolist() == pytest.approx([1.0, 1.0], abs=2e-4)
