"""What every method of planar alignment can do, and the methods by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.geometry.arrays import UInt8s
from pipeline.planar_config import PlanarConfig, PlanarMethod
from pipeline.radiance.planar.homographies import homographies, warped
from pipeline.radiance.planar.network import NetworkAlignment
from pipeline.radiance.planar.patches import Patches, warp_error
from pipeline.radiance.planar.smooth_grid import GridAlignment

_CHUNK = 32768  # points that a network is asked for at a time


class Alignment(Protocol):
    """One method at work on the patches.

    warps: (N, 8) in sl(3), where it believes them to be. done: steps that it has made. steps: how
    many it makes in all. Between two steps `arrays` holds all that decides the next ones.
    """

    done: int

    @property
    def steps(self) -> int: ...

    @property
    def warps(self) -> Tensor: ...

    def change(self, config: PlanarConfig) -> None:
        """Go on with other live parameters."""
        ...

    def step(self) -> None:
        """Learn the image a little, and move the patches."""
        ...

    def colours(self, points: Tensor) -> Tensor:
        """The image as it is learned so far, (P, 3) at points (P, 2) of the plane."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """The state, for a checkpoint."""
        ...

    def restore(self, arrays: dict[str, np.ndarray], done: int) -> None:
        """Go on from `arrays` of an alignment of the same patches and configuration."""
        ...


def make_alignment(
    method: PlanarMethod, patches: Patches, config: PlanarConfig, steps: int
) -> Alignment:
    """An alignment at its start: all warps are the identity. steps: of a network."""
    if method == "smooth-grid":
        return GridAlignment(patches, steps)
    return NetworkAlignment(method, patches, config, steps)


@dataclass(frozen=True)
class Figures:
    """How well the patches are aligned, and how well the image is learned.

    warp_error: see `warp_error`. psnr: of all patches together, in dB.
    """

    warp_error: float
    psnr: float


def judge(alignment: Alignment, patches: Patches, most_pixels: int | None = None) -> Figures:
    """Compare an alignment with the truth.

    most_pixels: of each patch, as a sample for figures on the way: the same ones every time, drawn
    evenly over the whole of it, since what lies at its edge is learned worst; None: all.
    """
    chosen = _chosen(len(patches.points), most_pixels).to(patches.points.device)
    points = patches.points[chosen]
    truth = patches.colours.flatten(1, 2)[:, chosen]
    warps = alignment.warps
    places = warped(homographies(warps), points)
    squares = 0.0
    for i in range(patches.count):
        difference = _colours_at(alignment, places[i]) - truth[i]
        squares += float(difference.double().square().sum())
    error = squares / truth.numel()
    psnr = -10 * math.log10(max(error, 1e-12))
    return Figures(warp_error(warps, patches.true_warps), psnr)


def picture(alignment: Alignment, patches: Patches, width_px: int, height_px: int) -> UInt8s:
    """The learned image as (height, width, 3) pixels, over the whole of the true one."""
    x = (torch.arange(width_px) + 0.5) / width_px * 2 - 1
    y = (torch.arange(height_px) + 0.5) / height_px * 2 - 1
    points = torch.cartesian_prod(y, x).flip(-1).to(patches.half_size) * patches.half_size
    colours = _colours_at(alignment, points).clamp(0, 1) * 255
    pixels = colours.round().to(torch.uint8).cpu().numpy()
    return np.asarray(pixels.reshape(height_px, width_px, 3))


def _chosen(count: int, most: int | None) -> Tensor:
    """Numbers, in ascending order, of at most so many of `count` pixels."""
    if most is None or most >= count:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=generator)[:most].sort().values


@torch.no_grad()
def _colours_at(alignment: Alignment, points: Tensor) -> Tensor:
    return torch.cat([alignment.colours(part) for part in torch.split(points, _CHUNK)])
