"""Cameras that training has lost: other poses are tried for them, and the best one is kept."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.radiance.model import RadianceModel
from pipeline.radiance.motions import compose, rigid_exp
from pipeline.radiance.pose_steps import random_signs, squares_of
from pipeline.radiance.views import Samples, Views

_PIXELS = 96  # of a view that decide
_SUSPECT = 2.0  # times the median error of all views
_CANDIDATES, _FINALISTS = 192, 12
_SPREAD = (0.3, 0.3, 0.3, 0.2, 0.2, 0.2)  # of the candidates: radians, units of the field
_STEPS, _RATE, _DAMPING = 12, 0.5, 1e-2
_BETTER = 0.6  # share of the error before that a new pose may leave


def relocate(model: RadianceModel, views: Views, generator: torch.Generator) -> list[int]:
    """Look for better poses of the views that the field explains much worse than most.

    One camera in a wrong basin never comes back by itself: from there, no small motion helps.
    Candidates lie about where the camera started; the best few are refined by Gauss-Newton steps
    while the field rests. views: smoothed as in training. generator: on their device. Result: the
    views that were moved; corrections of `model.cameras` are changed.
    """
    corrections = model.cameras.corrections.detach()
    every = torch.arange(len(views), device=corrections.device)
    samples = views.sample(every, _PIXELS, generator)
    with torch.no_grad():
        errors = _errors(model, corrections, samples)
    suspects = (errors > _SUSPECT * errors.median()).nonzero().squeeze(-1).tolist()
    moved = []
    for image in suspects:
        one = views.sample(every[image : image + 1], _PIXELS, generator)
        before = float(_judged(model, corrections[image][None], one))
        drawn = torch.randn((_CANDIDATES, 6), generator=generator, device=corrections.device)
        best, error = _refined(model, drawn * drawn.new_tensor(_SPREAD), one, generator)
        if error < _BETTER * before:
            corrections[image] = best
            moved.append(image)
    return moved


def _refined(
    model: RadianceModel, candidates: Tensor, samples: Samples, generator: torch.Generator
) -> tuple[Tensor, float]:
    """The best correction (6,) near candidates (C, 6) for samples of one view, and its error."""
    order = _judged(model, candidates, samples).argsort()
    twists = candidates[order[:_FINALISTS]]
    for _ in range(_STEPS):
        twists = twists - _RATE * _step(model, twists, samples, generator)
    errors = _judged(model, twists, samples)
    best = int(errors.argmin())
    return twists[best], float(errors[best])


def _step(
    model: RadianceModel, twists: Tensor, samples: Samples, generator: torch.Generator
) -> Tensor:
    """Damped Gauss-Newton steps (C, 6) of corrections for the samples of one view."""
    count = len(twists)
    copies = twists.repeat_interleave(_PIXELS, dim=0).requires_grad_(True)
    residuals = _residuals(model, copies, _repeated(samples, count))
    signs = random_signs(residuals.detach(), generator)
    (slopes,) = torch.autograd.grad((residuals * signs).sum(), copies, retain_graph=True)
    (gradient,) = torch.autograd.grad(residuals.square().sum() / 2, copies)
    rows = torch.arange(count, device=twists.device).repeat_interleave(_PIXELS)
    squares = squares_of(slopes, rows, count)
    stiffness = squares.diagonal(dim1=-2, dim2=-1)[:, :2].mean(-1)
    damping = (_DAMPING * stiffness + 1e-9)[:, None, None]
    squares = squares + damping * torch.eye(6, device=twists.device)
    solved: Tensor = torch.linalg.solve(squares, gradient.view(count, _PIXELS, 6).sum(1))
    return solved.clamp(-0.2, 0.2)


def _judged(model: RadianceModel, twists: Tensor, samples: Samples) -> Tensor:
    """Mean squared errors (C,) of corrections (C, 6) for the samples of one view."""
    with torch.no_grad():
        return _errors(model, twists, _repeated(samples, len(twists)))


def _errors(model: RadianceModel, twists: Tensor, samples: Samples) -> Tensor:
    """Mean squared errors (C,) of corrections (C, 6), for samples that follow each other."""
    copies = twists.repeat_interleave(_PIXELS, dim=0)
    residuals = _residuals(model, copies, samples)
    return residuals.square().view(len(twists), -1).mean(-1)


def _residuals(model: RadianceModel, twists: Tensor, samples: Samples) -> Tensor:
    """Differences (N, 3) of colours from the photographs', a correction (N, 6) for each pixel."""
    poses = compose(rigid_exp(twists), model.cameras.initial[samples.images])
    rays = model.cameras.rays(samples.images, samples.pixels, poses)
    return model.render(rays, samples.images, model.alpha).rgb - samples.rgb


def _repeated(samples: Samples, count: int) -> Samples:
    images, pixels, rgb = samples
    return Samples(images.repeat(count), pixels.repeat(count, 1), rgb.repeat(count, 1))
