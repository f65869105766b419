"""Small pictures of what training has learned so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from pipeline.geometry.arrays import UInt8s
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.rendering import Rays
from pipeline.radiance.views import View

PREVIEW_PX = 120
_CHUNK = 2048
_LEAST_S, _FIRST_S = 4.0, 2.0
_MOST_SHARE = 0.05  # of the time


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """A training view as the field shows it: (H, W, 3) uint8, and how near it is in decibels."""

    rgb: UInt8s
    psnr: float


@torch.inference_mode()
def render_small(model: RadianceModel, view: View, number: int) -> SmallPicture:
    """Training view `number` at a small size, with its pose of the moment."""
    height, width = view.rgb.shape[:2]
    scale = min(1.0, PREVIEW_PX / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    rows, columns = np.indices(size)
    pixels = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    pixels *= width / size[1], height / size[0]
    points = torch.from_numpy(pixels.astype(np.float32)).to(model.device)
    images = torch.full((len(points),), number, device=model.device)
    rays = model.cameras.rays(images, points)
    parts = []
    for start in range(0, len(points), _CHUNK):
        piece = slice(start, start + _CHUNK)
        chunk = Rays(rays.origins[piece], rays.directions[piece])
        parts.append(model.render(chunk, images[piece], model.alpha).rgb)
    seen = torch.cat(parts).clamp(0.0, 1.0).cpu().numpy().reshape(*size, 3)
    truth = cv2.resize(view.rgb, size[::-1], interpolation=cv2.INTER_AREA) / 255.0
    squares = np.nan_to_num((seen - truth) ** 2, nan=1.0)
    if view.mask is not None:
        mask = cv2.resize(view.mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        squares = squares[mask > 0] if mask.any() else squares
    error = max(float(squares.mean()), 1e-10)
    rgb = np.rint(np.nan_to_num(seen) * 255.0).astype(np.uint8)
    return SmallPicture(rgb, -10.0 * math.log10(error))


class PreviewTimes:
    """When a preview is due: soon after the start, then so often that it takes little of the
    time."""

    def __init__(self, now: float) -> None:
        """now: seconds of a monotonic clock."""
        self._next = now + _FIRST_S

    def due(self, now: float) -> bool:
        """Whether it is time for one."""
        return now >= self._next

    def made(self, began: float, now: float) -> None:
        """One was made."""
        self._next = now + max(_LEAST_S, (now - began) / _MOST_SHARE)
