"""What training minimises: the difference to the photographs, and the error of the tracks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.radiance.model import RadianceModel
from pipeline.radiance.motions import compose, rigid_exp
from pipeline.radiance.pose_steps import Curvature, random_signs, squares_of
from pipeline.radiance.problem import Problem
from pipeline.radiance.settings import Settings
from pipeline.radiance.tracks import TrackTerm
from pipeline.radiance.views import Views

_POINTS_REST = 0.3  # share of training before they move: displaced cameras find back to them
_TRACKS_FADE = 0.2  # of their weight at the start, at the end


class Slope(NamedTuple):
    """What a step goes by, beside the gradients of the parameters.

    images: (M,) views that were looked at, each once. rays: number of pixels. figures: (3,) loss,
    mean squared error of the colours, median reprojection error of the tracks in px or NaN.
    curvature: of the loss along the corrections of those views, where it was asked for.
    """

    images: Tensor
    rays: int
    figures: Tensor
    curvature: Curvature | None


class Objective:
    """The loss of a model on some pixels, drawn anew each time."""

    def __init__(
        self, problem: Problem, settings: Settings, model: RadianceModel, views: Views
    ) -> None:
        self._model = model
        self._views = views
        self._tracks: TrackTerm | None = None
        if problem.tracks is not None and settings.refine_poses:
            self._tracks = TrackTerm(problem.tracks, model.cameras)

    def descend(
        self,
        settings: Settings,
        rays: int,
        progress: float,
        curved: bool,
        generator: torch.Generator,
    ) -> Slope:
        """Add the gradient for about `rays` pixels to that of all parameters.

        progress: share of the training after its beginnings that is over. curved: whether the
        curvature is wanted. generator: on the model's device.
        """
        cameras = self._model.cameras
        images = self._choose_images(rays, generator)
        per_image = max(rays // len(images), 1)
        samples = self._views.sample(images, per_image, generator, settings.same_pixels)
        # Each ray has a copy of its correction: what it says of the camera can be told apart.
        twists = cameras.corrections[images].repeat_interleave(per_image, dim=0)
        poses = compose(rigid_exp(twists), cameras.initial[samples.images])
        cast = cameras.rays(samples.images, samples.pixels, poses)
        passes = self._model.passes(cast, samples.images, self._model.alpha, generator)
        errors = torch.stack([(found.rgb - samples.rgb).square().mean() for found in passes])
        loss = errors.sum()
        curvature = None
        if curved:
            signs = random_signs(errors.new_zeros(len(twists), 3), generator)
            (slopes,) = torch.autograd.grad(
                (passes[-1].rgb * signs).sum(), twists, retain_graph=True
            )
            squares = squares_of(slopes, samples.images, len(self._views))[images]
            squares = squares * (2.0 / signs.numel())
            damping = settings.pose_damping.at(progress)
            holds = self._model.alpha < settings.depth_start
            curvature = Curvature(squares, damping, settings.stiff_turns, holds)
        track_error_px = loss.new_tensor(math.nan)
        if self._tracks is not None and settings.track_weight > 0.0:
            weight = settings.track_weight * _TRACKS_FADE**progress
            free = progress >= _POINTS_REST
            found = self._tracks.pull(cameras, weight, generator, free)
            loss, track_error_px = loss + found.loss, found.error_px
            if curvature is not None:
                curvature = curvature._replace(squares=curvature.squares + found.squares[images])
        loss.backward()  # type: ignore[no-untyped-call]
        figures = torch.stack([loss.detach(), errors[-1].detach(), track_error_px])
        return Slope(images, len(samples.images), figures, curvature)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its state, for a checkpoint."""
        return {} if self._tracks is None else self._tracks.to_arrays()

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of :meth:`to_arrays`. Raises ValueError for arrays of another problem."""
        if self._tracks is not None:
            self._tracks.load_arrays(arrays)

    def _choose_images(self, rays: int, generator: torch.Generator) -> Tensor:
        """Views (M,) that a step looks at, each once: all, as long as each gets a ray."""
        count = len(self._views)
        if rays >= count:
            return torch.arange(count, device=generator.device)
        mixed = torch.randperm(count, generator=generator, device=generator.device)
        return mixed[:rays]
