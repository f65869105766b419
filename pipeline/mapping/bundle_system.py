"""The damped normal equations of bundle adjustment: linearise, eliminate the points, solve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.mapping.bundle_kernels import (
    Eliminated,
    Linearised,
    Robust,
    World,
    eliminate_points,
    gather_points,
    linearise,
    step_points,
)
from pipeline.mapping.bundle_layout import Layout
from pipeline.mapping.bundle_reduced import CameraBlocks, OwnBlocks, ReducedSystem, sum_images
from pipeline.mapping.bundle_threads import Clock, Crew, Cuts

# Ceres' bounds of the scaled Hessian's diagonal in the damping.
_MIN_DIAGONAL, _MAX_DIAGONAL = 1e-6, 1e32
# Damping that only makes points with one observation regular, for the covariance.
_COVARIANCE_RADIUS = 1e12


class Step(NamedTuple):
    """A step of the reduced parameters (S,) and of the free points (P, 3), the decrease of the cost
    that the linear model expects, and the step's length."""

    reduced: Float64s
    points: Float64s
    expected_decrease: float
    length: float


class NormalEquations:
    """Buffers and kernels for one layout; `linearise` at a world, then `step` at any damping."""

    def __init__(
        self, layout: Layout, robust: Robust, crew: Crew, cuts: Cuts, system: ReducedSystem
    ) -> None:
        self.layout, self.robust, self.crew, self.cuts = layout, robust, crew, cuts
        self.system = system
        structure = layout.structure
        obs, points = len(layout.order), len(structure.slot_points)
        poses, images = len(structure.slot_images), len(structure.image_slots)
        q, terms = layout.own_size, len(structure.term_slots)
        self.linear = Linearised(
            np.empty((obs, 2)), np.empty((obs, 2, 6)), np.empty((obs, 2, q)),
            np.empty((obs, 2, 3)), np.empty((points, 6)), np.empty((points, 3)),
        )  # fmt: skip
        self.blocks = CameraBlocks(
            np.empty((poses, 6, 6)), np.empty((poses, 6)), np.zeros((poses, 6, q)),
            np.zeros((images, q, q)), np.zeros((images, q)),
        )  # fmt: skip
        self.eliminated = Eliminated(
            np.empty((points, 6)), np.empty((points, 3)), np.empty((points, 3)),
            np.empty((obs, 3, 6)), np.empty((terms, 3, q)),
        )  # fmt: skip
        self.own = OwnBlocks.zeros(structure.offsets, q)
        self.diagonal = np.empty(layout.free_size)
        self.gradient = np.empty(layout.free_size)
        self.gathered = np.empty((points, 3))
        self.scales: tuple[Float64s, Float64s] | None = None
        self.largest_gradient = np.inf

    def linearise(self, world: World, own: Float64s) -> None:
        """Residuals, Jacobians, and the blocks that do not depend on the damping."""
        layout, linear, blocks = self.layout, self.linear, self.blocks
        arguments = (layout.obs, world, self.robust, layout.structure, linear)
        self.crew.over(self.cuts.points_and_held, linearise, *arguments)
        self.crew.over(self.cuts.images, sum_images, layout.structure, linear, blocks)
        self.own.sum(layout, blocks, own)
        poses = int(layout.structure.offsets[0])
        self.diagonal[:poses] = np.einsum("saa->sa", blocks.pose_hessians).reshape(-1)
        self.diagonal[poses:] = self.own.diagonal()
        self.gradient[:poses] = blocks.pose_gradients.reshape(-1)
        self.gradient[poses:] = self.own.gradient
        self.gradient[layout.held] = 0.0
        self.largest_gradient = max(
            float(np.abs(g).max(initial=0.0)) for g in (self.gradient, linear.point_gradients)
        )
        if self.scales is None:
            points = linear.point_hessians[:, [0, 3, 5]]
            self.scales = (1.0 + np.sqrt(self.diagonal)) ** -2, (1.0 + np.sqrt(points)) ** -2

    def step(self, radius: float, clock: Clock) -> Step | None:
        """The step at a trust-region radius; None where the system is not positive definite."""
        damping = self._eliminate(radius)
        clock.lap("eliminate")
        if damping is None:
            return None
        gradient = self.system.prepare(self.blocks, self.own, self.eliminated, damping)
        clock.lap("reduce")
        reduced = None if gradient is None else self.system.solve(-gradient)
        clock.lap("solve")
        if reduced is None:
            return None
        points = self.gathered
        structure, eliminated = self.layout.structure, self.eliminated
        self.crew.over(self.cuts.points, gather_points, structure, eliminated, reduced, points)
        self.crew.over(self.cuts.points, step_points, eliminated, points)
        # With (H + D) d = -g the model falls by -g d - d H d / 2 = (d D d - g d) / 2. Conjugate
        # gradients solve this roughly, but with a residual orthogonal to d: it holds all the same.
        expected = 0.5 * (
            float(np.sum(points * (eliminated.damping * points - self.linear.point_gradients)))
            + float(reduced @ (damping * reduced - self.gradient))
        )
        length = float(np.sqrt(np.sum(points * points) + reduced @ reduced))
        clock.lap("substitute")
        if not (np.isfinite(length) and expected > 0.0):
            return None
        return Step(reduced, points, expected, length)

    def own_sigmas(self, square_sum: float) -> Float64s:
        """Standard deviations of the free own parameters, inf where they are not determined.

        Source: Hartley and Zisserman, "Multiple View Geometry", section 5.2: the inverse Hessian,
        points and poses marginalised, times the variance that the residuals show.
        square_sum: weighted sum of squared residuals.
        """
        layout = self.layout
        poses = int(layout.structure.offsets[0])
        count = layout.free_size - poses
        free = layout.free_size - len(layout.held) + 3 * len(layout.structure.slot_points)
        redundancy = 2 * len(layout.order) - free
        sigmas = np.full(count, np.inf)
        damping = self._eliminate(_COVARIANCE_RADIUS)
        if redundancy <= 0 or damping is None:
            return sigmas
        undamped = np.zeros_like(damping)
        if self.system.prepare(self.blocks, self.own, self.eliminated, undamped) is None:
            return sigmas
        unit = np.zeros((layout.free_size, count))
        unit[poses + np.arange(count), np.arange(count)] = 1.0
        columns = self.system.solve_exactly(unit)
        if columns is None:
            return sigmas
        variances = np.diagonal(columns[poses:]) * square_sum / redundancy
        determined = variances > 0.0
        sigmas[determined] = np.sqrt(variances[determined])
        return sigmas

    def _eliminate(self, radius: float) -> Float64s | None:
        """Eliminate the points; the damping of the reduced parameters, or None if it failed."""
        assert self.scales is not None, "linearise comes first"
        reduced_scales, point_scales = self.scales
        points = self.linear.point_hessians[:, [0, 3, 5]]
        self.eliminated.damping[:] = _damping(points, point_scales, radius)
        arguments = (self.layout.structure, self.linear, self.eliminated)
        regular = self.crew.over(self.cuts.points, eliminate_points, *arguments)
        return _damping(self.diagonal, reduced_scales, radius) if all(regular) else None


def _damping(diagonal: Float64s, squared_scales: Float64s, radius: float) -> Float64s:
    scaled = np.clip(diagonal * squared_scales, _MIN_DIAGONAL, _MAX_DIAGONAL)
    return np.asarray(scaled / (radius * squared_scales))
