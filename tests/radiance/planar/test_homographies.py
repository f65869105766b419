"""sl(3): exponential map and derivatives against slow and obvious twins."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.radiance.planar.homographies import (
    homographies,
    homography_derivatives,
    warped,
    warped_with_jacobian,
)

WARP = torch.tensor([0.3, -0.2, 0.1, 0.05, -0.15, 0.2, 0.07, -0.12], dtype=torch.float64)
POINTS = torch.tensor([[0.0, 0.0], [0.4, -0.3], [-0.35, 0.2]], dtype=torch.float64)


def by_series(warp: Tensor) -> Tensor:
    """The exponential as the sum of its series."""
    h1, h2, h3, h4, h5, h6, h7, h8 = warp.tolist()
    algebra = torch.tensor([[h5, h3, h1], [h4, -h5 - h6, h2], [h7, h8, h6]], dtype=torch.float64)
    term = total = torch.eye(3, dtype=torch.float64)
    for order in range(1, 25):
        term = term @ algebra / order
        total = total + term
    return total


def differences(warp: Tensor, size: float = 1e-6) -> Tensor:
    """The derivatives of the matrices by central differences."""
    steps = torch.eye(8, dtype=torch.float64) * size
    return torch.stack([(by_series(warp + s) - by_series(warp - s)) / (2 * size) for s in steps])


def test_the_exponential_is_that_of_the_series() -> None:
    found = homographies(torch.stack([WARP, -2 * WARP]))
    torch.testing.assert_close(found[0], by_series(WARP))
    torch.testing.assert_close(found[1], by_series(-2 * WARP))
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(2, dtype=torch.float64))


def test_the_opposite_warp_is_the_inverse() -> None:
    product = homographies(WARP) @ homographies(-WARP)
    torch.testing.assert_close(product, torch.eye(3, dtype=torch.float64))
    assert (homographies(WARP) - torch.eye(3)).abs().max() > 0.1


def test_derivatives_are_those_of_differences() -> None:
    for warp in (WARP, torch.zeros_like(WARP)):
        found = homography_derivatives(warp)
        torch.testing.assert_close(found, differences(warp), atol=1e-8, rtol=1e-6)


def test_points_move_as_their_homogeneous_coordinates() -> None:
    moved = warped(homographies(WARP), POINTS)
    for point, found in zip(POINTS, moved, strict=True):
        x, y, w = homographies(WARP) @ torch.tensor([*point.tolist(), 1.0], dtype=torch.float64)
        torch.testing.assert_close(found, torch.stack([x / w, y / w]))


def test_the_jacobian_of_moved_points() -> None:
    moved, jacobian = warped_with_jacobian(WARP, POINTS)
    torch.testing.assert_close(moved, warped(homographies(WARP), POINTS))
    size = 1e-6
    for d in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[d] = size
        ahead, behind = (warped(homographies(WARP + s), POINTS) for s in (step, -step))
        torch.testing.assert_close(
            jacobian[:, :, d], (ahead - behind) / (2 * size), atol=1e-8, rtol=1e-6
        )
