"""Rigid motions against the exponential of their 4 x 4 matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.radiance.motions import compose, cross_matrix, inverse, rigid_exp

SIZES = [0.0, 1e-6, 1e-3, 0.3, 0.999, 1.001, 2.0, 3.1]


def twist_of(size: float, seed: int = 0) -> np.ndarray:
    """A twist whose rotation has `size` radians."""
    rng = np.random.default_rng(seed)
    rotation = rng.normal(size=3)
    return np.concatenate([size * rotation / np.linalg.norm(rotation), rng.normal(size=3)])


def algebra(twist: np.ndarray) -> np.ndarray:
    """The 4 x 4 matrix of a twist."""
    x, y, z = twist[:3]
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    matrix[:3, 3] = twist[3:]
    return matrix


@pytest.mark.parametrize("size", SIZES)
def test_exponential_is_that_of_the_matrix(size: float) -> None:
    twist = twist_of(size)
    found = rigid_exp(torch.tensor(twist)).numpy()
    assert np.allclose(found, expm(algebra(twist))[:3], atol=1e-12)
    assert np.allclose(found[:, :3], rotation_from_rotvec(twist[:3]), atol=1e-9)
    single = rigid_exp(torch.tensor(twist, dtype=torch.float32)).numpy()
    assert np.allclose(single, found, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_exponential_is_differentiable_everywhere(size: float) -> None:
    twist = torch.tensor(twist_of(size), requires_grad=True)
    assert torch.autograd.gradcheck(rigid_exp, (twist,))


def test_derivative_at_zero_is_the_algebra() -> None:
    zero = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    entries = rigid_exp(zero).flatten()
    rows = [torch.autograd.grad(entry, zero, retain_graph=True)[0] for entry in entries]
    jacobian = torch.stack(rows).view(3, 4, 6).numpy()
    for axis in range(6):
        assert np.allclose(jacobian[..., axis], algebra(np.eye(6)[axis])[:3], atol=1e-14)


def test_motions_compose_and_invert_like_matrices() -> None:
    motions = [expm(algebra(twist_of(size, seed))) for seed, size in enumerate((0.4, 1.7))]
    a, b = (torch.tensor(motion[:3]) for motion in motions)
    assert np.allclose(compose(a, b).numpy(), (motions[0] @ motions[1])[:3], atol=1e-14)
    assert np.allclose(inverse(a).numpy(), np.linalg.inv(motions[0])[:3], atol=1e-14)


def test_cross_matrix_is_the_cross_product() -> None:
    u, v = np.random.default_rng(4).normal(size=(2, 5, 3))
    found = (cross_matrix(torch.tensor(u)) @ torch.tensor(v)[..., None])[..., 0].numpy()
    assert np.allclose(found, np.cross(u, v), atol=1e-14)
