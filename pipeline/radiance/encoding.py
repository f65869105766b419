"""Positional encoding whose bands open one after the other: the schedule that makes BARF work."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def alpha_at(progress: float, start: float, end: float, bands: int, alpha_start: float) -> float:
    """How many bands are open.

    Source: Lin et al., "BARF: Bundle-Adjusting Neural Radiance Fields", ICCV 2021, section 3.2;
    there alpha_start is 0. progress: share of the training that is over, in [0, 1]. start, end:
    shares between which alpha runs from alpha_start to `bands`.
    """
    if end <= start:
        return float(bands) if progress >= start else alpha_start
    share = min(max((progress - start) / (end - start), 0.0), 1.0)
    return alpha_start + share * (bands - alpha_start)


def band_weights(alpha: float, bands: int) -> list[float]:
    """Weight of every band (BARF, equation 14): w_k = (1 - cos(pi clamp(alpha - k, 0, 1))) / 2."""
    opened = (min(max(alpha - k, 0.0), 1.0) for k in range(bands))
    return [(1.0 - math.cos(math.pi * share)) / 2.0 for share in opened]


def positional_encoding(x: Tensor, alpha: float, bands: int) -> Tensor:
    """gamma(x) with x itself in front (BARF, equations 13 and 14).

    x: (..., D). Result: (..., D + 2 D bands): x, the weighted sines of 2^k pi x, band after band,
    then the cosines; differentiable once.
    """
    weights = band_weights(alpha, bands)
    rows = x.reshape(-1, x.shape[-1])
    encoded: Tensor = _Encoding.apply(rows, weights)  # type: ignore[no-untyped-call]
    return encoded.view(*x.shape[:-1], encoded.shape[-1])


class _Encoding(torch.autograd.Function):
    """The encoding of points (N, D). The result holds all that its own derivative needs: closed
    bands cost nothing, and nothing else is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: list[float]) -> Tensor:
        count, size = x.shape
        bands, opened = len(weights), sum(weight > 0.0 for weight in weights)
        encoded = x.new_empty(count, size * (1 + 2 * bands))
        encoded[:, :size] = x
        encoded[:, size:].view(count, 2, bands, size)[:, :, opened:] = 0.0
        angles = x[:, None, :] * _frequencies(opened, x)
        opening = torch.tensor(weights[:opened], dtype=x.dtype, device=x.device)[:, None]
        sines, cosines = _waves(encoded, bands, opened, size)
        torch.mul(angles.sin(), opening, out=sines)
        torch.mul(angles.cos_(), opening, out=cosines)
        ctx.save_for_backward(encoded)
        ctx.layout = (bands, opened, size)
        return encoded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (encoded,) = ctx.saved_tensors
        bands, opened, size = ctx.layout
        sines, cosines = _waves(encoded, bands, opened, size)
        by_sine, by_cosine = _waves(gradient, bands, opened, size)
        turned = (by_sine * cosines).addcmul_(by_cosine, sines, value=-1.0)
        turned *= _frequencies(opened, encoded)
        return turned.sum(1).add_(gradient[:, :size]), None


def _waves(encoded: Tensor, bands: int, opened: int, size: int) -> tuple[Tensor, Tensor]:
    """The columns of the open bands' sines and cosines, each (N, opened, size)."""
    waves = encoded[:, size:].view(-1, 2, bands, size)
    return waves[:, 0, :opened], waves[:, 1, :opened]


def _frequencies(bands: int, like: Tensor) -> Tensor:
    """(bands, 1)"""
    powers = torch.arange(bands, dtype=like.dtype, device=like.device)
    return (math.pi * 2.0**powers)[:, None]
