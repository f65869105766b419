"""Poses made wrong on purpose: where experiments on pose refinement start from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.radiance.motions import rigid_exp


def published_noise(poses: Sequence[Pose], sigma: float, seed: int) -> tuple[Pose, ...]:
    """The noise of the paper's experiments: every pose becomes ``exp(n) o pose``.

    Source: Lin et al., "BARF", ICCV 2021, section 4.2; n is normal with standard deviation `sigma`
    in all six components of se(3). poses: camera from world. sigma: radians and world units.
    """
    twists = np.random.default_rng(seed).normal(0.0, sigma, (len(poses), 6))
    motions = rigid_exp(torch.from_numpy(twists)).numpy()
    return tuple(
        Pose(motion[:, :3], motion[:, 3]).compose(pose)
        for motion, pose in zip(motions, poses, strict=True)
    )


def displaced(poses: Sequence[Pose], angle_deg: float, share: float, seed: int) -> tuple[Pose, ...]:
    """Every camera turned about its own centre by `angle_deg`, and its centre moved by `share` of
    the scene size, each in a random direction.

    poses: camera from world. The scene size is the largest distance of a camera centre from the
    mean of all.
    """
    rng = np.random.default_rng(seed)
    centers = np.array([pose.center for pose in poses]).reshape(-1, 3)
    step = share * scene_size(poses)
    moved = []
    for pose, center in zip(poses, centers, strict=True):
        turn = rotation_from_rotvec(math.radians(angle_deg) * _direction(rng))
        rotation = turn @ pose.rotation
        moved.append(Pose(rotation, -rotation @ (center + step * _direction(rng))))
    return tuple(moved)


def scene_size(poses: Sequence[Pose]) -> float:
    """The largest distance of a camera centre from the mean of all; 0 without cameras."""
    if not poses:
        return 0.0
    centers = np.array([pose.center for pose in poses])
    return float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())


def _direction(rng: np.random.Generator) -> Float64s:
    vector = rng.normal(0.0, 1.0, 3)
    return np.asarray(vector / np.linalg.norm(vector))
