"""Held-out views: their last pose error is fitted away with the field frozen, then rendered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.formats.axes import nearest_rotation
from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.poses import Pose, angle_between_rotations
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.motions import compose, rigid_exp
from pipeline.radiance.novel_views import median_depths
from pipeline.radiance.rendering import Rays, Rendered
from pipeline.radiance.views import View, Views


class Renderer(Protocol):
    """A trained field, as `RadianceModel` is one."""

    def render(
        self, rays: Rays, images: Tensor | None, alpha: float, generator: torch.Generator | None
    ) -> Rendered:
        """What rays see; `images` None: without the exposure of any training view."""
        ...


@dataclass(frozen=True)
class Fitting:
    """How held-out views are fitted and rendered.

    iterations: of Adam with the rate `pose_rate`, on `rays` random pixels each; 0: not at all.
    exposure: fit a brightness per colour channel too. together: views that are fitted at a time.
    chunk: rays that are rendered at a time. seed: of the pixels.
    """

    iterations: int = 100
    rays: int = 1024
    pose_rate: float = 1e-3
    exposure: bool = False
    together: int = 4
    chunk: int = 4096
    seed: int = 0


def fitting_on(device: torch.device, pose_rate: float, exposure: bool) -> Fitting:
    """How held-out views are fitted: as published on a GPU; on the CPU with fewer rays."""
    if device.type == "cuda":
        return Fitting(pose_rate=pose_rate, exposure=exposure, together=16, chunk=16384)
    return Fitting(pose_rate=pose_rate, exposure=exposure, rays=256)


@dataclass(frozen=True, eq=False)
class FittedView:
    """A held-out view, as the field shows it.

    pose: fitted, camera from the field's frame. rgb: (H, W, 3) in [0, 1]. depth: (H, W) in units of
    the field's frame, NaN where nothing is. seen: (H, W), where pixels count and were rendered.
    log_gains: (3,) brightness that was fitted. pose_change_deg: rotation of the fitting.
    """

    view: View
    pose: Pose
    rgb: Float64s
    depth: Float64s
    seen: Bools
    log_gains: Float64s
    pose_change_deg: float


def fit_views(
    model: Renderer,
    alpha: float,
    views: Sequence[View],
    poses: Sequence[Pose],
    fitting: Fitting,
    device: torch.device,
) -> Iterator[FittedView]:
    """Fit and render held-out views, one after the other.

    Source: Lin et al., "BARF", ICCV 2021, section 4.2: a pose correction per view is optimised on
    the view's own pixels with the field frozen, so that PSNR measures the field and not how well
    two frames are aligned. poses: where to start, camera from the field's frame.
    """
    cameras = RayCameras(poses, [view.camera for view in views], range(len(views))).to(device)
    held = _Held(model, alpha, cameras, Views(views, device))
    log_gains = torch.zeros(len(views), 3, device=device)
    generator = torch.Generator(device).manual_seed(fitting.seed)
    for first in range(0, len(views), fitting.together):
        group = torch.arange(first, min(first + fitting.together, len(views)), device=device)
        corrections, gains = _fit(held, group, fitting, generator)
        with torch.no_grad():
            cameras.corrections[group] = corrections
            log_gains[group] = gains
        for i in group.tolist():
            yield _shown(held, views[i], i, fitting.chunk, log_gains[i])


@dataclass(frozen=True, eq=False)
class _Held:
    """Held-out views before a field with `alpha` bands of detail."""

    model: Renderer
    alpha: float
    cameras: RayCameras
    pixels: Views


def _fit(
    held: _Held, group: Tensor, fitting: Fitting, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pose corrections (M, 6) and log gains (M, 3) of the views `group` (M,)."""
    corrections = torch.zeros(len(group), 6, device=group.device, requires_grad=True)
    gains = torch.zeros(len(group), 3, device=group.device, requires_grad=fitting.exposure)
    wanted = [corrections, gains] if fitting.exposure else [corrections]
    optimiser = torch.optim.Adam(wanted, lr=fitting.pose_rate)
    rows = torch.arange(len(group), device=group.device).repeat_interleave(fitting.rays)
    for _ in range(fitting.iterations):
        samples = held.pixels.sample(group, fitting.rays, generator)
        poses = compose(rigid_exp(corrections), held.cameras.initial[group])[rows]
        rays = held.cameras.rays(samples.images, samples.pixels, poses)
        rgb = held.model.render(rays, None, held.alpha, generator).rgb * gains[rows].exp()
        # The sum over views of each one's mean: no view's step depends on the others.
        loss = (rgb - samples.rgb).square().mean(-1).sum() / fitting.rays
        for parameter, gradient in zip(wanted, torch.autograd.grad(loss, wanted), strict=True):
            parameter.grad = gradient
        optimiser.step()
    return corrections.detach(), gains.detach()


@torch.no_grad()
def _shown(held: _Held, view: View, i: int, chunk: int, log_gains: Tensor) -> FittedView:
    """View number i, rendered whole with its fitted pose and brightness."""
    samples = held.pixels.whole(i)
    rays = held.cameras.rays(samples.images, samples.pixels)
    starts = range(0, len(samples.images), chunk)
    pieces = [Rays(*(part[start : start + chunk] for part in rays)) for start in starts]
    parts = [held.model.render(piece, None, held.alpha, None) for piece in pieces]
    columns, rows = samples.pixels.long().cpu().numpy().T
    rgb, depth = np.zeros(view.rgb.shape), np.full(view.rgb.shape[:2], np.nan)
    seen = np.zeros(view.rgb.shape[:2], np.bool_)
    colours = torch.cat([part.rgb for part in parts]) * log_gains.exp()
    rgb[rows, columns] = colours.clamp(0.0, 1.0).cpu().numpy()
    depth[rows, columns] = torch.cat([median_depths(part) for part in parts]).cpu().numpy()
    seen[rows, columns] = True
    motion = held.cameras.cam_from_world(torch.tensor([i], device=rays.origins.device))
    pose = pose_of(motion[0])
    turned = angle_between_rotations(pose_of(held.cameras.initial[i]).rotation, pose.rotation)
    gains = log_gains.cpu().numpy().astype(np.float64)
    return FittedView(view, pose, rgb, depth, seen, gains, math.degrees(turned))


def pose_of(matrix: Tensor) -> Pose:
    """A pose (3, 4) in float64, its rotation made orthonormal again."""
    numbers = matrix.detach().cpu().numpy().astype(np.float64)
    return Pose(nearest_rotation(numbers[:, :3]), numbers[:, 3].copy())
