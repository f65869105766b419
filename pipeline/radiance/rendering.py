"""Volume rendering along rays: where to sample them, and how the samples make a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Rays(NamedTuple):
    """Rays of pixels, in the field's frame.

    origins: (N, 3). directions: (N, 3) not normalised: their component along the camera's axis is
    1, so depths along them are depths in the camera.
    """

    origins: Tensor
    directions: Tensor


@dataclass(frozen=True)
class DepthRange:
    """The depths between which rays are sampled; inverse: evenly in 1 / depth, where `far` may be
    infinite."""

    near: float
    far: float
    inverse: bool = False

    def at(self, shares: Tensor) -> Tensor:
        """Depths of shares in [0, 1] of the way from near to far."""
        if not self.inverse:
            return self.near + (self.far - self.near) * shares
        nearness = (1.0 / self.near) * (1.0 - shares) + (1.0 / self.far) * shares
        return 1.0 / nearness.clamp(min=1e-8)

    def share_of(self, depths: Tensor) -> Tensor:
        """Inverse of :meth:`at`."""
        if not self.inverse:
            return (depths - self.near) / (self.far - self.near)
        return (1.0 / self.near - 1.0 / depths) / (1.0 / self.near - 1.0 / self.far)


class Rendered(NamedTuple):
    """What rays see: rgb (N, 3); depth (N,), the mean of the samples' depths by weight; opacity
    (N,); weights (N, S) of the samples, and their depths (N, S)."""

    rgb: Tensor
    depth: Tensor
    opacity: Tensor
    weights: Tensor
    depths: Tensor


def stratified_shares(
    rays: int, samples: int, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Shares (rays, samples) of a depth range, ascending: one in each of `samples` even intervals.

    Source: Mildenhall et al., "NeRF", ECCV 2020, equation 2. generator: on `device`; None: the
    middles of the intervals.
    """
    if generator is None:
        offsets = torch.full((rays, samples), 0.5, device=device)
    else:
        offsets = torch.rand((rays, samples), generator=generator, device=device)
    return (torch.arange(samples, device=device) + offsets) / samples


def composite(
    density: Tensor,
    rgb: Tensor,
    depths: Tensor,
    lengths: Tensor,
    background: Tensor | None,
    ends: Tensor | None = None,
) -> Rendered:
    """Quadrature of the volume rendering integral (NeRF, equation 3).

    density: (N, S). rgb: (N, S, 3). depths: (N, S) ascending. lengths: (N,) of the rays'
    directions. background: (3,) or (N, 3) colour behind everything; None: black. ends: (N,)
    depths where the last samples' intervals end; None: they have no end.
    """
    weights = sample_weights(density, depths, lengths, ends)
    opacity = weights.sum(-1)
    seen = (weights[..., None] * rgb).sum(-2)
    if background is not None:
        seen = seen + (1.0 - opacity)[:, None] * background
    return Rendered(seen, (weights * depths).sum(-1), opacity, weights, depths)


def sample_weights(
    density: Tensor, depths: Tensor, lengths: Tensor, ends: Tensor | None = None
) -> Tensor:
    """What each sample contributes to its ray, (N, S); the arguments are those of `composite`."""
    steps = depths.diff(dim=-1)
    last = torch.full_like(depths[:, :1], 1e10) if ends is None else ends[:, None] - depths[:, -1:]
    optical = density * torch.cat([steps, last], dim=-1) * lengths[:, None]
    through = torch.cat([torch.zeros_like(last), optical[:, :-1]], dim=-1).cumsum(-1)
    return torch.exp(-through) * -torch.expm1(-optical)
