"""Bundle adjustment: what goes in, what comes out, and the one call.

Minimises ``0.5 * sum rho(|| project(camera, R X + t) - x ||^2)`` over poses, points and intrinsics.
The method is in `bundle_solver`; this module is cheap to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.cameras import Camera

Loss = Literal["none", "huber", "soft_l1", "cauchy"]


@dataclass(frozen=True, eq=False)
class BundleProblem:
    """Cameras, images, points and the observations that tie them together.

    cameras: k of them. image_cameras: (I,) camera of each image. rotations (I, 3, 3) and
    translations (I, 3): cam_from_world. points_world: (J, 3). obs_images, obs_points: (N,) indices.
    obs_px: (N, 2) pixels, corner origin. fixed_images (I,), fixed_points (J,): held where true;
    None: none is. free_intrinsics: per camera, which of its own parameters are refined; None: none.
    intrinsics_sigmas: per camera the standard deviation, in the parameter's own unit, of a Gaussian
    prior about the start value (inf: no prior); None: no priors.
    Raises ValueError where shapes or indices do not agree.
    """

    cameras: tuple[Camera, ...]
    image_cameras: Int64s
    rotations: Float64s
    translations: Float64s
    points_world: Float64s
    obs_images: Int64s
    obs_points: Int64s
    obs_px: Float64s
    fixed_images: Bools | None = None
    fixed_points: Bools | None = None
    free_intrinsics: tuple[Bools, ...] | None = None
    intrinsics_sigmas: tuple[Float64s, ...] | None = None

    def __post_init__(self) -> None:
        images, points, obs = len(self.rotations), len(self.points_world), len(self.obs_px)
        for name, shape in {
            "image_cameras": (images,),
            "rotations": (images, 3, 3),
            "translations": (images, 3),
            "points_world": (points, 3),
            "obs_images": (obs,),
            "obs_points": (obs,),
            "obs_px": (obs, 2),
            "fixed_images": (images,),
            "fixed_points": (points,),
        }.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
        _check_indices("image_cameras", self.image_cameras, len(self.cameras))
        _check_indices("obs_images", self.obs_images, images)
        _check_indices("obs_points", self.obs_points, points)
        for name in ("free_intrinsics", "intrinsics_sigmas"):
            rows = getattr(self, name)
            if rows is not None and [len(row) for row in rows] != [
                len(camera.params) for camera in self.cameras
            ]:
                raise ValueError(f"{name} needs one value for every own parameter of every camera")
        if self.intrinsics_sigmas is not None and not all(
            np.all(sigmas > 0.0) for sigmas in self.intrinsics_sigmas
        ):
            raise ValueError("intrinsics_sigmas must be positive")


@dataclass(frozen=True)
class BundleOptions:
    """How to minimise. Tolerances mean what they mean in Ceres.

    loss: robust loss rho, bending at loss_scale_px. max_iterations: steps tried. It stops when a
    step changes the cost by less than cost_tolerance times the cost, when the largest entry of the
    gradient is below gradient_tolerance, or when the step is shorter than parameter_tolerance times
    the length of all parameters. initial_radius: of the trust region, the inverse of the damping.
    gauge: "two_cameras" holds one pose and one translation coordinate of another where the problem
    itself fixes no frame; "free" leaves that to the damping. threads: None takes numba's number;
    the result does not depend on it. max_dense_parameters: a larger reduced system (six per free
    pose, and the free intrinsics) is solved by conjugate gradients instead of a dense Cholesky
    factor. want_intrinsics_sigmas: also estimate how well the free intrinsics are determined.
    """

    loss: Loss = "none"
    loss_scale_px: float = 1.0
    max_iterations: int = 50
    cost_tolerance: float = 1e-6
    gradient_tolerance: float = 1e-10
    parameter_tolerance: float = 1e-8
    initial_radius: float = 1e4
    gauge: Literal["two_cameras", "free"] = "two_cameras"
    threads: int | None = None
    max_dense_parameters: int = 6000
    want_intrinsics_sigmas: bool = False

    def __post_init__(self) -> None:
        if self.loss not in ("none", "huber", "soft_l1", "cauchy"):
            raise ValueError(f"unknown loss {self.loss}; known: none, huber, soft_l1, cauchy")
        if not (self.loss_scale_px > 0.0 and self.initial_radius > 0.0):
            raise ValueError("loss_scale_px and initial_radius must be positive")
        if self.max_iterations < 0 or (self.threads is not None and self.threads < 1):
            raise ValueError("max_iterations must not be negative, threads must be at least 1")


@dataclass(frozen=True, eq=False)
class BundleResult:
    """The adjusted problem and how it went.

    cameras, rotations, translations, points_world: as in the problem; what was held is unchanged to
    the last bit. initial_cost, final_cost: 0.5 * sum rho, priors included. iterations: steps tried.
    termination: why it stopped, in words. converged: whether a tolerance was reached (false: it ran
    out of iterations or could make no step). obs_errors_px: (N,) reprojection errors.
    seconds: by phase. intrinsics_sigmas: on request, per camera the standard deviation of every own
    parameter (0 where held, inf where the observations do not determine it), else None.
    """

    cameras: tuple[Camera, ...]
    rotations: Float64s
    translations: Float64s
    points_world: Float64s
    initial_cost: float
    final_cost: float
    iterations: int
    termination: str
    converged: bool
    obs_errors_px: Float64s
    seconds: Mapping[str, float]
    intrinsics_sigmas: tuple[Float64s, ...] | None = None


def adjust_bundle(problem: BundleProblem, options: BundleOptions | None = None) -> BundleResult:
    """Adjust poses, points and intrinsics to the observations by Levenberg-Marquardt.

    Source: Triggs et al., "Bundle Adjustment: A Modern Synthesis" (2000), sections 4 and 6; the
    trust region, damping and tolerances follow Ceres Solver. Images and points without observations
    stay as they are. An empty problem, or one with nothing free, returns its input with converged
    True and the reason in `termination`. Raises ValueError when an observation starts behind its
    camera or a value is not finite: filter such observations before.
    """
    # numba and scipy take most of a second to import: only those who adjust pay for them.
    from pipeline.mapping.bundle_solver import solve

    return solve(problem, options or BundleOptions())


def _check_indices(name: str, indices: Int64s, count: int) -> None:
    if len(indices) and not (indices.min() >= 0 and indices.max() < count):
        raise ValueError(f"{name} must lie in [0, {count})")
