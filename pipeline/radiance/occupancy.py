"""Where a field is empty, so that rendering can pass over it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEAST_OPACITY = 0.01  # a cell that hides less along its longest side counts as empty


class Occupancy(nn.Module):
    """The cells of a grid over [-1, 1]^3 that may hold something.

    It is part of the state: a field that was saved and loaded passes over the same places.
    """

    occupied: Tensor  # (z, y, x) bool; before the first update: everything

    def __init__(self, nodes: Sequence[int]) -> None:
        """nodes: number of cells along x, y, z."""
        super().__init__()
        nx, ny, nz = nodes
        self.register_buffer("occupied", torch.ones(nz, ny, nx, dtype=torch.bool))

    @torch.no_grad()
    def update(self, density: Tensor) -> None:
        """density: (z, y, x) at nodes that lie on the sides, of any number, per half side.

        Neighbours of what is dense count as occupied too: the field may grow there.
        """
        grown = F.max_pool3d(density[None, None], 3, 1, 1)
        cells = F.interpolate(grown, size=self.occupied.shape, mode="trilinear", align_corners=True)
        length = 2.0 / max(self.occupied.shape)
        self.occupied.copy_(-torch.expm1(-cells[0, 0] * length) > _LEAST_OPACITY)

    def kept(self, places: Tensor) -> Tensor:
        """Indices of the places (N, 3) in [-1, 1]^3 that may hold something."""
        sizes = torch.tensor(self.occupied.shape[::-1], device=places.device)
        shares = places.detach().clamp(-1.0, 1.0) * 0.5 + 0.5
        x, y, z = (shares * (sizes - 1)).round().long().unbind(-1)
        return self.occupied[z, y, x].nonzero().squeeze(-1)
