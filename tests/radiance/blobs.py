"""A tiny world of coloured blobs whose radiance field is known, photographed from all around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.field import Field
from pipeline.radiance.motions import rigid_exp
from pipeline.radiance.problem import Problem
from pipeline.radiance.rendering import DepthRange, composite, stratified_shares
from pipeline.radiance.views import View

DEPTHS = DepthRange(2.5, 5.5)
BOX = np.array([[-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]])
IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))
_CENTERS = [[0.4, 0.1, 0.2], [-0.35, 0.25, -0.15], [0.0, -0.4, 0.25], [-0.15, 0.1, 0.45]]
_COLORS = [[0.9, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.2, 0.9], [0.9, 0.8, 0.1]]


class Blobs(Field):
    """Four blobs, each with a colour of its own; with a texture, dark and bright cells run through
    them, half a period of pi / texture wide."""

    bands = 1

    def __init__(self, texture: float = 0.0) -> None:
        super().__init__()
        self._texture = texture

    def forward(self, points: Tensor, directions: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        centers = torch.tensor(_CENTERS, dtype=points.dtype)
        distances2 = (points[:, None] - centers).square().sum(-1)
        heights = 8.0 * torch.exp(-distances2 / (2 * 0.32**2))
        colors = torch.softmax(-distances2 / 0.1, dim=-1) @ torch.tensor(
            _COLORS, dtype=points.dtype
        )
        if self._texture:
            waves = torch.sin(self._texture * points).prod(-1, keepdim=True)
            colors = (colors * (0.55 + 0.45 * waves.sign() * waves.abs().sqrt())).clamp(0.0, 1.0)
        # Nothing at all beyond some distance: the last sample of a ray reaches to infinity.
        return (heights.sum(-1) - 0.05).relu(), colors


@dataclass(frozen=True)
class BlobSpec:
    """How the blobs are photographed; noise: of the poses that training starts from, on se(3)."""

    views: int = 10
    width: int = 20
    height: int = 16
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    noise: float = 0.0
    texture: float = 0.0
    seed: int = 0


def blob_poses(count: int) -> list[Pose]:
    """Cameras on a spiral around the blobs, four units away, that look at their middle."""
    poses = []
    for number in range(count):
        around = 2 * math.pi * number / count
        height = 0.8 * math.sin(3 * around)
        away = np.array([math.cos(around), height, math.sin(around)])
        away *= 4.0 / np.linalg.norm(away)
        forward = -away / np.linalg.norm(away)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(Pose(rotation, -rotation @ away))
    return poses


def blob_camera(spec: BlobSpec) -> Camera:
    """A camera that sees all blobs."""
    params = [1.5 * spec.width, 1.5 * spec.width, spec.width / 2, spec.height / 2, *spec.distortion]
    return Camera("OPENCV", spec.width, spec.height, np.array(params))


def photographs(poses: Sequence[Pose], camera: Camera, texture: float = 0.0) -> list[View]:
    """What the cameras see of the blobs, in front of white."""
    cameras = RayCameras(poses, [camera], [0] * len(poses))
    rows, columns = np.indices((camera.height, camera.width))
    pixels = torch.tensor(np.column_stack([columns.ravel(), rows.ravel()]) + 0.5).float()
    depths = DEPTHS.at(stratified_shares(len(pixels), 96, torch.device("cpu"), None))
    field, views = Blobs(texture), []
    for image in range(len(poses)):
        with torch.no_grad():
            rays = cameras.rays(torch.full((len(pixels),), image), pixels)
            points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
            density, rgb = field(points.reshape(-1, 3), points.reshape(-1, 3), 1.0)
            seen = composite(
                density.view(depths.shape),
                rgb.view(*depths.shape, 3),
                depths,
                rays.directions.norm(dim=-1),
                torch.ones(3),
            )
        rgb8 = (seen.rgb.clamp(0, 1) * 255).round().byte().numpy()
        shape = (camera.height, camera.width, 3)
        views.append(View(f"{image:03d}.png", rgb8.reshape(shape), camera))
    return views


def blob_problem(spec: BlobSpec = BlobSpec(), held_out: int = 0) -> tuple[Problem, list[Pose]]:
    """The problem, and the true poses of its training views."""
    poses = blob_poses(spec.views)
    views = photographs(poses, blob_camera(spec), spec.texture)
    kept = spec.views - held_out
    rng = np.random.default_rng(spec.seed)
    started = [disturbed(pose, rng.normal(0.0, spec.noise, 6)) for pose in poses[:kept]]
    problem = Problem(
        tuple(views[:kept]),
        tuple(started),
        tuple(views[kept:]),
        tuple(poses[kept:]),
        IDENTITY,
        DEPTHS,
        BOX,
        True,
        "white",
    )
    return problem, poses[:kept]


def disturbed(pose: Pose, twist: np.ndarray) -> Pose:
    """``exp(twist) o pose``, as BARF's experiments disturb poses."""
    motion = rigid_exp(torch.tensor(twist)).numpy()
    return Pose(motion[:, :3], motion[:, 3]).compose(pose)
