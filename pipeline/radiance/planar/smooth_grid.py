"""Planar alignment by a grid of pixels that is smoothed from coarse to fine.

The idea of BARF without a network: what is aligned first is what is left of the image when its
detail is taken away. The grid is the mean of the patches laid on the plane, each where its warp
puts it: no other grid fits them better. Every patch in turn moves by a Gauss-Newton step to where
it fits the mean of the others (Baker and Matthews, "Lucas-Kanade 20 years on", IJCV 2004, section
3.1). At the end the grid takes back what laying the patches on it has blurred (Irani and Peleg,
"Improving resolution by image registration", CVGIP 1991).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.planar_config import PlanarConfig
from pipeline.radiance.planar.homographies import (
    DIMENSIONS,
    homographies,
    warped,
    warped_with_jacobian,
)
from pipeline.radiance.planar.patches import Patches

MOST_STEPS = 120
_COARSEST = 1 / 6  # blur at the start, in sides of a patch
_FINEST_PX = 0.5  # last blur but none
_STAIRS = 16  # blurs: a patch is blurred once for several steps
_SHARP_FROM = 0.7  # share of the steps after which nothing is blurred
_MARGIN = 0.1  # of its half size, that the grid goes on beyond the image
_CELLS_PER_BLUR = 2.5  # cells of the grid in a standard deviation
_RIM = 3.0  # cells over which a patch fades out
_DAMPING = 1e-4
# How far from the identity a warp may well be, in each parameter. The less the pixels tell, being
# blurred or far from a fit, the more this holds it.
_EXPECTED = (0.5, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
_LEAST_NOISE = 1 / 255**2 / 12  # variance of colours that were rounded to 8 bits
_LEAST_OVERLAP = 0.05  # of a patch; with less, it stays where it is
_LEAST_WEIGHT = 1e-2


@dataclass(frozen=True, eq=False)
class _Level:
    """Patches and plane at one blur.

    colours: (N, 3, S, S), blurred. points: (S * S, 2), their pixels under the identity. cells: (H *
    W, 2), the cells of the grid on the plane. reach: (2,), the corner of the grid. step: the
    longest that a patch may move at a time, in units of the plane.
    """

    colours: Tensor
    points: Tensor
    cells: Tensor
    shape: tuple[int, int]
    reach: Tensor
    cell: Tensor
    longest_step: float
    pixels_alike: float


class GridAlignment:
    """An `Alignment` by a smoothed grid."""

    def __init__(self, patches: Patches, steps: int) -> None:
        """steps: of the networks beside it."""
        self.steps = min(steps, MOST_STEPS)
        self.done = 0
        self.warps = torch.zeros(patches.count, DIMENSIONS, device=patches.points.device)
        self._patches = patches
        self._blur_px = math.nan
        self._take_level()
        self._grid = _mean(self._all_laid().sum(0))

    @property
    def blur_px(self) -> float:
        """Standard deviation of the smoothing in this step; zero at the end."""
        share = self.done / self.steps / _SHARP_FROM
        if share >= 1:
            return 0.0
        coarsest_px = max(_COARSEST * self._patches.side_px, _FINEST_PX)
        stair = math.floor(share * _STAIRS) / (_STAIRS - 1)
        return float(coarsest_px * (_FINEST_PX / coarsest_px) ** stair)

    def change(self, config: PlanarConfig) -> None:
        """Nothing that is live concerns the grid."""

    def step(self) -> None:
        """Move every patch but the first; then the grid follows."""
        was_sharp = self._blur_px == 0
        self._take_level()
        laid = self._all_laid()
        for i in range(1, self._patches.count):
            others = laid.sum(0) - laid[i]
            self.warps[i] = _moved(self.warps[i], self._level.colours[i], others, self._level)
            laid[i] = _laid(self._level.colours[i], self.warps[i], self._patches, self._level)
        if was_sharp:
            self._sharpen()
        else:
            self._grid = _mean(laid.sum(0))
        self.done += 1

    def colours(self, points: Tensor) -> Tensor:
        """The grid between its cells; grey where no patch lies."""
        return _sampled(self._grid, points / self._level.reach).T

    def arrays(self) -> dict[str, np.ndarray]:
        """Warps and grid."""
        return {"warps": self.warps.cpu().numpy().copy(), "grid": self._grid.cpu().numpy().copy()}

    def restore(self, arrays: dict[str, np.ndarray], done: int) -> None:
        """Inverse of `arrays`."""
        device = self.warps.device
        self.warps = torch.tensor(arrays["warps"], device=device)
        self._grid = torch.tensor(arrays["grid"], device=device)
        self.done = max(done - 1, 0)
        self._take_level()  # the grid has the shape and the blur of the last step
        self.done = done

    def _take_level(self) -> None:
        blur_px = self.blur_px
        if blur_px != self._blur_px:
            self._level, self._blur_px = _make_level(self._patches, blur_px), blur_px

    def _all_laid(self) -> Tensor:
        """(N, 4, H, W), see `_laid`."""
        return torch.stack(
            [
                _laid(colours, warp, self._patches, self._level)
                for colours, warp in zip(self._level.colours, self.warps, strict=True)
            ]
        )

    def _sharpen(self) -> None:
        """Lay on the grid what it lacks where the patches are."""
        lacking = torch.zeros(4, *self._level.shape, device=self.warps.device)
        for colours, warp in zip(self._level.colours, self.warps, strict=True):
            places = warped(homographies(warp), self._level.points)
            missing = colours - _sampled(self._grid, places / self._level.reach).view_as(colours)
            lacking += _laid(missing, warp, self._patches, self._level)
        self._grid = self._grid + lacking[:3] / lacking[3:].clamp_min(_LEAST_WEIGHT)


def _make_level(patches: Patches, blur_px: float) -> _Level:
    cell_px = max(1.0, blur_px / _CELLS_PER_BLUR)
    side = math.ceil(patches.side_px / cell_px)
    device = patches.points.device
    colours = _blurred(patches.colours.permute(0, 3, 1, 2), blur_px)
    centres = (torch.arange(side, device=device) + 0.5) / side * 2 - 1
    lattice = torch.cartesian_prod(centres, centres).flip(-1)
    if side != patches.side_px:
        at = lattice.view(1, side, side, 2).expand(patches.count, -1, -1, -1)
        colours = functional.grid_sample(
            colours, at, mode="bilinear", padding_mode="border", align_corners=False
        )
    reach = patches.half_size * (1 + _MARGIN)
    width, height = (math.ceil(2 * r * patches.unit_px / cell_px) for r in reach.tolist())
    x = (torch.arange(width, device=device) + 0.5) / width * 2 - 1
    y = (torch.arange(height, device=device) + 0.5) / height * 2 - 1
    return _Level(
        colours=colours,
        points=lattice * patches.half_side,
        cells=torch.cartesian_prod(y, x).flip(-1) * reach,
        shape=(height, width),
        reach=reach,
        cell=2 * reach / torch.tensor([width, height], device=device),
        longest_step=max(blur_px, cell_px) / patches.unit_px,
        pixels_alike=max(1.0, 4 * math.pi * (blur_px / cell_px) ** 2),
    )


def _blurred(images: Tensor, blur_px: float) -> Tensor:
    """Images (N, 3, S, S) smoothed by a Gaussian; at the border, by what of it lies inside."""
    if blur_px == 0:
        return images.contiguous()
    radius = min(math.ceil(3 * blur_px), images.shape[-1] - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * blur_px**2)).to(images.dtype)
    planes = images.reshape(-1, 1, *images.shape[2:])
    both = torch.cat([planes, torch.ones_like(planes[:1])])
    both = functional.conv2d(both, kernel[None, None, None, :], padding=(0, radius))
    both = functional.conv2d(both, kernel[None, None, :, None], padding=(radius, 0))
    return (both[:-1] / both[-1:]).view_as(images).contiguous()


def _laid(values: Tensor, warp: Tensor, patches: Patches, level: _Level) -> Tensor:
    """A patch on the grid, (4, H, W): its values (3, S, S) times its weight there, and the weight,
    which is one inside and fades to zero at its border."""
    matrix = homographies(-warp)
    in_front = level.cells @ matrix[2, :2] + matrix[2, 2] > 0
    places = warped(matrix, level.cells) / patches.half_side
    inside = (1 - places.abs()) * (values.shape[-1] / 2 / _RIM)
    weight = inside.clamp(0, 1).prod(-1) * in_front
    # Far outside the numbers may be any; there the weight is zero.
    colours = _sampled(values, places.nan_to_num(2.0, 2.0, -2.0).clamp(-2, 2))
    return torch.cat([colours * weight, weight[None]]).view(4, *level.shape)


def _mean(laid: Tensor) -> Tensor:
    """The colours (3, H, W) of a sum of laid patches; grey where there are none."""
    empty = laid[3:] < _LEAST_WEIGHT
    return torch.where(empty, 0.5, laid[:3] / torch.where(empty, 1.0, laid[3:]))


def _moved(warp: Tensor, colours: Tensor, others: Tensor, level: _Level) -> Tensor:
    """The warp of a patch after a step to where it fits the mean of the other patches.

    colours: (3, S, S). others: (4, H, W), the others laid on the grid.
    """
    mean = _mean(others)
    slope_x = functional.pad(mean[:, :, 2:] - mean[:, :, :-2], (1, 1)) / (2 * level.cell[0])
    slope_y = functional.pad(mean[:, 2:] - mean[:, :-2], (0, 0, 1, 1)) / (2 * level.cell[1])
    empty = functional.max_pool2d((others[3:] < _LEAST_WEIGHT).to(mean), 3, 1, 1)
    places, jacobian = warped_with_jacobian(warp, level.points)
    spots = places / level.reach
    seen = _sampled(torch.cat([mean, slope_x, slope_y, empty]), spots)
    use = (seen[9] < 1e-3) & (spots.abs() < 1).all(-1)
    if use.sum() < _LEAST_OVERLAP * len(use):
        return warp
    seen, jacobian = seen[:, use].double(), jacobian[use].double()
    residuals = seen[:3] - colours.flatten(1)[:, use]
    slopes = seen[3:6, :, None] * jacobian[:, 0] + seen[6:9, :, None] * jacobian[:, 1]
    normal = torch.einsum("cpd,cpe->de", slopes, slopes)
    gradient = torch.einsum("cpd,cp->d", slopes, residuals)
    # Pixels nearer to each other than the blur say the same; so many of them count as one.
    doubt = (residuals.square().mean() + _LEAST_NOISE) * level.pixels_alike
    prior = doubt / torch.tensor(_EXPECTED, dtype=normal.dtype, device=normal.device).square()
    damped = normal + torch.diag(_DAMPING * normal.diagonal() + prior)
    move: Tensor = -torch.linalg.solve(damped, gradient + prior * warp)
    longest = (jacobian @ move).norm(dim=-1).max()
    allowed = (level.longest_step / longest).clamp(max=1)
    return torch.add(warp, (move * allowed).to(warp))


def _sampled(image: Tensor, spots: Tensor) -> Tensor:
    """Values (C, P) of an image (C, H, W) at spots (P, 2), its borders at -1 and 1."""
    found = functional.grid_sample(
        image[None], spots[None, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0, :, 0]
