"""The inverse depth of one photograph, from coarse to fine.

First planes through the whole range in a small picture, then at sizes up to the full one around
what was found: on the surface itself, and on those of the nearer and of the farther side of every
step in depth, so that edges come to where the photograph has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.depth.semi_global import aggregate_candidates, aggregate_planes
from pipeline.depth.sweep import Picture, Sweep

_MOST_PLANES = 256  # twice as many take 0.5 GB more, and real scenes want at most some 300
_COARSE_PX = 240  # longer side
_RADIUS_PX, _FINAL_RADIUS_PX = 2, 3
_PLANE_STEP_PX, _STEP_PX = 1.0, 0.7
_ROUNDS, _FINAL_ROUNDS = 2, 3  # each brings surfaces two pixels farther
_AROUND = (-2, -1, 0, 1, 2)  # steps from the surface
_BESIDE = (-1, 0, 1)  # steps from that of the nearer or the farther side
_AGREE = 2  # sources that have to, before it is known which of them show a place
_REACH_PX = 5  # window in which sides are looked for
_PENALTY, _MOST_STEPS = 0.4, 6.0  # of a step, in units of 1 - NCC, and how many may count
_SMOOTH_RADIUS_PX, _SMOOTH_STEPS = 3, 3.0  # steps: spread of what is smoothed together


def find_inverse_depth(
    reference: Picture, sources: Sequence[Picture], depths: tuple[float, float]
) -> Tensor:
    """Inverse depth (H, W) of every pixel, in units of the world.

    depths: nearest and farthest to look for.
    """
    coarsest, *factors = _factors(max(reference.grey.shape))
    found = _sweep_range(_sweep(reference, sources, coarsest), depths)
    middle = 0.5 * (1.0 / depths[0] + 1.0 / depths[1])
    for factor in factors:
        sweep = _sweep(reference, sources, factor)
        step = sweep.step(middle, _STEP_PX)
        size = sweep.grey.shape
        layers = F.interpolate(found[None, None], size=size, mode="nearest")[0, 0]
        found = F.interpolate(found[None, None], size=size, mode="bilinear", align_corners=False)[
            0, 0
        ]
        for _ in range(_FINAL_ROUNDS if factor == 1.0 else _ROUNDS):
            found = layers = _improved(sweep, found, layers, step)
    return smoothed(_between_steps(sweep, found, step), _SMOOTH_STEPS * step)


def _factors(size_px: int) -> list[float]:
    """Sizes to work at, as shares of the full one: the coarsest first, none more than twice the one
    before, and at least two."""
    coarsest = min(0.5, _COARSE_PX / size_px)
    steps = math.ceil(math.log2(1.0 / coarsest) - 1e-9)
    return [coarsest ** (1.0 - n / steps) for n in range(steps)] + [1.0]


def _sweep(reference: Picture, sources: Sequence[Picture], factor: float) -> Sweep:
    return Sweep(reference.scaled(factor), [source.scaled(factor) for source in sources])


def _sweep_range(coarse: Sweep, depths: tuple[float, float]) -> Tensor:
    """Inverse depth (h, w) of the coarse picture, by planes that face the camera: a pixel apart, or
    more where the scene is so deep that they would be too many."""
    low, high = 1.0 / depths[1], 1.0 / depths[0]
    wanted = (high - low) / coarse.step(0.5 * (low + high), _PLANE_STEP_PX)
    count = min(_MOST_PLANES, max(3, math.ceil(wanted) + 1))
    levels = torch.linspace(low, high, count, device=coarse.grey.device)
    planes = levels[:, None, None].expand(-1, *coarse.grey.shape)
    costs = coarse.best_costs(planes, _RADIUS_PX, _AGREE)
    costs = aggregate_planes(costs, coarse.grey, _PENALTY, _MOST_STEPS * _PENALTY)
    index = costs.argmin(dim=0).clamp(1, count - 2)
    offset = _parabola(*(costs.gather(0, (index + k)[None])[0] for k in (-1, 0, 1)))
    return levels[index] + offset * (levels[1] - levels[0])


def _improved(fine: Sweep, surface: Tensor, layers: Tensor, step: float) -> Tensor:
    """The best of the candidates around a surface, pixel by pixel."""
    reach = (_REACH_PX, 1, _REACH_PX // 2)
    nearer = F.max_pool2d(layers[None], *reach)[0]
    farther = -F.max_pool2d(-layers[None], *reach)[0]
    candidates = torch.stack(
        [surface + k * step for k in _AROUND]
        + [side + k * step for side in (nearer, farther) for k in _BESIDE]
    ).clamp_min_(1e-9)
    costs = fine.costs(candidates, _RADIUS_PX, fine.sights(surface, _RADIUS_PX))
    costs = aggregate_candidates(costs, candidates / step, fine.grey, _PENALTY, _MOST_STEPS)
    return candidates.gather(0, costs.argmin(dim=0)[None])[0]


def _between_steps(fine: Sweep, surface: Tensor, step: float) -> Tensor:
    """A surface moved to the least cost between steps."""
    candidates = torch.stack([surface - step, surface, surface + step]).clamp_min_(1e-9)
    sights = fine.sights(surface, _RADIUS_PX)
    offset = _parabola(*fine.costs(candidates, _FINAL_RADIUS_PX, sights))
    return (surface + offset * step).clamp_min(1e-9)


def smoothed(surface: Tensor, spread: float) -> Tensor:
    """The mean of what lies around every pixel at about its inverse depth (Tomasi and Manduchi,
    ICCV 1998): a plane stays one, as inverse depth is linear on it, and so do steps in depth.
    spread: standard deviation of what is about the same."""
    radius, (height, width) = _SMOOTH_RADIUS_PX, surface.shape
    padded = F.pad(surface[None], (radius,) * 4, mode="replicate")[0]
    total, weight = torch.zeros_like(surface), torch.zeros_like(surface)
    for row in range(2 * radius + 1):
        for column in range(2 * radius + 1):
            other = padded[row : row + height, column : column + width]
            alike = torch.exp(-0.5 * ((other - surface) / spread) ** 2)
            total += alike * other
            weight += alike
    return total / weight


def _parabola(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """Where the parabola through three costs is least, in steps from the middle one, at most 1; 0
    where it has no least value."""
    bend = left - 2.0 * middle + right
    offset = 0.5 * (left - right) / bend.clamp_min(1e-6)
    return torch.where(bend > 1e-6, offset.clamp(-1.0, 1.0), torch.zeros_like(offset))
