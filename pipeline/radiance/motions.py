"""Rigid motions in torch, as (..., 3, 4) matrices R | t, and their exponential map."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_exp(twists: Tensor) -> Tensor:
    """Exponential map of se(3), differentiable at zero.

    Source: Blanco, "A tutorial on SE(3) transformation parameterizations", 2010, section 7.2.
    twists: (..., 6), rotation vector in radians, then the translation in the algebra. Result:
    (..., 3, 4) motions R | t with t = V(rotation) @ translation.
    """
    rotvec, shift = twists[..., :3], twists[..., 3:]
    a, b, c = _coefficients((rotvec * rotvec).sum(-1)[..., None, None])
    k = cross_matrix(rotvec)
    k2 = k @ k
    identity = torch.eye(3, dtype=twists.dtype, device=twists.device)
    rotation = identity + a * k + b * k2
    translation = (identity + b * k + c * k2) @ shift[..., None]
    return torch.cat([rotation, translation], dim=-1)


def cross_matrix(v: Tensor) -> Tensor:
    """Matrices (..., 3, 3) with ``cross_matrix(v) @ x = v x x`` for vectors (..., 3)."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, dim=-1).reshape(*v.shape[:-1], 3, 3)


def compose(c_from_b: Tensor, b_from_a: Tensor) -> Tensor:
    """``c_from_a`` of motions (..., 3, 4)."""
    rotation, translation = c_from_b[..., :3], c_from_b[..., 3:]
    moved = rotation @ b_from_a[..., 3:] + translation
    return torch.cat([rotation @ b_from_a[..., :3], moved], dim=-1)


def inverse(b_from_a: Tensor) -> Tensor:
    """``a_from_b`` of motions (..., 3, 4)."""
    transposed = b_from_a[..., :3].mT
    return torch.cat([transposed, -transposed @ b_from_a[..., 3:]], dim=-1)


def _coefficients(angle2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sin(x) / x, (1 - cos(x)) / x^2 and (x - sin(x)) / x^3 of squared angles x^2.

    Below one radian by their series: the closed forms lose all digits at small angles, and their
    derivatives are undefined at zero.
    """
    small = angle2 < 1.0
    s = torch.where(small, angle2, 0.0)
    safe = torch.where(small, 1.0, angle2)
    x = safe.sqrt()
    series = (
        1 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s / 362880))),
        1 / 2 + s * (-1 / 24 + s * (1 / 720 + s * (-1 / 40320 + s / 3628800))),
        1 / 6 + s * (-1 / 120 + s * (1 / 5040 + s * (-1 / 362880 + s / 39916800))),
    )
    closed = (x.sin() / x, (1 - x.cos()) / safe, (x - x.sin()) / (safe * x))
    a, b, c = (torch.where(small, f, g) for f, g in zip(series, closed, strict=True))
    return a, b, c
