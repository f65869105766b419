"""Homographies of the plane as eight numbers: the algebra sl(3) and its exponential map.

Source: Benhimane and Malis, "Homography-based 2D visual tracking and servoing", IJRR 2007, section
3.2. The order of the parameters is that of BARF's experiment, so that warp errors compare:

    [[h5,       h3, h1],
     [h4, -h5 - h6, h2],     h1, h2: translation; h3 to h6: turn, scale, shear; h7, h8: perspective
     [h7,       h8, h6]]
"""

from __future__ import annotations

import torch
from torch import Tensor

DIMENSIONS = 8
# (row, column, sign) of every parameter's entries
_ENTRIES = (
    ((0, 2, 1.0),),
    ((1, 2, 1.0),),
    ((0, 1, 1.0),),
    ((1, 0, 1.0),),
    ((0, 0, 1.0), (1, 1, -1.0)),
    ((2, 2, 1.0), (1, 1, -1.0)),
    ((2, 0, 1.0),),
    ((2, 1, 1.0),),
)


def homographies(warps: Tensor) -> Tensor:
    """Exponential map of sl(3): matrices (..., 3, 3) of determinant one for warps (..., 8).

    The inverse of the homography of h is that of -h.
    """
    matrices: Tensor = torch.linalg.matrix_exp(_algebra(warps))
    return matrices


def homography_derivatives(warps: Tensor) -> Tensor:
    """How the matrices of `homographies` change with each parameter: (..., 8, 3, 3).

    Source: Higham, "Functions of Matrices", 2008, theorem 3.6: exp of [[A, E], [0, A]] has the
    derivative of exp at A in the direction E for its upper right block.
    """
    algebra = _algebra(warps)
    blocks = torch.zeros(
        *warps.shape[:-1], DIMENSIONS, 6, 6, dtype=warps.dtype, device=warps.device
    )
    blocks[..., :3, :3] = algebra[..., None, :, :]
    blocks[..., 3:, 3:] = algebra[..., None, :, :]
    blocks[..., :3, 3:] = _generators(warps)
    both: Tensor = torch.linalg.matrix_exp(blocks)
    return both[..., :3, 3:]


def warped(matrices: Tensor, points: Tensor) -> Tensor:
    """Points (..., P, 2) moved by homographies (..., 3, 3)."""
    moved = points @ matrices[..., :2].mT + matrices[..., None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def warped_with_jacobian(warps: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Points (P, 2) moved by one warp (8,): (P, 2), and their derivatives by it, (P, 2, 8)."""
    homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], dim=-1)
    moved = homogeneous @ homographies(warps).mT
    changes = torch.einsum("dij,pj->pid", homography_derivatives(warps), homogeneous)
    flat = moved[:, :2] / moved[:, 2:]
    jacobian = (changes[:, :2] - flat[..., None] * changes[:, 2:]) / moved[:, 2:, None]
    return flat, jacobian


def _algebra(warps: Tensor) -> Tensor:
    return torch.einsum("...d,dij->...ij", warps, _generators(warps))


def _generators(like: Tensor) -> Tensor:
    """The basis of sl(3), (8, 3, 3)."""
    basis = torch.zeros(DIMENSIONS, 3, 3, dtype=like.dtype, device=like.device)
    for d, entries in enumerate(_ENTRIES):
        for row, column, sign in entries:
            basis[d, row, column] = sign
    return basis
