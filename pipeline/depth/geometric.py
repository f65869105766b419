"""Depth that several photographs agree on.

Every pixel may take its own depth or that of a source which comes to lie there. The one that most
sources confirm wins, and becomes the mean of those that agree. What too few confirm is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.depth.sweep import Picture, Transfer, calibration, pixel_centers, sample
from pipeline.torch_normals import plane_normals

_SAME = 0.5  # of the error up to which depths confirm each other: that is no other depth
_LEAST_OWN = 1.0  # votes that a pixel's own depth has before anybody is asked


@dataclass(frozen=True, eq=False)
class Estimate:
    """What one photograph found. inverse_depth: (H, W), in units of the world."""

    picture: Picture
    inverse_depth: Tensor


@dataclass(frozen=True, eq=False)
class Agreed:
    """What photographs agree on, all (H, W) but normals (H, W, 3).

    depth: 0 where too few agree. normals: unit, in camera axes, towards the camera. confidence:
    share of the sources that confirm the depth.
    """

    depth: Tensor
    normals: Tensor
    confidence: Tensor


def agree(
    reference: Estimate, sources: Sequence[Estimate], min_views: int, most_error: float
) -> Agreed:
    """Compare a reference with its sources: all propose depths, all confirm them.

    min_views: sources that have to. most_error: relative difference of depths up to which they do.
    """
    own = reference.inverse_depth
    x, y = pixel_centers(own)
    transfers = [Transfer.between(reference.picture, source.picture) for source in sources]
    best, votes = own.clone(), _votes(own, x, y, sources, transfers, most_error) + _LEAST_OWN
    for source in sources:
        there = _seen_from(reference.picture, source)
        new = (there > 0) & ((there - best).abs() > _SAME * most_error * best)
        some = there[new][None]
        found = _votes(some, x[new][None], y[new][None], sources, transfers, most_error)[0]
        better = found > votes[new]
        best[new] = torch.where(better, some[0], best[new])
        votes[new] = torch.where(better, found, votes[new])
    inverse_depth, count = _mean(best, x, y, sources, transfers, most_error)
    kept = (count >= min_views) & reference.picture.valid
    inverse_depth = torch.where(kept, inverse_depth, torch.zeros_like(inverse_depth))
    depth = torch.where(kept, 1.0 / inverse_depth.clamp_min(1e-12), torch.zeros_like(best))
    normals = plane_normals(inverse_depth, calibration(reference.picture), 2.0 * most_error)
    confidence = torch.where(kept, count / len(sources), torch.zeros_like(count))
    return Agreed(depth, normals, confidence)


def _confirmed(
    inverse_depth: Tensor,
    x: Tensor,
    y: Tensor,
    source: Estimate,
    transfer: Transfer,
    most_error: float,
) -> tuple[Tensor, Tensor]:
    """Where a source confirms inverse depths (H, W), and the inverse depths that it would say."""
    height, width = source.inverse_depth.shape
    u, v, w = transfer.apply(x, y, inverse_depth)
    inside = (w > 1e-6) & (u > 0) & (u < width) & (v > 0) & (v < height) & (inverse_depth > 0)
    source_depth = 1.0 / sample(source.inverse_depth, u[None], v[None])[0].clamp_min(1e-12)
    m, t = transfer.matrix[2].tolist(), float(transfer.shift[2])
    said = (m[0] * x + m[1] * y + m[2]) / (source_depth - t).clamp_min(1e-9)
    error = (said - inverse_depth).abs() / said.clamp_min(1e-12)
    return inside & (error < most_error), said


def _votes(
    inverse_depth: Tensor,
    x: Tensor,
    y: Tensor,
    sources: Sequence[Estimate],
    transfers: Sequence[Transfer],
    most_error: float,
) -> Tensor:
    votes = torch.zeros_like(inverse_depth)
    for source, transfer in zip(sources, transfers, strict=True):
        votes += _confirmed(inverse_depth, x, y, source, transfer, most_error)[0]
    return votes


def _mean(
    inverse_depth: Tensor,
    x: Tensor,
    y: Tensor,
    sources: Sequence[Estimate],
    transfers: Sequence[Transfer],
    most_error: float,
) -> tuple[Tensor, Tensor]:
    """The mean of inverse depths with what the sources that confirm them say, and how many do."""
    total, count = inverse_depth.clone(), torch.zeros_like(inverse_depth)
    for source, transfer in zip(sources, transfers, strict=True):
        confirmed, said = _confirmed(inverse_depth, x, y, source, transfer, most_error)
        total += torch.where(confirmed, said, torch.zeros_like(said))
        count += confirmed
    return total / (count + 1.0), count


def _seen_from(reference: Picture, source: Estimate) -> Tensor:
    """Inverse depth (H, W) in the reference of the nearest point of a source that falls into each
    pixel; 0 where none does."""
    height, width = reference.grey.shape
    back = Transfer.between(source.picture, reference)
    x, y = pixel_centers(source.inverse_depth)
    u, v, w = back.apply(x, y, source.inverse_depth)
    inside = (w > 1e-6) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    inside &= source.picture.valid
    index = v[inside].long() * width + u[inside].long()
    inverse_depth = source.inverse_depth[inside] / w[inside]
    found = torch.zeros(height * width, device=index.device)
    return found.scatter_reduce_(0, index, inverse_depth, "amax").view(height, width)
