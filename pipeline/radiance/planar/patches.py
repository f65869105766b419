"""The patches that are to be aligned: cut from one image under random homographies.

Coordinates of the plane: origin in the middle of the image, x right, y down, the longer side from
-1 to 1. Pixel centres lie at half steps, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.planar_config import PlanarConfig
from pipeline.radiance.planar.homographies import DIMENSIONS, homographies, warped

_TRIALS = 1000
_CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Patches:
    """What the methods are given, and what they are judged by.

    colours: (N, S, S, 3) in [0, 1]. points: (S * S, 2), where the pixels of a patch whose warp is
    the identity lie, row by row. true_warps: (N, 8) in sl(3), the first zero; no method may look at
    it. half_size: (2,), the corner of the image. unit_px: pixels of the image in a unit.
    """

    colours: Tensor
    points: Tensor
    true_warps: Tensor
    half_size: Tensor
    unit_px: float

    @property
    def count(self) -> int:
        """Number of patches."""
        return len(self.colours)

    @property
    def side_px(self) -> int:
        """Pixels along a side of a patch."""
        return self.colours.shape[1]

    @property
    def half_side(self) -> float:
        """Half of a patch's side, in units of the plane."""
        return self.side_px / 2 / self.unit_px


def cut_patches(image: UInt8s, config: PlanarConfig, device: torch.device) -> Patches:
    """Draw warps and cut the patches.

    Source: BARF, section 4.1, and its published settings. The patches lie in the middle of the
    image, moved by their true warps: the first not at all, each other one by `noise_t` towards
    another corner and by Gaussian noise of `noise_h` on all eight parameters. A warp that takes a
    corner of its patch out of the image is drawn anew. image: (H, W, 3), RGB. Raises PipelineError
    where the image is too small, or such a warp cannot be found.
    """
    height, width = image.shape[:2]
    if min(height, width) < config.patch_px:
        raise PipelineError(
            "Image too small",
            f"It has {width}x{height} pixels (after planar.size_px = {config.size_px}), and each "
            f"patch needs {config.patch_px}x{config.patch_px}.",
            "Take a larger image, or smaller patches: "
            f"--set planar.patch_px={_fitting_side(min(height, width))}.",
        )
    unit_px = max(height, width) / 2
    half_size = torch.tensor([width, height], dtype=torch.float32) / 2 / unit_px
    steps = (torch.arange(config.patch_px) + 0.5 - config.patch_px / 2) / unit_px
    points = torch.cartesian_prod(steps, steps).flip(-1)
    true_warps = _draw_warps(config, config.patch_px / 2 / unit_px, half_size)
    colours = torch.tensor(image, dtype=torch.float32) / 255
    places = warped(homographies(true_warps), points)
    sampled = F.grid_sample(
        colours.permute(2, 0, 1)[None],
        (places / half_size)[None],
        mode="bicubic",
        padding_mode="reflection",
        align_corners=False,
    )
    shape = (3, config.patches, config.patch_px, config.patch_px)
    patches = sampled[0].reshape(shape).permute(1, 2, 3, 0).clamp(0, 1).contiguous()
    return Patches(
        patches.to(device), points.to(device), true_warps.to(device), half_size.to(device), unit_px
    )


def corners_of(half_side: float) -> Tensor:
    """The corners of a patch in its place under the identity, (4, 2), in turn."""
    signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    return signs * half_side


def warp_error(warps: Tensor, true_warps: Tensor) -> float:
    """Mean distance in sl(3) of warps (N, 8) from the true ones, as BARF's table 1 has it.

    No alignment comes before it: the first patch, which counts with its error of zero, holds the
    frame. Its share makes the figure (N - 1) / N of the mean over the patches that moved.
    """
    return float((warps - true_warps).double().norm(dim=-1).mean())


def _draw_warps(config: PlanarConfig, half_side: float, half_size: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(config.seed)
    corners = corners_of(half_side)
    warps = torch.zeros(config.patches, DIMENSIONS)
    for i in range(1, config.patches):
        move = torch.tensor(_CORNERS[(i - 1) % len(_CORNERS)]) * config.noise_t
        for _ in range(_TRIALS):
            warp = torch.randn(DIMENSIONS, generator=generator) * config.noise_h
            warp[:2] += move
            # Beyond the horizon, where the third coordinate is not positive, nothing is seen.
            matrix = homographies(warp)
            in_front = (corners @ matrix[2, :2] + matrix[2, 2] > 0.1).all()
            if in_front and (warped(matrix, corners).abs() <= half_size).all():
                warps[i] = warp
                break
        else:
            raise PipelineError(
                "No place for the patches",
                f"Of {_TRIALS} random warps none kept patch {i + 1} inside the image: it has "
                f"planar.patch_px = {config.patch_px}, and the noise is planar.noise_h = "
                f"{config.noise_h:g}, planar.noise_t = {config.noise_t:g}.",
                "Lower one of the three, or take a larger image.",
            )
    return warps


def _fitting_side(shorter_px: int) -> int:
    """The published share of the shorter side, 180 of 360 pixels; at least what a patch needs."""
    return max(16, shorter_px // 2)
