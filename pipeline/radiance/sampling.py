"""Where to look again along rays: more samples where a first pass found something."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_EVERYWHERE = 0.005  # least weight of a sample: what has become dense since is found, too


def importance_shares(
    shares: Tensor, weights: Tensor, count: int, generator: torch.Generator | None
) -> Tensor:
    """Shares of the depth range, drawn where the samples of a first pass weigh most.

    Source: Mildenhall et al., "NeRF", ECCV 2020, section 5.2. Every sample stands for the interval
    that reaches half-way to its neighbours; within it all depths are equally likely. shares: (N, S)
    ascending, of the first pass. weights: (N, S) of its samples. generator: on their device; None:
    evenly through the distribution. Result: (N, count), ascending, without a gradient.
    """
    weights = weights.detach() + 1e-5  # a ray that saw nothing is sampled evenly
    middles = (shares[:, 1:] + shares[:, :-1]) / 2
    first, last = torch.zeros_like(shares[:, :1]), torch.ones_like(shares[:, :1])
    edges = torch.cat([first, middles, last], dim=-1)
    reached = torch.cat([first, weights.cumsum(-1)], dim=-1)
    reached = reached / reached[:, -1:]
    device = shares.device
    if generator is None:
        offsets = torch.full((len(shares), count), 0.5, device=device)
    else:
        offsets = torch.rand((len(shares), count), generator=generator, device=device)
    wanted = (torch.arange(count, device=device) + offsets) / count
    above = torch.searchsorted(reached, wanted, right=True).clamp(1, reached.shape[1] - 1)
    low, high = reached.gather(1, above - 1), reached.gather(1, above)
    part = ((wanted - low) / (high - low).clamp(min=1e-12)).clamp(0.0, 1.0)
    start, end = edges.gather(1, above - 1), edges.gather(1, above)
    return start + part * (end - start)


def widened(weights: Tensor) -> Tensor:
    """Weights (N, S) of samples for a later, denser pass: those of their neighbours if greater, and
    never nothing, since what was found between few samples may lie a little beside them.

    Source: the blurring of weights in Barron et al., "Mip-NeRF", ICCV 2021, section 3.1.
    """
    greatest = F.max_pool1d(weights[:, None], 3, 1, 1)[:, 0]
    return greatest + _EVERYWHERE
