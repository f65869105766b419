"""The photographs that a field learns from, as pixels in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.geometry.cameras import Camera

_LEAST_BLUR_PX = 0.3  # less changes nothing that can be seen


@dataclass(frozen=True, eq=False)
class View:
    """A photograph at the size that it is learned at.

    name: of the photograph. rgb: (H, W, 3) uint8. camera: for this size. mask: (H, W) bool, True
    where pixels count; None: all.
    """

    name: str
    rgb: UInt8s
    camera: Camera
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        height, width = self.rgb.shape[:2]
        if (width, height) != (self.camera.width, self.camera.height):
            raise ValueError(
                f"{self.name} has {width} x {height} pixels, its camera "
                f"{self.camera.width} x {self.camera.height}"
            )
        if self.mask is not None and self.mask.shape != (height, width):
            raise ValueError(f"the mask of {self.name} has another size than the photograph")

    @property
    def shows_nothing(self) -> bool:
        """Whether the mask leaves no pixel that counts."""
        return self.mask is not None and not bool(self.mask.any())


class Samples(NamedTuple):
    """Some pixels: images (N,), pixels (N, 2) with corner origin, rgb (N, 3) in [0, 1]."""

    images: Tensor
    pixels: Tensor
    rgb: Tensor


class Views:
    """The pixels of views of any sizes, on a device.

    Left out are pixels that a mask excludes, and those that no ray reaches through the distortion.
    """

    def __init__(self, views: Sequence[View], device: torch.device) -> None:
        """Raises ValueError naming a view without a single pixel that counts."""
        self.names = tuple(view.name for view in views)
        usable = [_usable_pixels(view) for view in views]
        for view, indices in zip(views, usable, strict=True):
            if not len(indices):
                raise ValueError(f"{view.name} has no pixel that counts")
        widths = [view.camera.width for view in views]
        rgb = [v.rgb.reshape(-1, 3)[u] for v, u in zip(views, usable, strict=True)]
        self._rgb = torch.from_numpy(np.concatenate(rgb)).to(device)
        self._indices = torch.from_numpy(np.concatenate(usable)).to(device)
        self._counts = torch.tensor([len(u) for u in usable], device=device)
        self._starts = self._counts.cumsum(0) - self._counts
        self._widths = torch.tensor(widths, device=device)
        self._heights = [view.camera.height for view in views]
        self._seen = self._rgb

    def __len__(self) -> int:
        return len(self.names)

    def sample(
        self, images: Tensor, per_image: int, generator: torch.Generator, same: bool = False
    ) -> Samples:
        """Random pixels, with replacement: `per_image` of each of images (M,); M * per_image in
        all, image after image. generator: on the views' device. same: the same pixels of each
        image, where all have one size and no mask."""
        draws = per_image if same else per_image * len(images)
        shares = torch.rand(draws, generator=generator, device=images.device)
        shares = shares.repeat(len(images)) if same else shares
        images = images.repeat_interleave(per_image)
        counts = self._counts[images]
        ranks = torch.minimum((shares * counts).long(), counts - 1)
        return self._samples(images, self._starts[images] + ranks, self._seen)

    def smooth(self, blur_px: float) -> None:
        """From now on `sample` sees the views through a Gaussian filter of a standard deviation of
        so many pixels, normalised by what counts; 0: as they are."""
        self._seen = self._rgb
        if blur_px >= _LEAST_BLUR_PX:
            pictures = [self._smoothed(image, blur_px) for image in range(len(self))]
            self._seen = torch.cat(pictures)

    def _smoothed(self, image: int, blur_px: float) -> Tensor:
        """The pixels of a view that count, (n, 3) bytes, filtered."""
        start, count = int(self._starts[image]), int(self._counts[image])
        indices, width = self._indices[start : start + count], int(self._widths[image])
        height = self._heights[image]
        canvas = torch.zeros(4, height * width, device=self._rgb.device)
        canvas[:3, indices] = self._rgb[start : start + count].T.float()
        canvas[3, indices] = 1.0
        canvas = canvas.view(4, height, width)
        canvas = _filter(height, blur_px, canvas.device) @ canvas
        canvas = (canvas @ _filter(width, blur_px, canvas.device).T).view(4, -1)[:, indices]
        return (canvas[:3] / canvas[3:]).T.round().to(torch.uint8)

    def whole(self, image: int) -> Samples:
        """All pixels of one view that count, row by row."""
        start, count = int(self._starts[image]), int(self._counts[image])
        rows = torch.arange(start, start + count, device=self._rgb.device)
        return self._samples(torch.full_like(rows, image), rows, self._rgb)

    def _samples(self, images: Tensor, rows: Tensor, pixels: Tensor) -> Samples:
        indices, widths = self._indices[rows], self._widths[images]
        columns = torch.stack([indices % widths, indices // widths], dim=-1)
        return Samples(images, columns + 0.5, pixels[rows].float() / 255.0)


def views_of(views: Sequence[View], device: torch.device) -> Views:
    """The pixels of views. Raises PipelineError where there is nothing to learn from."""
    if not views:
        raise PipelineError(
            "Nothing to learn",
            "No photograph has a camera.",
            "Lower radiance.holdout, or look at the verdicts of mapping: `barfield report RUN`.",
        )
    try:
        return Views(views, device)
    except ValueError as error:
        raise PipelineError("Nothing to learn", f"{error}.", "Look at its mask.") from error


def _filter(size: int, sigma: float, device: torch.device) -> Tensor:
    """(size, size) rows that smooth by a Gaussian; at the sides its inner part counts for all."""
    at = torch.arange(size, device=device) / sigma
    weights = torch.exp(-0.5 * (at[:, None] - at) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _usable_pixels(view: View) -> np.ndarray:
    """Row-major indices of the pixels of a view that count, int64."""
    usable = np.ones(view.rgb.shape[:2], bool) if view.mask is None else view.mask.copy()
    if np.any(view.camera.opencv_params[4:]):
        rows, columns = np.indices(usable.shape)
        pixels = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
        usable &= np.isfinite(view.camera.unproject(pixels)).all(axis=1).reshape(usable.shape)
    return np.flatnonzero(usable)
