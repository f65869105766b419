"""What a sweep measures: where pixels go, and on which inverse depth windows agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.depth.photometric import find_inverse_depth, smoothed
from pipeline.depth.semi_global import aggregate_candidates, aggregate_planes
from pipeline.depth.sweep import UNSEEN, Picture, Sweep, Transfer, box, pixel_centers, sample
from tests.depth.plain_world import FRONT_HALF, PINHOLE, VIEWS, look, poses, view


def picture(n: int) -> Picture:
    _, rgb = look(PINHOLE, poses()[n])
    grey = torch.from_numpy(rgb.mean(axis=2).astype(np.float32) / 255.0)
    return Picture(view(n), grey, torch.ones_like(grey, dtype=torch.bool))


def true_inverse_depth(n: int) -> torch.Tensor:
    return torch.from_numpy((1.0 / look(PINHOLE, poses()[n])[0]).astype(np.float32))


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_transfer_is_a_projection(factor: float) -> None:
    first, second = picture(0).scaled(factor), picture(4).scaled(factor)
    transfer = Transfer.between(first, second)
    x, y, depth = 30.25, 51.5, 3.7
    uv = PINHOLE.unproject(np.array([[x, y]]))
    in_world = poses()[0].inverse().apply(np.append(uv, [[1.0]], axis=1) * depth)
    in_second = poses()[4].apply(in_world)
    there = PINHOLE.project(in_second)[0] * factor
    u, v, w = transfer.apply(
        torch.tensor([[x * factor]]), torch.tensor([[y * factor]]), torch.tensor([[1.0 / depth]])
    )
    assert np.allclose([float(u), float(v)], there, atol=2e-4)
    assert float(w) == pytest.approx(in_second[0, 2] / depth, rel=1e-5)
    near = transfer.apply(
        torch.tensor([[x * factor]]), torch.tensor([[y * factor]]), torch.tensor([[1.001 / depth]])
    )
    moved = float(torch.hypot(near[0] - u, near[1] - v)) / (0.001 / depth)
    assert transfer.disparity_px(x * factor, y * factor, 1.0 / depth) == pytest.approx(moved, 0.01)


def test_sampling_is_bilinear_between_centres() -> None:
    values = torch.arange(12.0).reshape(3, 4)
    x, y = pixel_centers(values)
    assert torch.allclose(sample(values, x[None], y[None])[0], values, atol=1e-5)
    assert sample(values, torch.tensor([[[2.0]]]), torch.tensor([[[1.0]]])).item() == 3.5
    assert sample(values, torch.tensor([[[-9.0]]]), torch.tensor([[[9.0]]])).item() == 8.0


@pytest.mark.parametrize("given", [False, True])
def test_windows_agree_on_the_true_surface_only(given: bool) -> None:
    sweep = Sweep(picture(3), [picture(n) for n in (1, 2, 4, 5)])
    true = true_inverse_depth(3)
    candidates = torch.stack([true, true * 1.06, true * 0.94])
    costs = sweep.best_costs(candidates, radius=2, best=2)
    if given:
        costs = sweep.costs(candidates, 2, sweep.sights(true, 2))
    inside = costs[:, 10:-10, 24:-24]
    assert 0.0 <= float(inside[0].median()) < 0.06
    assert float(inside[1:].flatten(1).median(dim=1)[0].min()) > 0.1
    assert float((inside.argmin(dim=0) == 0).float().mean()) > 0.95


def test_what_no_source_shows_costs_the_same_everywhere() -> None:
    sweep = Sweep(picture(0), [picture(1)])
    far_off = torch.full((1, *picture(0).grey.shape), 40.0)
    assert torch.equal(sweep.best_costs(far_off, 2, 1), torch.full_like(far_off, UNSEEN))
    sights = torch.ones(1, *picture(0).grey.shape)
    assert torch.equal(sweep.costs(far_off, 2, sights), torch.full_like(far_off, UNSEEN))
    blind = Picture(view(1), picture(1).grey, torch.zeros(144, 192, dtype=torch.bool))
    sweep = Sweep(picture(0), [blind])
    true = true_inverse_depth(0)
    assert not sweep.sights(true, 2).any()
    for costs in (
        sweep.best_costs(true[None], 2, 1),
        sweep.costs(true[None], 2, sweep.sights(true, 2)),
    ):
        assert torch.equal(costs, torch.full_like(costs, UNSEEN))


def test_a_source_counts_where_it_shows_the_surface() -> None:
    middle, other = VIEWS // 2, VIEWS // 2 + 1
    source = picture(other)
    source.grey[:, :96] = source.grey[:, :96].flip(0)  # something else is in the way
    true = true_inverse_depth(middle)
    x, y = pixel_centers(true)
    u, _, _ = Transfer.between(picture(middle), source).apply(x, y, true)
    sweep = Sweep(picture(middle), [source, picture(other)])
    covered, shown = sweep.sights(true, 2)
    assert float(covered[u < 90].median()) < 0.1
    assert float(covered[(u > 102) & (u < 186)].median()) > 0.9
    candidates = torch.stack([true, true * 1.06, true * 0.94])
    costs = sweep.costs(candidates, 2, torch.stack([covered, shown]))
    assert float((costs.argmin(dim=0) == 0)[10:-10, 24:-24].float().mean()) > 0.95


@pytest.mark.parametrize("radius", [1, 2, 7])
def test_means_of_windows_count_what_lies_in_the_picture(radius: int) -> None:
    values = torch.from_numpy(np.random.default_rng(0).random((2, 6, 9)).astype(np.float32))
    found = box(values, radius)
    for row, column in ((0, 0), (3, 4), (5, 2)):
        rows = slice(max(0, row - radius), row + radius + 1)
        window = values[:, rows, max(0, column - radius) : column + radius + 1]
        assert torch.allclose(found[:, row, column], window.mean(dim=(1, 2)), atol=1e-6)


def test_smoothing_keeps_planes_and_steps() -> None:
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    plane = 0.2 + 0.002 * x - 0.001 * y + torch.where(x > 20, 0.1, 0.0)
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 0.002, plane.shape)).float()
    found = smoothed(plane + noise, 0.01)
    inside = (slice(4, -4), slice(4, -4))
    assert 0.1 < float((found - plane)[inside].std() / noise.std()) < 0.6
    assert float((found - plane)[inside].abs().max()) < 0.004


def test_aggregation_overrules_a_single_pixel_and_keeps_an_edge() -> None:
    labels = torch.full((8, 20), 2)
    labels[:, 10:] = 6
    costs = torch.ones(9, 8, 20).scatter_(0, labels[None], 0.0)
    costs[:, 4, 5] = 0.4
    costs[8, 4, 5] = 0.3
    grey = torch.zeros(8, 20)
    found = aggregate_planes(costs, grey, 0.1, 0.6).argmin(dim=0)
    assert torch.equal(found, labels)
    values = torch.arange(9.0)[:, None, None].expand(-1, 8, 20)
    found = aggregate_candidates(costs, values, grey, 0.1, 6.0).argmin(dim=0)
    assert torch.equal(found, labels)


def test_the_depth_of_two_planes_is_found_to_a_few_thousandths() -> None:
    middle = VIEWS // 2
    sources = [picture(n) for n in range(VIEWS) if n != middle]
    found = find_inverse_depth(picture(middle), sources, (2.0, 9.0))
    true = true_inverse_depth(middle)
    error = (found / true - 1.0).abs()
    assert 1e-5 < float(error.median()) < 0.003
    assert float((error < 0.01).float().mean()) > 0.93
    front = true > 1.0 / 3.5
    width = float(front.sum(dim=1).float().max())
    assert width == pytest.approx(2 * FRONT_HALF * 170 / 3.2, abs=2.0)
    as_front = found > 1.0 / 3.5
    assert float((as_front ^ front).float().sum() / front.float().sum()) < 0.12
