"""What a radiance field is: density and colour at points, with levels of detail that open."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Field(nn.Module):
    """Base of the fields.

    bands: levels of detail; `alpha` runs from 0 (the coarsest) to `bands` (all of them).
    """

    bands: int

    def forward(self, points: Tensor, directions: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Density and colour.

        points: (N, 3) in the field's frame. directions: (N, 3) unit viewing directions. Result:
        densities (N,) >= 0 per unit of length, colours (N, 3) in [0, 1]; differentiable with
        respect to points and directions too.
        """
        raise NotImplementedError

    def parameter_groups(self) -> Sequence[tuple[Sequence[nn.Parameter], float]]:
        """All parameters, in groups with the factor of the field's learning rate that each learns
        at."""
        return [(list(self.parameters()), 1.0)]

    def blur_at(self, alpha: float) -> float:
        """Size of the finest detail at alpha, in units of the space of the points, as a standard
        deviation; photographs are smoothed to match it. 0: they are taken as they are."""
        return 0.0

    def sample_share(self, alpha: float) -> float:
        """Share of a ray's samples that is worth taking at alpha."""
        return 1.0

    def recent_density(self, points: Tensor) -> Tensor:
        """About the density (N,) at points (N, 3), cheaply, as it was at the last `refresh`; a
        field that does not keep it tells 0 of all."""
        return points.new_zeros(len(points))

    def refresh(self, alpha: float) -> None:
        """Renew what was derived from the parameters; training calls it now and then."""

    def resist_roughness(self, weight: float, turn: int) -> None:
        """Add the gradient of `weight` times the field's roughness to that of the parameters.

        What few photographs see is not decided by them. turn: counts the calls; a field may treat
        another part of itself in each. A field that has no measure of it adds nothing.
        """
