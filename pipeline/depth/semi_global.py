"""Semi-global aggregation of costs: smooth surfaces with few steps (Hirschmüller, PAMI 2008).

Costs are passed along the rows and columns of the picture in both directions. A step in depth is
cheap where the picture has an edge.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_EDGE = 20.0  # a step costs half as much across a difference of 1 / _EDGE in grey
Advance = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""From the passed costs (N, D) of a line of pixels, the own costs (N, D) of the next line, and how
much a step costs between both (N, 1), with labels of both lines where they have some, to the passed
costs of the next line."""


def aggregate_planes(costs: Tensor, grey: Tensor, small: float, large: float) -> Tensor:
    """Aggregated costs (D, H, W) of labels that all pixels share, in order.

    small: penalty of a step to the next label. large: of any other step, at most.
    """

    def advance(
        passed: Tensor, own: Tensor, weight: Tensor, _: Tensor | None, __: Tensor | None
    ) -> Tensor:
        least = passed.amin(dim=1, keepdim=True)
        best = torch.minimum(passed, least + (large * weight).clamp_min(small))
        best[:, 1:] = torch.minimum(best[:, 1:], passed[:, :-1] + small)
        best[:, :-1] = torch.minimum(best[:, :-1], passed[:, 1:] + small)
        return own + best - least

    return _four_ways(costs, None, grey, advance)


def aggregate_candidates(
    costs: Tensor, labels: Tensor, grey: Tensor, penalty: float, most: float
) -> Tensor:
    """Aggregated costs (D, H, W) of candidates (D, H, W) that every pixel has for itself.

    penalty: of a step by 1 between candidates; steps beyond `most` cost no more than that one.
    """

    def advance(
        passed: Tensor, own: Tensor, weight: Tensor, before: Tensor | None, now: Tensor | None
    ) -> Tensor:
        assert before is not None and now is not None
        steps = (now[:, :, None] - before[:, None, :]).abs_().clamp_max_(most)
        steps *= penalty * weight[:, :, None]
        steps += passed[:, None, :]
        return own + steps.amin(dim=2) - passed.amin(dim=1, keepdim=True)

    return _four_ways(costs, labels, grey, advance)


def _four_ways(costs: Tensor, labels: Tensor | None, grey: Tensor, advance: Advance) -> Tensor:
    by_rows = [_lines(values) for values in (costs, labels, grey[None]) if values is not None]
    by_columns = [
        _lines(values.transpose(1, 2))
        for values in (costs, labels, grey[None])
        if values is not None
    ]
    total = _both_ways(by_rows, advance) + _both_ways(by_columns, advance).transpose(0, 1)
    return (total / 4.0).permute(2, 0, 1)


def _lines(values: Tensor) -> Tensor:
    """(D, H, W) as H lines of W pixels with D values each."""
    return values.permute(1, 2, 0).contiguous()


def _both_ways(lines: list[Tensor], advance: Advance) -> Tensor:
    forth = _pass(lines, advance)
    back = _pass([values.flip(0) for values in lines], advance)
    return forth + back.flip(0)


def _pass(lines: list[Tensor], advance: Advance) -> Tensor:
    costs, grey = lines[0], lines[-1]
    labels = lines[1] if len(lines) == 3 else None
    weights = 1.0 / (1.0 + _EDGE * (grey[1:] - grey[:-1]).abs())
    passed = [costs[0]]
    for n in range(1, len(costs)):
        before, now = (labels[n - 1], labels[n]) if labels is not None else (None, None)
        passed.append(advance(passed[-1], costs[n], weights[n - 1], before, now))
    return torch.stack(passed)
