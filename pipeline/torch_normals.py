"""Normals of the surfaces that a depth map shows."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.geometry.arrays import Float64s

_REACH = 2  # pixels from the middle of a window to its side


def plane_normals(inverse_depth: Tensor, calibration: Float64s, most_change: float) -> Tensor:
    """Normals of the planes that fit inverse depths in windows of 5 pixels.

    inverse_depth: (H, W), along the optical axis; 0 where none is known. calibration: K (3, 3) of a
    camera without distortion, corner origin. most_change: of neighbouring depths, relative; beyond
    it lies the other side of an edge, which does not count. Result: (H, W, 3), unit, in camera
    axes, towards the camera; 0 where there is no depth.
    """
    height, width = inverse_depth.shape
    padded = torch.nn.functional.pad(inverse_depth[None], (_REACH,) * 4)[0]
    xx, xy, yy, xc, yc = (torch.zeros_like(inverse_depth) for _ in range(5))
    for dy in range(-_REACH, _REACH + 1):
        for dx in range(-_REACH, _REACH + 1):
            top, left = _REACH + dy, _REACH + dx
            there = padded[top : top + height, left : left + width]
            change = there - inverse_depth
            near = (change.abs() < most_change * inverse_depth) & (there > 0)
            weight = near.float()
            moved = weight * change
            xx += weight * dx * dx
            xy += weight * dx * dy
            yy += weight * dy * dy
            xc += moved * dx
            yc += moved * dy
    # The plane goes through the pixel itself, so that two slopes are all there is to find.
    determinant = (xx * yy - xy * xy).clamp_min(1e-6)
    slope_x = (yy * xc - xy * yc) / determinant
    slope_y = (xx * yc - xy * xc) / determinant
    x = torch.arange(width, device=inverse_depth.device, dtype=inverse_depth.dtype) + 0.5
    y = torch.arange(height, device=inverse_depth.device, dtype=inverse_depth.dtype) + 0.5
    plane = torch.stack(
        [slope_x, slope_y, inverse_depth - slope_x * x - slope_y * y[:, None]], dim=-1
    )
    k = torch.as_tensor(calibration, dtype=plane.dtype, device=plane.device)
    normals = -(plane @ k)
    length = normals.norm(dim=-1, keepdim=True)
    known = (inverse_depth > 0)[..., None] & (length > 1e-12)
    return torch.where(known, normals / length.clamp_min(1e-12), torch.zeros_like(normals))
