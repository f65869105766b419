"""How well source photographs agree with a reference photograph on inverse depths.

Inverse depth is linear in the pixels of a plane: a map of it is a surface, and every pixel's window
lies on that surface rather than on a plane that faces the camera. Costs are 1 - NCC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.dense_products import DepthView
from pipeline.geometry.arrays import Float64s

UNSEEN = 1.2  # cost where no source shows anything: a little more than of two unlike windows
_NOT_HERE = 3.0  # stands for the cost of one source that shows nothing; NCC costs at most 2
_ROUNDING = (1.0 / 255.0) ** 2 / 12.0  # variance that eight bits add to grey values in [0, 1]
_SIGHT_COST = 0.3  # a source whose cost is this much weighs exp(-1/2)
_SIGHT_RADIUS_PX = 4  # of windows in which a source shows the place everywhere or nowhere
_LEAST_WEIGHT = 1e-9
_MOST_VALUES = 8_000_000  # of costs that are worked on at a time: 32 MB


@dataclass(frozen=True, eq=False)
class Picture:
    """A photograph on a device. grey: (H, W) in [0, 1]. valid: (H, W) bool, where it shows
    something. view: its camera and pose at full size."""

    view: DepthView
    grey: Tensor
    valid: Tensor

    def scaled(self, factor: float) -> Picture:
        """The same at `factor` times the size, by area; the view's camera keeps its size."""
        if factor == 1.0:
            return self
        height, width = self.grey.shape
        size = max(1, round(height * factor)), max(1, round(width * factor))
        both = torch.stack([self.grey, self.valid.float()])[None]
        grey, valid = F.interpolate(both, size=size, mode="area")[0]
        return Picture(self.view, grey, valid > 0.999)


def pixel_centers(picture: Tensor) -> tuple[Tensor, Tensor]:
    """x and y (H, W) of the centres of the pixels of a picture (H, W), corner origin."""
    height, width = picture.shape
    rows = torch.arange(height, device=picture.device) + 0.5
    columns = torch.arange(width, device=picture.device) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return x, y


def calibration(picture: Picture) -> Float64s:
    """K (3, 3) of a picture at its present size."""
    height, width = picture.grey.shape
    camera = picture.view.camera
    scale = np.diag([width / camera.width, height / camera.height, 1.0])
    return np.asarray(scale @ camera.calibration_matrix)


@dataclass(frozen=True, eq=False)
class Transfer:
    """From a reference picture to a source picture: the pixel p = (x, y, 1) with inverse depth w
    comes to ``matrix @ p + w * shift``, whose third coordinate is source depth times w."""

    matrix: Float64s
    shift: Float64s

    @staticmethod
    def between(reference: Picture, source: Picture) -> Transfer:
        """The transfer at the pictures' present sizes."""
        reference_from_world = reference.view.cam_from_world
        pose = source.view.cam_from_world.compose(reference_from_world.inverse())
        k_source = calibration(source)
        matrix = k_source @ pose.rotation @ np.linalg.inv(calibration(reference))
        return Transfer(matrix, k_source @ pose.translation)

    def apply(self, x: Tensor, y: Tensor, inverse_depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y in the source's pixels, and source depth times inverse depth, of pixels (H, W) with
        inverse depths (..., H, W). Where the last one is not positive, the pixels mean nothing."""
        m, t = self.matrix.tolist(), self.shift.tolist()
        u, v, w = (
            torch.add(m[k][0] * x + m[k][1] * y + m[k][2], inverse_depth, alpha=t[k])
            for k in range(3)
        )
        scale = w.clamp_min(1e-6).reciprocal_()
        return u.mul_(scale), v.mul_(scale), w

    def disparity_px(self, x: float, y: float, inverse_depth: float) -> float:
        """Pixels that a pixel moves in the source for a unit of inverse depth."""
        q = self.matrix @ (x, y, 1.0) + inverse_depth * self.shift
        moved = self.shift[:2] * q[2] - q[:2] * self.shift[2]
        return float(np.hypot(*moved)) / float(q[2] * q[2])


def sample(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A picture (H, W) at pixels (D, H', W'), bilinear; beyond its borders the nearest pixel."""
    height, width = picture.shape
    grid = torch.stack([x, y], dim=-1)
    grid[..., 0].mul_(2.0 / width).sub_(1.0)
    grid[..., 1].mul_(2.0 / height).sub_(1.0)
    found = F.grid_sample(
        picture[None, None],
        grid.reshape(1, -1, grid.shape[-2], 2),
        padding_mode="border",
        align_corners=False,
    )
    return found.view(x.shape)


class Sweep:
    """A reference picture and its sources at one size."""

    def __init__(self, reference: Picture, sources: Sequence[Picture]) -> None:
        # What all windows have in common would cost their variances digits.
        level = float(reference.grey.mean())
        self._reference = replace(reference, grey=reference.grey - level)
        self._sources = [replace(source, grey=source.grey - level) for source in sources]
        self._whole = [bool(source.valid.all()) for source in sources]
        self._transfers = [Transfer.between(reference, source) for source in sources]
        self._x, self._y = pixel_centers(reference.grey)

    @property
    def grey(self) -> Tensor:
        """The reference picture (H, W), but for a constant."""
        return self._reference.grey

    def step(self, inverse_depth: float, pixels: float) -> float:
        """Difference of inverse depth that moves the middle of the reference picture by so many
        pixels in the source that shows the median of such moves."""
        height, width = self._reference.grey.shape
        moves = [t.disparity_px(width / 2, height / 2, inverse_depth) for t in self._transfers]
        return pixels / max(float(np.median(moves)), 1e-9)

    def best_costs(self, inverse_depth: Tensor, radius: int, best: int) -> Tensor:
        """Costs (D, H, W) of inverse depths (D, H, W), where nothing is known yet: the mean of the
        `best` sources' that agree most, each between 0 and 2; UNSEEN where no source shows the
        place. radius: of the square windows, in pixels."""
        window = _Window.of(self.grey, radius)
        found = []
        for part in _parts(inverse_depth, len(self._sources)):
            costs = torch.stack(
                [self._source_costs(n, part, window) for n in range(len(self._sources))]
            )
            if best < len(self._sources):
                costs = costs.topk(best, dim=0, largest=False, sorted=False)[0]
            # The mean of those that show something: what few see is not smoothed the more for that.
            shown = costs < _NOT_HERE
            found.append(_mean(torch.where(shown, costs, 0.0).sum(dim=0), shown.sum(dim=0)))
        return torch.cat(found)

    def sights(self, surface: Tensor, radius: int) -> Tensor:
        """How much each source seems to show of a surface (H, W): weights (S, H, W) by what its
        costs there are around every pixel. After the likelihood of Schönberger et al. (ECCV 2016,
        4.1) that a source sees a pixel; what one photograph hides does not count against it."""
        window = _Window.of(self.grey, radius)
        weights = []
        for n in range(len(self._sources)):
            costs = self._source_costs(n, surface[None], window)
            shown = costs < _NOT_HERE
            around = box(torch.where(shown, costs, 0.0), _SIGHT_RADIUS_PX)
            around /= box(shown.float(), _SIGHT_RADIUS_PX).clamp_min_(1e-6)
            weights.append(torch.exp(-0.5 * (around / _SIGHT_COST) ** 2) * shown)
        return torch.cat(weights)

    def costs(self, inverse_depth: Tensor, radius: int, sights: Tensor) -> Tensor:
        """Costs (D, H, W) as those of `best_costs`: the mean of all sources' with weights (S, H, W)
        that are the same for all inverse depths of a pixel."""
        window = _Window.of(self.grey, radius)
        found = []
        for part in _parts(inverse_depth, 1):
            total, weight = torch.zeros_like(part), torch.zeros_like(part)
            for n, sight in enumerate(sights):
                costs = self._source_costs(n, part, window)
                shown = (costs < _NOT_HERE) * sight
                total += shown * costs
                weight += shown
            found.append(_mean(total, weight))
        return torch.cat(found)

    def _source_costs(self, n: int, inverse_depth: Tensor, window: _Window) -> Tensor:
        """Costs (D, H, W) of source n alone; _NOT_HERE where it shows nothing."""
        source, radius = self._sources[n], window.radius
        height, width = source.grey.shape
        x, y, w = self._transfers[n].apply(self._x, self._y, inverse_depth)
        grey = sample(source.grey, x, y)
        source_mean = box(grey, radius)
        source_variance = (box(grey * grey, radius) - source_mean * source_mean).clamp_min_(0.0)
        covariance = box(grey * self.grey, radius) - source_mean * window.mean
        scale = torch.rsqrt((window.variance + _ROUNDING) * (source_variance + _ROUNDING))
        cost = 1.0 - covariance * scale
        seen = (w > 1e-6) & (x > 0) & (x < width) & (y > 0) & (y < height)
        if not self._whole[n]:
            seen &= sample(source.valid.float(), x, y) > 0.5
        return torch.where(seen, cost, _NOT_HERE)


@dataclass(frozen=True, eq=False)
class _Window:
    """Mean and variance (1, H, W) of a picture in square windows around every pixel."""

    radius: int
    mean: Tensor
    variance: Tensor

    @staticmethod
    def of(picture: Tensor, radius: int) -> _Window:
        mean = box(picture[None], radius)
        return _Window(
            radius, mean, (box(picture[None] ** 2, radius) - mean * mean).clamp_min_(0.0)
        )


def _parts(inverse_depth: Tensor, sources: int) -> tuple[Tensor, ...]:
    """Inverse depths (D, H, W) in parts of _MOST_VALUES costs, of so many sources at a time."""
    at_once = max(1, _MOST_VALUES // (sources * inverse_depth[0].numel()))
    return torch.split(inverse_depth, at_once)


def _mean(total: Tensor, weight: Tensor) -> Tensor:
    """A mean from sums; UNSEEN where nothing has weight."""
    return torch.where(weight > _LEAST_WEIGHT, total / weight.clamp_min(_LEAST_WEIGHT), UNSEEN)


def box(values: Tensor, radius: int) -> Tensor:
    """Means over square windows of (D, H, W); beyond the borders nothing counts."""
    height, width = values.shape[-2:]
    # Sums of shifted pictures take a sixth of the time that avg_pool2d takes on a CPU.
    padded = F.pad(values, (radius, radius, radius, radius))
    rows = padded[:, :height] + padded[:, 1 : height + 1]
    for k in range(2, 2 * radius + 1):
        rows += padded[:, k : height + k]
    sums = rows[..., :width] + rows[..., 1 : width + 1]
    for k in range(2, 2 * radius + 1):
        sums += rows[..., k : width + k]
    return sums.div_(_counts(height, radius, values)[:, None] * _counts(width, radius, values))


def _counts(length: int, radius: int, like: Tensor) -> Tensor:
    """(length,) how many pixels of a line lie within a radius of each."""
    place = torch.arange(length, device=like.device)
    last = (place + radius).clamp_max(length - 1)
    return (last - (place - radius).clamp_min(0) + 1).to(like.dtype)
