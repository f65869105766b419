"""Rays of the learned cameras against the cameras of geometry, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.geometry.cameras import Camera
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.motions import compose, rigid_exp
from tests.radiance.blobs import blob_poses

DISTORTED = Camera("OPENCV", 64, 48, np.array([60.0, 58.0, 31.0, 25.0, -0.18, 0.05, 0.004, -0.003]))
PLAIN = Camera("PINHOLE", 40, 48, np.array([50.0, 50.0, 20.0, 24.0]))
POSES = blob_poses(5)
OF_IMAGE = [0, 1, 0, 1, 0]


def double(cameras: RayCameras) -> RayCameras:
    """The same in double precision, for finite differences."""
    return cameras.double()


def pixels_of(count: int, camera: Camera, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, (camera.width, camera.height), (count, 2))


@pytest.mark.parametrize("image", [0, 1])
def test_a_ray_goes_through_its_pixel(image: int) -> None:
    camera = (DISTORTED, PLAIN)[OF_IMAGE[image]]
    pixels = pixels_of(200, camera)
    cameras = RayCameras(POSES, [DISTORTED, PLAIN], OF_IMAGE)
    rays = cameras.rays(torch.full((200,), image), torch.tensor(pixels).float())
    points = (rays.origins + 3.0 * rays.directions).detach().double().numpy()
    in_camera = POSES[image].apply(points)
    assert np.allclose(in_camera[:, 2], 3.0, atol=1e-5)  # depth along the axis, not the ray
    assert np.allclose(camera.project(in_camera), pixels, atol=2e-3)


def test_undistortion_is_that_of_geometry() -> None:
    pixels = pixels_of(300, DISTORTED, 1)
    cameras = double(RayCameras(POSES[:1], [DISTORTED], [0]))
    cameras.intrinsics.copy_(torch.tensor(DISTORTED.opencv_params)[None])
    found = cameras.unproject(torch.zeros(300, dtype=torch.long), torch.tensor(pixels))
    assert np.allclose(found.detach().numpy(), DISTORTED.unproject(pixels), atol=1e-9)
    plain = (pixels - [31.0, 25.0]) / [60.0, 58.0]
    assert np.abs(found.detach().numpy() - plain).max() > 0.02  # there was something to undo


def test_correction_is_composed_on_the_camera_side() -> None:
    cameras = RayCameras(POSES, [PLAIN], [0] * 5)
    twist = torch.tensor([0.1, -0.2, 0.05, 0.3, 0.1, -0.2])
    with torch.no_grad():
        cameras.corrections[2] = twist
    found = cameras.cam_from_world(torch.tensor([1, 2]))
    assert torch.equal(found[0], cameras.initial[1])
    assert torch.allclose(found[1], compose(rigid_exp(twist), cameras.initial[2]), atol=1e-6)
    other_side = compose(cameras.initial[2], rigid_exp(twist))
    assert (found[1] - other_side).abs().max() > 0.05


def test_rays_have_the_gradient_of_finite_differences() -> None:
    """With respect to corrections, focal lengths and pixels, through the distortion."""
    cameras = double(RayCameras(POSES, [DISTORTED, PLAIN], OF_IMAGE))
    images = torch.tensor([0, 1, 2, 4])
    pixels = torch.tensor(pixels_of(4, PLAIN, 2), requires_grad=True)
    generator = torch.Generator().manual_seed(3)
    corrections = 0.2 * torch.randn(5, 6, dtype=torch.float64, generator=generator)
    focal_logs = torch.tensor([0.1, -0.05], dtype=torch.float64)

    def rays(
        corrections: torch.Tensor, focal_logs: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        values = {"corrections": corrections, "focal_logs": focal_logs}
        found = torch.func.functional_call(_Rays(cameras), _prefixed(values), (images, pixels))
        return tuple(found)

    inputs = (corrections.requires_grad_(), focal_logs.requires_grad_(), pixels)
    assert torch.autograd.gradcheck(rays, inputs, atol=1e-6)


class _Rays(torch.nn.Module):
    """The method `rays` as a module's forward, which functional_call asks for."""

    def __init__(self, cameras: RayCameras) -> None:
        super().__init__()
        self.cameras = cameras

    def forward(self, images: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.cameras.rays(images, pixels))


def _prefixed(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"cameras.{name}": value for name, value in values.items()}


def test_a_longer_focal_length_narrows_the_view() -> None:
    cameras = RayCameras(POSES[:1], [PLAIN], [0])
    image, corner = torch.tensor([0]), torch.tensor([[0.0, 0.0]])
    before = cameras.unproject(image, corner)
    with torch.no_grad():
        cameras.focal_logs.fill_(np.log(2.0))
    assert torch.allclose(cameras.unproject(image, corner), before / 2, atol=1e-7)
