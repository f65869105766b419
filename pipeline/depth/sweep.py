"""How well source photographs agree with a reference photograph on inverse depths.

Inverse depth is linear in the pixels of a plane: a map of it is a surface, and every pixel's window
lies on that surface rather than on a plane that faces the camera. Costs are 1 - NCC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.dense_products import DepthView
from pipeline.geometry.arrays import Float64s

UNSEEN = 1.2  # cost where no source shows anything: a little more than of two unlike windows
_NOT_HERE = 3.0  # stands for the cost of one source that shows nothing; NCC costs at most 2
_NOISE = 1e-4  # added to variances of grey values in [0, 1]: a spread of one per cent is no texture
_MOST_VALUES = 8_000_000  # that are worked on at a time


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
        u, v, w = ((m[k][0] * x + m[k][1] * y + m[k][2]) + t[k] * inverse_depth for k in range(3))
        scale = 1.0 / w.clamp_min(1e-6)
        return u * scale, v * scale, w

    def disparity_px(self, x: float, y: float, inverse_depth: float) -> float:
        """Pixels that a pixel moves in the source for a unit of inverse depth."""
        q = self.matrix @ (x, y, 1.0) + inverse_depth * self.shift
        moved = self.shift[:2] * q[2] - q[:2] * self.shift[2]
        return float(np.hypot(*moved)) / float(q[2] * q[2])


def sample(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A picture (H, W) at pixels (D, H', W'), bilinear; beyond its borders the nearest pixel."""
    height, width = picture.shape
    grid = torch.stack([x * (2.0 / width) - 1.0, y * (2.0 / height) - 1.0], dim=-1)
    found = F.grid_sample(
        picture[None, None],
        grid.reshape(1, -1, grid.shape[-2], 2),
        padding_mode="border",
        align_corners=False,
    )
    return found.view(x.shape)


class Sweep:
    """A reference picture and its sources at one size."""

    def __init__(self, reference: Picture, sources: Sequence[Picture], best: int) -> None:
        """best: that many of the sources that agree best are what counts for a pixel: some do not
        see it."""
        self._reference = reference
        self._sources = sources
        self._best = min(best, len(sources))
        self._transfers = [Transfer.between(reference, source) for source in sources]
        self._x, self._y = pixel_centers(reference.grey)

    @property
    def grey(self) -> Tensor:
        """The reference picture (H, W)."""
        return self._reference.grey

    def step(self, inverse_depth: float, pixels: float) -> float:
        """Difference of inverse depth that moves the middle of the reference picture by so many
        pixels in the source that shows the median of such moves."""
        height, width = self._reference.grey.shape
        moves = [t.disparity_px(width / 2, height / 2, inverse_depth) for t in self._transfers]
        return pixels / max(float(np.median(moves)), 1e-9)

    def costs(self, inverse_depth: Tensor, radius: int) -> Tensor:
        """Costs (D, H, W) of inverse depths (D, H, W): the mean of the best sources', each between
        0 and 2; UNSEEN where no source shows the place. radius: of the square windows, in pixels.
        """
        reference = self._reference.grey
        mean = _box(reference[None], radius)
        variance = (_box(reference[None] ** 2, radius) - mean * mean).clamp_min_(0.0)
        at_once = max(1, _MOST_VALUES // (len(self._sources) * reference.numel()))
        found = []
        for part in torch.split(inverse_depth, at_once):
            costs = torch.stack(
                [
                    self._source_costs(n, part, radius, mean, variance)
                    for n in range(len(self._sources))
                ]
            )
            if self._best < len(self._sources):
                costs = costs.topk(self._best, dim=0, largest=False, sorted=False)[0]
            # The mean of those that show something: what few see is not smoothed the more for that.
            shown = costs < _NOT_HERE
            total = torch.where(shown, costs, 0.0).sum(dim=0)
            count = shown.sum(dim=0)
            found.append(torch.where(count > 0, total / count.clamp_min(1), UNSEEN))
        return torch.cat(found)

    def _source_costs(
        self, n: int, inverse_depth: Tensor, radius: int, mean: Tensor, variance: Tensor
    ) -> Tensor:
        source, reference = self._sources[n], self._reference.grey
        height, width = source.grey.shape
        x, y, w = self._transfers[n].apply(self._x, self._y, inverse_depth)
        grey = sample(source.grey, x, y)
        source_mean = _box(grey, radius)
        source_variance = (_box(grey * grey, radius) - source_mean * source_mean).clamp_min_(0.0)
        covariance = _box(grey * reference, radius) - source_mean * mean
        scale = torch.rsqrt((variance + _NOISE) * (source_variance + _NOISE))
        cost = 1.0 - covariance * scale
        seen = (w > 1e-6) & (x > 0) & (x < width) & (y > 0) & (y < height)
        if not bool(source.valid.all()):
            seen &= sample(source.valid.float(), x, y) > 0.5
        return torch.where(seen, cost, _NOT_HERE)


def _box(values: Tensor, radius: int) -> Tensor:
    """Means over square windows of (D, H, W); beyond the borders nothing counts."""
    size = 2 * radius + 1
    rows = F.avg_pool2d(values[None], (size, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), 1, (0, radius), count_include_pad=False)[0]
