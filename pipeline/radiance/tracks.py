"""What classical matching saw keeps the cameras: the reprojection error of tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.motions import compose, rigid_exp
from pipeline.radiance.pose_steps import load_tensors, random_signs, squares_of
from pipeline.radiance.problem import Tracks

_OBSERVATIONS = 2048  # that a step looks at
_SCALE_PX = 1.0  # errors beyond it count less and less
_WEIGHT_PER_PX2 = 1.0  # against a squared colour: a twentieth of either is a usual error
_POINTS_RATE = 0.02  # share of the way that points go in a step; less than cameras do: slower
# points are what cameras can find back to
_POINT_DAMPING = 1e-3
_NEAREST = 1e-3  # depth in the field's unit, for points that come to lie behind a camera


class Pull(NamedTuple):
    """What tracks say of the cameras: loss; squares (I, 6, 6), its curvature with respect to the
    corrections; error_px (), the median reprojection error."""

    loss: Tensor
    squares: Tensor
    error_px: Tensor


class TrackTerm:
    """The robust reprojection error of all tracks that are not held out.

    Points that are free follow the cameras by Gauss-Newton steps of their own: then the tracks tie
    cameras to each other, not to where the points began. Errors are measured without distortion
    in pixels of the photographs, and weighted as Cauchy's loss does.
    """

    def __init__(self, tracks: Tracks, cameras: RayCameras) -> None:
        device = cameras.initial.device
        kept = ~tracks.held_out[tracks.point_of]
        rows = np.cumsum(~tracks.held_out) - 1
        self._points = torch.tensor(
            tracks.points[~tracks.held_out], dtype=torch.float32, device=device
        )
        self._point_of = torch.tensor(rows[tracks.point_of[kept]], device=device)
        self._image_of = torch.tensor(tracks.image_of[kept], device=device)
        pixels = torch.tensor(tracks.pixels[kept], dtype=torch.float32, device=device)
        with torch.no_grad():
            self._uv = cameras.unproject(self._image_of, pixels)
        cameras_of = cameras.camera_of_image[self._image_of]
        self._focal_logs = cameras.focal_logs.detach().clone()[cameras_of]
        self._focals = cameras.intrinsics[cameras_of, :2]

    def pull(
        self, cameras: RayCameras, weight: float, generator: torch.Generator, free: bool = True
    ) -> Pull:
        """The loss of some observations, drawn anew, at a weight. free: the points move, too."""
        count = len(self._image_of)
        if not count:
            nothing = cameras.corrections.new_zeros(len(cameras.corrections), 6, 6)
            return Pull(nothing.sum(), nothing, nothing.new_tensor(torch.nan))
        device = self._image_of.device
        drawn = torch.randint(count, (_OBSERVATIONS,), generator=generator, device=device)
        images = self._image_of[drawn]
        twists = cameras.corrections[images]
        poses = compose(rigid_exp(twists), cameras.initial[images])
        errors = self._errors(cameras, drawn, poses, self._points[self._point_of[drawn]])
        squared = errors.detach().square().sum(-1)
        trust = 1.0 / (1.0 + squared / _SCALE_PX**2)
        scale = weight * _WEIGHT_PER_PX2 / len(drawn)
        loss = scale * _SCALE_PX**2 * (errors.square().sum(-1) / _SCALE_PX**2).log1p().sum()
        signs = random_signs(errors.detach(), generator) * trust.sqrt()[:, None]
        (slopes,) = torch.autograd.grad((errors * signs).sum(), twists, retain_graph=True)
        squares = 2.0 * scale * squares_of(slopes, images, len(cameras.corrections))
        if free:
            self._move_points(cameras)
        return Pull(loss, squares, squared.sqrt().median())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its state, for a checkpoint: the points."""
        return {"points": self._points.cpu().numpy().copy()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of :meth:`to_arrays`. Raises ValueError for arrays of another problem."""
        load_tensors({"points": self._points}, arrays)

    def _errors(self, cameras: RayCameras, rows: Tensor, poses: Tensor, points: Tensor) -> Tensor:
        """Reprojection errors (N, 2) in px of observations (N,), from poses and points given."""
        seen = (poses[..., :3] @ points[..., None]).squeeze(-1) + poses[..., 3]
        uv = seen[:, :2] / seen[:, 2:].clamp(min=_NEAREST)
        logs = cameras.focal_logs[cameras.camera_of_image[self._image_of[rows]]]
        return self._focals[rows] * (
            (logs - self._focal_logs[rows]).exp()[:, None] * uv - self._uv[rows]
        )

    @torch.no_grad()
    def _move_points(self, cameras: RayCameras) -> None:
        """A damped Gauss-Newton step of every point, from all its observations."""
        rows = torch.arange(len(self._image_of), device=self._points.device)
        every = torch.arange(len(cameras.corrections), device=rows.device)
        poses = cameras.cam_from_world(every)[self._image_of]
        points = self._points[self._point_of]
        errors = self._errors(cameras, rows, poses, points)
        rotations = poses[..., :3]
        seen = (rotations @ points[..., None]).squeeze(-1) + poses[..., 3]
        depths = seen[:, 2:].clamp(min=_NEAREST)
        slopes = rotations[:, :2] - (seen[:, :2] / depths)[..., None] * rotations[:, 2:]
        slopes = slopes * (self._focals / depths)[..., None]
        trust = 1.0 / (1.0 + errors.square().sum(-1) / _SCALE_PX**2)
        weighted = slopes.mT * trust[:, None, None]
        squares = self._points.new_zeros(len(self._points), 3, 3)
        squares.index_add_(0, self._point_of, weighted @ slopes)
        gradient = torch.zeros_like(self._points)
        gradient.index_add_(0, self._point_of, (weighted @ errors[..., None]).squeeze(-1))
        damping = _POINT_DAMPING * squares.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-9
        squares += damping[:, None, None] * torch.eye(3, device=rows.device)
        self._points -= _POINTS_RATE * torch.linalg.solve(squares, gradient)
