"""Where a field is empty or dense, so that rendering can pass over it or look closer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEAST_OPACITY = 0.01  # a place that hides less counts as empty
_BOX = 2.0  # its longest side, in half sides


class Occupancy(nn.Module):
    """The cells of a grid over [-1, 1]^3 that may hold something, and how dense they were when they
    were last looked at.

    It is part of the state: a field that was saved and loaded passes over the same places.
    """

    occupied: Tensor  # (z, y, x) bool; before the first update: everything
    density: Tensor  # (z, y, x) per half side; before the first update: nothing

    def __init__(self, nodes: Sequence[int]) -> None:
        """nodes: number of cells along x, y, z."""
        super().__init__()
        nx, ny, nz = nodes
        self.register_buffer("occupied", torch.ones(nz, ny, nx, dtype=torch.bool))
        self.register_buffer("density", torch.zeros(nz, ny, nx))

    @torch.no_grad()
    def update(self, density: Tensor, foggy: bool) -> None:
        """density: (z, y, x) at nodes that lie on the sides, of any number, per half side. foggy:
        whether the field is still too smooth for surfaces. Then empty is what would hide hardly
        anything were all the box like it: rays pass a whole box full of thin fog, and without it
        what the first steps have found is lost. Later it is what hides hardly anything along a
        cell.

        Neighbours of what is dense count as occupied too: the field may grow there.
        """
        grown = F.max_pool3d(density[None, None], 3, 1, 1)
        length = _BOX if foggy else _BOX / max(self.occupied.shape)
        self.occupied.copy_(-torch.expm1(-self._resized(grown) * length) > _LEAST_OPACITY)
        # Not the greatest density of the neighbours: what a surface hides would begin before it.
        self.density.copy_(self._resized(density[None, None]))

    def kept(self, places: Tensor) -> Tensor:
        """Indices of the places (N, 3) in [-1, 1]^3 that may hold something."""
        sizes = torch.tensor(self.occupied.shape[::-1], device=places.device)
        shares = places.detach().clamp(-1.0, 1.0) * 0.5 + 0.5
        x, y, z = (shares * (sizes - 1)).round().long().unbind(-1)
        return self.occupied[z, y, x].nonzero().squeeze(-1)

    def density_at(self, places: Tensor) -> Tensor:
        """The density (N,) at places (N, 3) in [-1, 1]^3, as it was at the last update."""
        return sampled(self.density[None], places)[0]

    def layers(self) -> Iterator[Tensor]:
        """The places of all cells, (y x, 3), for one z after the other."""
        device = self.density.device
        z, y, x = (torch.linspace(-1.0, 1.0, n, device=device) for n in self.density.shape)
        for depth in z:
            rows, columns = torch.meshgrid(y, x, indexing="ij")
            yield torch.stack([columns, rows, depth.expand_as(rows)], dim=-1).flatten(0, 1)

    def _resized(self, density: Tensor) -> Tensor:
        size = self.occupied.shape
        return F.interpolate(density, size=size, mode="trilinear", align_corners=True)[0, 0]


def sampled(values: Tensor, places: Tensor) -> Tensor:
    """Values (C, z, y, x) at nodes that lie on the sides of [-1, 1]^3, interpolated at places
    (N, 3); (C, N). Outside they go on as at the sides.

    A CPU computes batches on different cores, but one batch on one: half of the channels makes one.
    """
    batches = 2 if len(values) % 2 == 0 else 1
    halves = values.view(batches, -1, *values.shape[1:])
    where = places[None, :, None, None].expand(batches, -1, -1, -1, -1)
    found = F.grid_sample(halves, where, padding_mode="border", align_corners=True)
    return found.flatten(0, 1).flatten(1)
