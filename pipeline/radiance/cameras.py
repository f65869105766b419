"""The cameras of a radiance field: given poses with a learned correction each, and their rays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.radiance.motions import compose, inverse, rigid_exp
from pipeline.radiance.rendering import Rays

_NEWTON_STEPS = 8


class RayCameras(nn.Module):
    """Poses and intrinsics of I images with K cameras, as learned quantities.

    Pose of an image: ``rigid_exp(correction) o initial`` (Lin et al., ICCV 2021, section 3.1), from
    the field's frame; the correction is the identity at the start. `focal_logs` scale the focal
    lengths by their exponentials. Whether any of these is trained is the optimiser's business.
    """

    initial: Tensor  # (I, 3, 4) camera from the field's frame
    camera_of_image: Tensor  # (I,)
    intrinsics: Tensor  # (K, 8) fx fy cx cy k1 k2 p1 p2

    def __init__(
        self, poses: Sequence[Pose], cameras: Sequence[Camera], camera_of_image: Sequence[int]
    ) -> None:
        """poses: camera from the field's frame, of each image; cameras: for images of the size
        that rays are asked for; camera_of_image: index into `cameras` of each image."""
        super().__init__()
        matrices = [np.column_stack([pose.rotation, pose.translation]) for pose in poses]
        self.register_buffer("initial", _float32(matrices).reshape(-1, 3, 4))
        self.register_buffer("camera_of_image", torch.tensor(camera_of_image, dtype=torch.long))
        self.register_buffer("intrinsics", _float32([c.opencv_params for c in cameras]))
        self.corrections = nn.Parameter(torch.zeros(len(poses), 6))
        self.focal_logs = nn.Parameter(torch.zeros(len(cameras)))

    def cam_from_world(self, images: Tensor) -> Tensor:
        """Corrected poses (N, 3, 4), from the field's frame, of images (N,)."""
        return compose(rigid_exp(self.corrections[images]), self.initial[images])

    @torch.no_grad()
    def changes(self) -> tuple[Tensor, Tensor]:
        """Angles (I,) in radians that the cameras have turned since the start, and distances (I,)
        that their centres have moved."""
        now = compose(rigid_exp(self.corrections), self.initial)
        turns = now[..., :3] @ self.initial[..., :3].mT
        twice_sine = (turns - turns.mT).flatten(1).norm(dim=-1) / 2.0**0.5
        twice_cosine = turns.diagonal(dim1=-2, dim2=-1).sum(-1) - 1.0
        shifts = inverse(now)[..., 3] - inverse(self.initial)[..., 3]
        return torch.atan2(twice_sine, twice_cosine), shifts.norm(dim=-1)

    def rays(self, images: Tensor, pixels: Tensor, poses: Tensor | None = None) -> Rays:
        """Rays of pixels.

        images: (N,). pixels: (N, 2), corner origin. poses: (N, 3, 4) camera from the field's frame,
        where they are known already. The rays are differentiable with respect to corrections, focal
        lengths and given poses.
        """
        if poses is None:
            poses = self.cam_from_world(images)
        uv = self.unproject(images, pixels)
        in_camera = torch.cat([uv, torch.ones_like(uv[:, :1])], dim=-1)
        world_from_cam = inverse(poses)
        directions = (world_from_cam[..., :3] @ in_camera[..., None]).squeeze(-1)
        return Rays(world_from_cam[..., 3], directions)

    def unproject(self, images: Tensor, pixels: Tensor) -> Tensor:
        """Normalised, undistorted coordinates (N, 2) of pixels (N, 2) of images (N,)."""
        cameras = self.camera_of_image[images]
        params = self.intrinsics[cameras]
        focals = params[:, :2] * self.focal_logs[cameras].exp()[:, None]
        uv = (pixels - params[:, 2:4]) / focals
        if not self.intrinsics[:, 4:].any():
            return uv
        return _undistort(uv, params[:, 4:])


def _undistort(uv_distorted: Tensor, distortion: Tensor) -> Tensor:
    """Inverse of Brown's distortion by Newton's method, differentiable with respect to
    `uv_distorted`; (N, 2), with distortion (N, 4) k1 k2 p1 p2.

    Pixels without an inverse must not be asked for: `Views` leaves them out.
    """
    with torch.no_grad():
        uv = uv_distorted
        for _ in range(_NEWTON_STEPS):
            value, jacobian = _distort(uv, distortion)
            uv = uv - torch.linalg.solve(jacobian, value - uv_distorted)
        value, jacobian = _distort(uv, distortion)
    step: Tensor = torch.linalg.solve(jacobian, value - uv_distorted)
    return uv - step


def _distort(uv: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
    """Distorted points (N, 2) and their Jacobians (N, 2, 2)."""
    k1, k2, p1, p2 = distortion.unbind(-1)
    u, v = uv.unbind(-1)
    r2 = u * u + v * v
    radial = 1.0 + r2 * (k1 + r2 * k2)
    slope = 2.0 * (k1 + 2.0 * r2 * k2)
    value = torch.stack(
        [
            u * radial + 2.0 * p1 * u * v + p2 * (r2 + 2.0 * u * u),
            v * radial + 2.0 * p2 * u * v + p1 * (r2 + 2.0 * v * v),
        ],
        dim=-1,
    )
    uu = radial + slope * u * u + 2.0 * p1 * v + 6.0 * p2 * u
    uv_ = slope * u * v + 2.0 * p1 * u + 2.0 * p2 * v
    vv = radial + slope * v * v + 2.0 * p2 * u + 6.0 * p1 * v
    return value, torch.stack([uu, uv_, uv_, vv], dim=-1).reshape(-1, 2, 2)


def _float32(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.tensor(np.asarray(rows), dtype=torch.float32)
