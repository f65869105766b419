"""How the corrections of the cameras move, given the gradient of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.radiance.cameras import RayCameras

_BETAS = (0.9, 0.999)
_EPS = 1e-8
_MEMORY, _SQUARES_MEMORY = 0.9, 0.98  # of the running means, per step
_LONGEST = 0.2  # radians and units of the field; no step at rate 1 is longer


class Curvature(NamedTuple):
    """Second derivatives of the loss: squares (M, 6, 6), those of the corrections of M images as
    Gauss and Newton approximate them; damping that they need for now, as a share of that of
    rotations; how many times more rotations are damped than translations; and whether cameras are
    held where they are along their axes."""

    squares: Tensor
    damping: float
    stiff_turns: float = 1.0
    holds_depth: bool = False


class PoseSteps(Protocol):
    """What moves the poses; it keeps what it has learned of them in arrays.

    curved: whether it needs the curvature of the loss.
    """

    curved: bool

    def step(
        self, cameras: RayCameras, images: Tensor, rate: float, curvature: Curvature | None
    ) -> None:
        """Move the corrections of images (M,), each once, at a rate; `cameras.corrections.grad`
        holds the gradient of the loss."""
        ...

    def forget(self, images: Sequence[int]) -> None:
        """Begin anew with images that were put elsewhere."""
        ...

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its state, for a checkpoint."""
        ...

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of :meth:`to_arrays`. Raises ValueError for arrays of another problem."""
        ...


class _Remembering:
    """What pose steps with a state for every image have in common; rows of it are images."""

    def _state(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def forget(self, images: Sequence[int]) -> None:
        """See PoseSteps."""
        for value in self._state().values():
            value[list(images)] = 0.0

    def to_arrays(self) -> dict[str, np.ndarray]:
        """See PoseSteps."""
        return {name: value.cpu().numpy().copy() for name, value in self._state().items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See PoseSteps."""
        load_tensors(self._state(), arrays)


class AdamPoses(_Remembering):
    """Adam (Kingma and Ba, ICLR 2015) on the corrections, as BARF has it.

    Every image keeps its own count of steps, so that those a step does not look at rest.
    """

    curved = False

    def __init__(self, cameras: RayCameras) -> None:
        corrections = cameras.corrections.detach()
        self._mean = torch.zeros_like(corrections)
        self._square = torch.zeros_like(corrections)
        self._count = torch.zeros_like(corrections[:, :1])

    @torch.no_grad()
    def step(
        self, cameras: RayCameras, images: Tensor, rate: float, curvature: Curvature | None
    ) -> None:
        """See PoseSteps; the curvature changes nothing."""
        gradient = cameras.corrections.grad
        assert gradient is not None
        gradient = gradient[images]
        mean = self._mean[images].lerp(gradient, 1.0 - _BETAS[0])
        square = self._square[images].lerp(gradient * gradient, 1.0 - _BETAS[1])
        count = self._count[images] + 1.0
        self._mean[images], self._square[images], self._count[images] = mean, square, count
        mean = mean / (1.0 - _BETAS[0] ** count)
        square = square / (1.0 - _BETAS[1] ** count)
        cameras.corrections[images] -= rate * mean / (square.sqrt() + _EPS)

    def _state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square, "count": self._count}


class GaussNewtonPoses(_Remembering):
    """Gauss-Newton steps of every camera, damped, from running means of gradient and curvature.

    First-order steps hardly see the direction in which a camera turns and moves at once and its
    picture stays nearly the same; here every direction moves at the pace that its curvature allows
    (compare Park et al., "CamP", SIGGRAPH Asia 2023, section 4). With equal damping of
    rotations in radians and translations, of two motions with the same effect on the picture the
    smaller one is taken, which is the rotation. Cameras that all start at the identity need it the
    other way round: if they turn to explain what they see, only parallax about a middle depth is
    left, which a scene turned inside out explains as well. And as long as a scene looks flat, a
    camera that moves along its axis before a slanted plane sees what one sees that turns before an
    upright one (the two solutions for a plane, Faugeras and Lustman, 1988): until there is detail,
    cameras can be held in that direction.
    """

    curved = True

    def __init__(self, cameras: RayCameras) -> None:
        corrections = cameras.corrections.detach()
        self._mean = torch.zeros_like(corrections)
        self._squares = corrections.new_zeros(len(corrections), 6, 6)
        self._count = torch.zeros_like(corrections[:, :1])

    @torch.no_grad()
    def step(
        self, cameras: RayCameras, images: Tensor, rate: float, curvature: Curvature | None
    ) -> None:
        """See PoseSteps. rate: share of the way to where the loss would be least."""
        gradient = cameras.corrections.grad
        assert gradient is not None and curvature is not None
        mean = self._mean[images].lerp(gradient[images], 1.0 - _MEMORY)
        squares = self._squares[images].lerp(curvature.squares, 1.0 - _SQUARES_MEMORY)
        count = self._count[images] + 1.0
        self._mean[images], self._squares[images], self._count[images] = mean, squares, count
        mean = mean / (1.0 - _MEMORY**count)
        squares = squares / (1.0 - _SQUARES_MEMORY**count)[..., None]
        if curvature.holds_depth:
            free = mean.new_tensor([1.0] * 5 + [0.0])
            mean, squares = mean * free, squares * free * free[:, None]
        stiffness = squares.diagonal(dim1=-2, dim2=-1)[:, :2].mean()
        damping = curvature.damping * stiffness + _EPS * _EPS
        parts = [curvature.stiff_turns] * 3 + [1.0] * 3
        damped = squares + damping * torch.tensor(parts, device=mean.device).diag()
        move = torch.linalg.solve(damped, mean)
        length = move.norm(dim=-1, keepdim=True)
        cameras.corrections[images] -= rate * move * (_LONGEST / length.clamp(min=_LONGEST))

    def _state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "squares": self._squares, "count": self._count}


def random_signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Minus and plus one at random, of the shape and kind of `like`.

    The squares of the slopes of a sum of residuals with random signs are, in the mean, the sum of
    the squares of their slopes (Hutchinson, 1989): one derivative does for all residuals of a ray.
    """
    return torch.rand(like.shape, generator=generator, device=like.device).round() * 2.0 - 1.0


def squares_of(slopes: Tensor, images: Tensor, count: int) -> Tensor:
    """Sums (count, 6, 6) over the rows of slopes (N, 6) of their squares, for each of the images
    (N,) that they belong to."""
    squares = slopes[:, :, None] * slopes[:, None, :]
    return slopes.new_zeros(count, 6, 6).index_add(0, images, squares)


@torch.no_grad()
def load_tensors(tensors: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]) -> None:
    """Fill tensors from arrays of the same names.

    Raises ValueError where names, shapes or types differ, or a value is not finite; then nothing
    has changed.
    """
    if tensors.keys() != arrays.keys():
        raise ValueError(f"its arrays are {sorted(arrays)}, not {sorted(tensors)}")
    for name, tensor in tensors.items():
        array = arrays[name]
        if array.shape != tuple(tensor.shape) or array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not {tuple(tensor.shape)}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")
    for name, tensor in tensors.items():
        tensor.copy_(torch.from_numpy(arrays[name].copy()))
