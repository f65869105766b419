"""How far surroundings fit into a box."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.radiance.rendering import DepthRange, Rays

_SHELL = 0.5  # its thickness, in half sides of the box: most of a grid's nodes lie in the box


class Contraction(nn.Module):
    """Leaves a box as it is and draws all that lies outside into a shell around it: infinity comes
    to lie on a box of one and a half times the size.

    Source: Barron et al., "Mip-NeRF 360", CVPR 2022, equation 10, with the largest coordinate in
    the place of the length, so that a box, not a ball, stays as it is; and with a thinner shell,
    which nearness enters with the power that leaves the slope continuous at the box.
    """

    center: Tensor
    half_size: Tensor

    def __init__(self, box: Tensor) -> None:
        """box: (2, 3) least and greatest corner."""
        super().__init__()
        self.register_buffer("center", (box[0] + box[1]) / 2, persistent=False)
        self.register_buffer("half_size", (box[1] - box[0]) / 2, persistent=False)

    @property
    def reach(self) -> Tensor:
        """(2, 3) corners of the box that all contracted points lie in."""
        reach = (1.0 + _SHELL) * self.half_size
        return torch.stack([self.center - reach, self.center + reach])

    def forward(self, points: Tensor) -> Tensor:
        """Contracted points, (N, 3) to (N, 3)."""
        offsets = points - self.center
        farness = (offsets / self.half_size).abs().amax(-1, keepdim=True).clamp(min=1.0)
        drawn = 1.0 + _SHELL * (1.0 - farness ** (-1.0 / _SHELL))
        return self.center + offsets * (drawn / farness)

    def crossings(self, rays: Rays, within: DepthRange) -> tuple[Tensor, Tensor]:
        """Depths (N,), within a range, where rays enter and leave the box itself; those that miss
        it get an interval of no length."""
        slopes = rays.directions
        slopes = torch.where(slopes.abs() < 1e-9, torch.full_like(slopes, 1e-9), slopes)
        one = (self.center - self.half_size - rays.origins) / slopes
        other = (self.center + self.half_size - rays.origins) / slopes
        enters = torch.minimum(one, other).amax(-1).clamp(within.near, within.far)
        leaves = torch.maximum(one, other).amin(-1).clamp(within.near, within.far)
        return enters, torch.maximum(enters, leaves)

    def inside(self, points: Tensor) -> Tensor:
        """Which points (N, 3) lie in the box itself; (N,) bool."""
        return ((points - self.center).abs() <= self.half_size).all(-1)
