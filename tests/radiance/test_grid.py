"""The smoothed grid: its slopes, its levels of detail, and what it passes over."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.radiance.field import Field
from pipeline.radiance.fields import make_field, shape_from_json, shape_to_json
from pipeline.radiance.grid import GridField, GridShape
from pipeline.radiance.occupancy import Occupancy

REACH = torch.tensor([[-2.0, -1.0, 0.0], [2.0, 1.0, 3.0]])
SHAPE = GridShape(resolution=24)


def rough_field(bounded: bool = False, shape: GridShape = SHAPE) -> GridField:
    """A field with random values at its nodes, dense nearly everywhere."""
    field = GridField(shape, REACH, bounded)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        field.values.copy_(torch.randn(field.values.shape, generator=generator) + 0.5)
    return field


def places(count: int, seed: int = 0) -> Tensor:
    """Points within reach."""
    shares = torch.rand((count, 3), generator=torch.Generator().manual_seed(seed))
    return REACH[0] + (REACH[1] - REACH[0]) * (0.05 + 0.9 * shares)


def slow_values(field: GridField, point: Tensor, alpha: float) -> np.ndarray:
    """Interpolated values at a point, node after node, with the filter of full resolution."""
    values = field.values.detach().double().numpy()
    nodes = np.array(values.shape[:0:-1])
    sigma = field.blur_at(alpha) / 2.0 * (nodes.max() - 1) / 2.0  # half the longest side is 2
    at = ((point.double() - REACH[0]) / (REACH[1] - REACH[0])).numpy() * (nodes - 1)
    for axis in range(3):
        offsets = (np.arange(nodes[axis])[:, None] - np.arange(nodes[axis])) / sigma
        weights = np.exp(-0.5 * offsets**2)
        weights /= weights.sum(1, keepdims=True)
        values = np.moveaxis(np.tensordot(values, weights, axes=([3 - axis], [1])), -1, 3 - axis)
    low = np.minimum(at.astype(int), nodes - 2)
    part = at - low
    found = np.zeros(len(values))
    for corner in np.ndindex(2, 2, 2):
        share = np.prod([p if c else 1 - p for p, c in zip(part, corner, strict=True)])
        x, y, z = low + np.array(corner)
        found += share * values[:, z, y, x]
    return found


def test_it_interpolates_the_filtered_nodes() -> None:
    """Beside a slow twin, near the last level, where the filter keeps all nodes."""
    field = rough_field()
    alpha = field.bands - 0.2
    density, rgb = field(places(20), places(20), alpha)
    for number, point in enumerate(places(20)):
        value, *colors = slow_values(field, point, alpha)
        # Half the longest side is 2; six is the logit of nothing.
        assert density[number].item() == pytest.approx(
            math.log1p(math.exp(10 * value - 6)) / 2.0, rel=1e-3, abs=1e-5
        )
        np.testing.assert_allclose(
            rgb[number].detach(), 1 / (1 + np.exp(-4 * np.array(colors))), atol=1e-3
        )


@pytest.mark.parametrize("alpha", [0.0, 1.5])
@pytest.mark.parametrize("bounded", [False, True])
def test_slopes_are_those_of_finite_differences(alpha: float, bounded: bool) -> None:
    field = rough_field(bounded).double()
    points = places(200).double().requires_grad_(True)

    def seen(at: Tensor) -> Tensor:
        density, rgb = float64(field, at, alpha)
        return (density.log1p() + rgb.sum(-1)).sum()

    (slopes,) = torch.autograd.grad(seen(points), points)
    step = 1e-5
    errors = []
    for axis in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[axis] = step
        with torch.no_grad():
            ahead = [seen(points[n : n + 1] + offset).item() for n in range(20)]
            behind = [seen(points[n : n + 1] - offset).item() for n in range(20)]
        differences = (np.array(ahead) - np.array(behind)) / (2 * step)
        errors.append(np.abs(differences - slopes[:20, axis].numpy()))
    # Within a cell the interpolation is smooth; hardly a point lies within a step of a side.
    assert np.median(np.stack(errors)) < 1e-6 < np.abs(slopes.numpy()).max()


def float64(field: GridField, points: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The field in double precision: what it computes is the same, rounding is not."""
    return field.at((points - field.center) / field.half_size, alpha)


def test_alpha_lets_detail_in_level_after_level() -> None:
    """The variation between neighbours grows with alpha; beyond the last band nothing changes."""
    field = rough_field()
    line = torch.stack([torch.linspace(-1.5, 1.5, 400), torch.zeros(400), torch.ones(400)], dim=-1)

    def roughness(alpha: float) -> float:
        with torch.no_grad():
            return float(field(line, line, alpha)[1].diff(dim=0).abs().sum())

    levels = [roughness(float(alpha)) for alpha in range(field.bands + 1)]
    assert all(b > 1.2 * a for a, b in itertools.pairwise(levels))
    assert roughness(field.bands + 3.0) == levels[-1]


def test_blur_halves_with_every_band() -> None:
    field = rough_field()
    blurs = [field.blur_at(float(alpha)) for alpha in range(field.bands + 1)]
    assert blurs[0] == pytest.approx(0.25 * 2.0)  # of half the longest side
    assert all(a == pytest.approx(2 * b) for a, b in itertools.pairwise(blurs))
    node = 4.0 / (SHAPE.resolution - 1)
    assert 0.2 * node < blurs[-1] <= 0.51 * node
    assert field.sample_share(0.0) < field.sample_share(float(field.bands)) == 1.0


def test_bounded_density_ends_at_the_sides() -> None:
    """An unbounded twin is as dense at the sides as within."""
    side = torch.tensor([[2.0, 0.0, 1.5], [0.0, -1.0, 1.5], [0.0, 0.0, 3.0]])
    ended, _ = rough_field(bounded=True)(side, side, 0.0)
    going_on, _ = rough_field(bounded=False)(side, side, 0.0)
    assert ended.abs().max() < 1e-6 < 0.1 < going_on.min()


def test_what_is_empty_is_passed_over_and_nothing_else_changes() -> None:
    """A dense corner in an empty box: most cells are empty, and points in them see nothing."""
    field = GridField(SHAPE, REACH, bounded=False)
    with torch.no_grad():
        field.values.fill_(-1.0)
        field.values[:, :6, :4, :6] = 1.0
    alpha, points = float(field.bands), places(3000)
    with torch.no_grad():
        before = field(points, points, alpha)
        field.refresh(alpha)
        after = field(points, points, alpha)
    assert 0.02 < float(field.occupancy.occupied.float().mean()) < 0.2
    dense = before[0] > 0.5
    assert 10 < int(dense.sum()) < 300
    assert torch.equal(after[0][dense], before[0][dense])
    assert torch.equal(after[1][dense], before[1][dense])
    assert float((after[0] - before[0]).abs().max()) < 0.5
    assert int((after[0] == 0).sum()) > 2000


def test_occupancy_keeps_everything_until_it_is_told() -> None:
    occupancy = Occupancy([4, 5, 6])
    inside = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    assert occupancy.kept(inside).tolist() == [0, 1, 2]
    occupancy.update(torch.zeros(6, 5, 4), foggy=False)
    assert occupancy.kept(inside).tolist() == []
    density = torch.zeros(6, 5, 4)
    density[5, 4, 3] = 100.0
    occupancy.update(density, foggy=False)
    assert occupancy.kept(inside).tolist() == [1]


def test_thin_fog_that_fills_the_box_is_kept_until_there_are_surfaces() -> None:
    """Every cell of it hides nearly nothing, and all that a ray passes a tenth."""
    occupancy = Occupancy([20, 20, 20])
    places = torch.cat(list(occupancy.layers()))
    fog = torch.full((20, 20, 20), 0.05)
    for foggy, kept in ((True, len(places)), (False, 0)):
        occupancy.update(fog, foggy)
        assert len(occupancy.kept(places)) == kept
    occupancy.update(fog / 100.0, foggy=True)
    assert len(occupancy.kept(places)) == 0


def test_a_cell_remembers_its_density_and_not_that_of_its_neighbours() -> None:
    """What is kept reaches further than what is dense: a surface must not seem to begin before it
    does."""
    occupancy = Occupancy([4, 5, 6])
    places = torch.cat(list(occupancy.layers()))
    assert not occupancy.density_at(places).any()
    density = torch.arange(120.0).view(6, 5, 4)
    occupancy.update(density, foggy=False)
    assert torch.allclose(occupancy.density_at(places), density.flatten(), atol=1e-3)
    alone = torch.zeros(6, 5, 4)
    alone[3, 2, 1] = 50.0
    occupancy.update(alone, foggy=False)
    assert torch.allclose(occupancy.density_at(places), alone.flatten(), atol=1e-3)
    assert int(occupancy.occupied.sum()) == 27


DETAILED = GridShape(resolution=12, details=2)


def detailed_field() -> GridField:
    """A field whose finer grids hold something, too."""
    field = rough_field(shape=DETAILED)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for finer in field.details:
            finer.copy_(0.5 * torch.randn(finer.shape, generator=generator))
    return field


def test_finer_grids_enter_once_the_smooth_one_is_whole() -> None:
    """Each adds its values with the weight of its band (BARF, equation 14)."""
    field = detailed_field().double()
    plain = GridField(GridShape(resolution=12), REACH, bounded=False).double()
    with torch.no_grad():
        plain.values.copy_(field.values)
    assert (plain.bands, field.bands) == (2, 4)
    at = (places(50).double() - field.center) / field.half_size
    with torch.no_grad():
        for alpha in (0.5, 2.0):
            assert torch.equal(field.at(at, alpha)[1], plain.at(at, alpha)[1])
        logits = [torch.logit(field.at(at, alpha)[1]) / 4.0 for alpha in (2.0, 2.5, 3.0, 4.0, 5.0)]
    first, second = logits[2] - logits[0], logits[3] - logits[2]
    assert torch.allclose(logits[1] - logits[0], 0.5 * first, atol=1e-6)  # (1 - cos(pi / 2)) / 2
    assert float(first.abs().mean()) > 0.1 and float(second.abs().mean()) > 0.1
    assert torch.equal(logits[3], logits[4])
    assert [tuple(finer.shape) for finer in field.details] == [(4, 18, 16, 24), (4, 36, 32, 48)]


def test_blur_halves_with_every_finer_grid_too() -> None:
    field = detailed_field()
    blurs = [field.blur_at(float(alpha)) for alpha in range(field.bands + 1)]
    assert all(a == pytest.approx(2 * b) for a, b in itertools.pairwise(blurs))


def test_the_remembered_density_is_that_of_all_grids_together() -> None:
    field = detailed_field()
    alpha = float(field.bands)
    lattice = torch.cat(list(field.occupancy.layers()))
    points = field.center + lattice * field.half_size
    assert not field.recent_density(points).any()
    field.refresh(alpha)
    with torch.no_grad():
        density, _ = field.at(lattice, alpha)
    assert float(density.max()) > 5.0
    assert torch.allclose(field.recent_density(points), density, rtol=1e-3, atol=1e-3)


def test_roughness_is_resisted_by_the_gradient_of_its_squared_differences() -> None:
    """Ten turns together add what autograd says of the whole; a grid that did not take part in the
    loss is left alone."""
    field = detailed_field().double()
    values, other = field.details[0], field.details[1]
    parts = [values.diff(dim=axis).square().sum() for axis in (1, 2, 3)]
    (wanted,) = torch.autograd.grad(0.3 * sum(parts) / values[0].numel(), values)
    values.grad = torch.zeros_like(values)
    for turn in range(10):
        field.resist_roughness(0.3, turn)
    # Rows and columns of the planes where two slabs meet count in both.
    whole = [z for z in range(18) if z not in (n * 18 // 10 for n in range(1, 10))]
    found = values.grad[:, whole] / 10.0
    inner = (found - wanted[:, whole]).abs() < 1e-12
    assert inner.all() and float(found.abs().max()) > 1e-4
    assert other.grad is None


def test_shapes_survive_as_plain_data() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = shape_from_json(shape_to_json(GridShape(resolution=20, blur=0.2)))
    assert shape == GridShape(resolution=20, blur=0.2)
    field = make_field(shape, REACH, True, generator)
    assert isinstance(field, Field) and field.bands == 2
    assert shape_from_json(shape_to_json(DETAILED)) == DETAILED
    for impossible in ({"resolution": 1}, {"blur": 1.0}, {"details": 5}):
        with pytest.raises(ValueError, match="no grid"):
            GridShape(**impossible)
