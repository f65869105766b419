"""A radiance field in dense grids that are as smooth as the training has come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter, ParameterList
from torch.nn import functional as F

from pipeline.radiance.encoding import band_weights
from pipeline.radiance.field import Field
from pipeline.radiance.occupancy import Occupancy, sampled

_DENSITY_SCALE = 10.0  # how fast density and colour follow the grid's values:
_COLOR_SCALE = 4.0  # with both, one learning rate does for all
_EMPTY = 6.0  # softplus(-6): the density of empty space hardly counts
_BALL = 0.4  # radius of the ball of fog that a bounded field starts as, in half sides
_BALL_LOGIT = -2.0  # in its middle
_FOG_LOGIT = -1.0  # where an unbounded field starts as, everywhere
_WINDOW = 0.25  # width of the rim where the density of a bounded field fades, in half sides
_COARSEST = 24  # nodes along the longest side, at least
_SAMPLES_AT_LEAST = 24.0 / 96.0
_SLABS, _SLAB_STRIDE = 10, 7  # a grid's roughness is resisted in slabs, far from each other


@dataclass(frozen=True)
class GridShape:
    """How a grid is built.

    resolution: nodes along the longest side. blur: standard deviation of the coarsest level as a
    share of half the longest side; every further band halves it, until it is half a node. details:
    finer grids, each of twice as many nodes along each side as the last one.
    """

    resolution: int = 64
    blur: float = 0.25
    details: int = 0

    def __post_init__(self) -> None:
        if self.resolution < 2 or not 0.0 < self.blur < 1.0 or not 0 <= self.details <= 4:
            raise ValueError(
                f"no grid has {self.resolution} nodes, a blur of {self.blur} and {self.details} "
                "finer grids"
            )

    @property
    def smooth_bands(self) -> int:
        """Levels of detail beyond the coarsest that the grid itself has."""
        return max(math.ceil(math.log2(self.blur * (self.resolution - 1)) - 1e-9), 1)

    @property
    def bands(self) -> int:
        """Levels of detail beyond the coarsest."""
        return self.smooth_bands + self.details


class GridField(Field):
    """Density and colour at the nodes of a dense grid, smoothed and interpolated.

    What is rendered is the grid after a Gaussian filter whose width alpha decides, as Cheng et al.
    do with factors ("Improving Robustness for Joint Optimization of Camera Pose and Decomposed
    Low-Rank Tensorial Radiance Fields", AAAI 2024, section 4): a plain grid gives poses gradients
    of the size of its cells, a smoothed one those of the size of their errors. The filter is
    separable and its result is sampled no finer than it is smooth, so that early steps are cheap;
    the parameters always have the full resolution. Once all of the grid has entered, finer ones add
    to it, each with the weight that alpha gives its band (BARF, equation 14). Colours do not depend
    on the direction.

    On CUDA the gradient of the interpolation is summed in no fixed order: equal runs differ in the
    last bits there.
    """

    center: Tensor
    half_size: Tensor

    def __init__(self, shape: GridShape, reach: Tensor, bounded: bool) -> None:
        """reach: (2, 3) corners of the box that the grid covers. bounded: nothing is outside, and
        density fades towards the sides: a box of fog would have edges of its own, and cameras
        would turn to them."""
        super().__init__()
        self.bands = shape.bands
        self._smooth_bands = shape.smooth_bands
        self._blur = shape.blur
        self._bounded = bounded
        self.register_buffer("center", (reach[0] + reach[1]) / 2, persistent=False)
        self.register_buffer("half_size", (reach[1] - reach[0]) / 2, persistent=False)
        sides = (reach[1] - reach[0]) / (reach[1] - reach[0]).max()
        self._nodes = [max(round(shape.resolution * side), 8) for side in sides.tolist()]
        self._longest = float(self.half_size.max())
        nx, ny, nz = self._nodes
        values = torch.zeros(4, nz, ny, nx)
        values[0] = (_EMPTY + _FOG_LOGIT) / _DENSITY_SCALE
        if bounded:
            x, y, z = (torch.linspace(-1.0, 1.0, n) for n in self._nodes)
            r2 = x**2 + y[:, None] ** 2 + z[:, None, None] ** 2
            logit = (_EMPTY + _BALL_LOGIT) / _DENSITY_SCALE
            values[0] = logit * torch.exp(-r2 / (2 * _BALL**2))
        self.values = Parameter(values)
        finer = [2 ** (k + 1) for k in range(shape.details)]
        self._sharpness = 2.0**shape.details  # what is opaque within a node is dense like that
        self.details = ParameterList(torch.zeros(4, nz * k, ny * k, nx * k) for k in finer)
        self.occupancy = Occupancy([n * (2 if finer else 1) for n in self._nodes])
        self._smoothed: tuple[tuple[float, int], Tensor] | None = None

    def forward(self, points: Tensor, directions: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """See Field; `directions` change nothing."""
        with torch.autocast(points.device.type, enabled=False):
            places = self._places(points)
            if self.details:  # samples lie where something is
                return self.at(places, alpha)
            kept = self.occupancy.kept(places)
            density, rgb = self.at(places.index_select(0, kept), alpha)
            nothing = places.new_zeros(len(places)), places.new_zeros(len(places), 3)
            return nothing[0].index_copy(0, kept, density), nothing[1].index_copy(0, kept, rgb)

    def blur_at(self, alpha: float) -> float:
        """See Field: the standard deviation of the filter."""
        return self._longest * self._sigma(alpha)

    def sample_share(self, alpha: float) -> float:
        """See Field: samples need not be denser than the field is smooth."""
        return float(min(max(2.0 ** (alpha - self.bands + 1.0), _SAMPLES_AT_LEAST), 1.0))

    @torch.no_grad()
    def refresh(self, alpha: float) -> None:
        """See Field: finds out anew how dense which parts of the grid are."""
        if self.details:
            density = torch.stack([self.at(layer, alpha)[0] for layer in self.occupancy.layers()])
            density = density.view_as(self.occupancy.density)
        else:
            density = self._density(self.smoothed(alpha)[0])
        self.occupancy.update(self._longest * density, alpha < self._smooth_bands)

    def recent_density(self, points: Tensor) -> Tensor:
        """See Field."""
        return self.occupancy.density_at(self._places(points)) / self._longest

    @torch.no_grad()
    def resist_roughness(self, weight: float, turn: int) -> None:
        """See Field: of the squared differences between neighbouring nodes, in the mean of each
        grid (total variation; Yu et al., "Plenoxels", CVPR 2022, section 3.3)."""
        for values in (self.values, *self.details):
            if values.grad is not None:
                _add_roughness_gradient(values, weight, turn)

    def smoothed(self, alpha: float) -> Tensor:
        """The filtered values (4, z, y, x) as they are rendered; nodes lie on the sides."""
        if torch.is_grad_enabled():
            return self._smooth(alpha)
        key = (alpha, self.values._version)
        if self._smoothed is None or self._smoothed[0] != key:
            self._smoothed = (key, self._smooth(alpha))
        return self._smoothed[1]

    def at(self, places: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Densities and colours at places (N, 3) in [-1, 1]."""
        found = sampled(self.smoothed(alpha), places)
        weights = band_weights(alpha - self._smooth_bands, len(self.details))
        for weight, finer in zip(weights, self.details, strict=True):
            if weight > 0.0:
                found = found + weight * sampled(finer, places)
        density = self._density(found[0])
        if self._bounded:
            share = ((1.0 - places.abs()) / _WINDOW).clamp(0.0, 1.0)
            x, y, z = (share * share * (3.0 - 2.0 * share)).unbind(-1)
            density = density * x * y * z  # the derivative of torch's prod is slow on a GPU
        return density, torch.sigmoid(_COLOR_SCALE * found[1:]).T

    def _places(self, points: Tensor) -> Tensor:
        return (points.float() - self.center) / self.half_size

    def _density(self, values: Tensor) -> Tensor:
        return self._sharpness * F.softplus(_DENSITY_SCALE * values - _EMPTY) / self._longest

    def _sigma(self, alpha: float) -> float:
        """Width of the filter in half longest sides."""
        return float(self._blur * 2.0 ** -min(max(alpha, 0.0), float(self.bands)))

    def _smooth(self, alpha: float) -> Tensor:
        sigma = self._sigma(alpha)
        values: Tensor = self.values
        if alpha >= self._smooth_bands:
            return values  # the interpolation smooths as much as the filter would
        wanted = max(math.ceil(2.0 / sigma), _COARSEST) / max(self._nodes)
        for axis, nodes in zip((-1, -2, -3), self._nodes, strict=True):
            kept = min(max(math.ceil(nodes * wanted), 8), nodes)
            width = sigma * (max(self._nodes) - 1) / 2.0
            matrix = _filter(nodes, kept, width, values)
            values = torch.tensordot(values, matrix, dims=([axis], [1])).movedim(-1, axis)
        return values


def _filter(nodes: int, kept: int, sigma: float, like: Tensor) -> Tensor:
    """Rows (kept, nodes), of the kind of `like`, that smooth by a Gaussian of `sigma` nodes and
    keep fewer of them."""
    at = torch.linspace(0.0, nodes - 1.0, kept, device=like.device, dtype=like.dtype)
    offsets = (at[:, None] - torch.arange(nodes, device=like.device)) / sigma
    weights = torch.exp(-0.5 * offsets * offsets)
    return weights / weights.sum(1, keepdim=True)


def _add_roughness_gradient(values: Parameter, weight: float, turn: int) -> None:
    """For one of `_SLABS` slabs of the grid per turn, so many times as strong."""
    assert values.grad is not None
    depth = values.shape[1]
    slab = _SLAB_STRIDE * turn % _SLABS
    low, high = slab * depth // _SLABS, min((slab + 1) * depth // _SLABS + 1, depth)
    part, slope = values.detach()[:, low:high], values.grad[:, low:high]
    scale = 2.0 * weight * _SLABS / values[0].numel()
    for axis in (1, 2, 3):
        change = scale * part.diff(dim=axis)
        slope.narrow(axis, 0, change.shape[axis]).sub_(change)
        slope.narrow(axis, 1, change.shape[axis]).add_(change)
