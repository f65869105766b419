"""How far surroundings fit into a box."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.radiance.rendering import DepthRange, Rays


class Contraction(nn.Module):
    """Leaves a box as it is and draws all that lies outside into a shell around it: infinity comes
    to lie on a box of twice the size.

    Source: Barron et al., "Mip-NeRF 360", CVPR 2022, equation 10, with the largest coordinate in
    the place of the length, so that a box, not a ball, stays as it is.
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
        return torch.stack([self.center - 2 * self.half_size, self.center + 2 * self.half_size])

    def forward(self, points: Tensor) -> Tensor:
        """Contracted points, (N, 3) to (N, 3)."""
        offsets = points - self.center
        farness = (offsets / self.half_size).abs().amax(-1, keepdim=True).clamp(min=1.0)
        return self.center + offsets * ((2.0 - 1.0 / farness) / farness)

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
