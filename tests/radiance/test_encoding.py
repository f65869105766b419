"""The encoding against the papers' formulas, written out band by band."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.radiance.encoding import alpha_at, band_weights, positional_encoding


def written_out(x: list[float], alpha: float, bands: int) -> list[float]:
    """gamma(x) of BARF, equations 13 and 14: the vector, all sines, all cosines."""
    weights = []
    for k in range(bands):
        if alpha < k:
            weights.append(0.0)
        elif alpha - k < 1:
            weights.append((1 - math.cos((alpha - k) * math.pi)) / 2)
        else:
            weights.append(1.0)
    sines = [w * math.sin(2**k * math.pi * v) for k, w in enumerate(weights) for v in x]
    cosines = [w * math.cos(2**k * math.pi * v) for k, w in enumerate(weights) for v in x]
    return [*x, *sines, *cosines]


@pytest.mark.parametrize("alpha", [0.0, 0.4, 2.0, 2.5, 6.0])
def test_encoding_is_the_formula(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(7, 3, generator=generator, dtype=torch.float64) * 4 - 2
    found = positional_encoding(points, alpha, 6)
    expected = [written_out(point.tolist(), alpha, 6) for point in points]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-13)


@pytest.mark.parametrize("alpha", [0.0, 1.3, 4.0])
def test_encoding_has_the_gradient_of_the_formula(alpha: float) -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(4, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: positional_encoding(x, alpha, 4), (points,))


def test_encoding_keeps_leading_dimensions() -> None:
    points = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(2))
    found = positional_encoding(points, 1.5, 3)
    assert found.shape == (2, 5, 21)
    assert torch.equal(found[1, 4], positional_encoding(points[1, 4:], 1.5, 3)[0])


def test_bands_open_one_after_the_other() -> None:
    assert band_weights(0.0, 3) == [0.0, 0.0, 0.0]
    assert band_weights(1.5, 3) == pytest.approx([1.0, 0.5, 0.0])
    assert band_weights(3.0, 3) == [1.0, 1.0, 1.0]


def test_alpha_runs_between_its_two_ends() -> None:
    assert alpha_at(0.05, 0.1, 0.5, 10, 0.0) == 0.0
    assert alpha_at(0.3, 0.1, 0.5, 10, 0.0) == pytest.approx(5.0)
    assert alpha_at(0.3, 0.1, 0.5, 10, 1.0) == pytest.approx(5.5)
    assert alpha_at(0.9, 0.1, 0.5, 10, 1.0) == 10.0
    assert alpha_at(0.5, 0.5, 0.5, 10, 1.0) == 10.0  # at once, where both shares are the same
    assert alpha_at(0.49, 0.5, 0.5, 10, 1.0) == 1.0
