"""Levenberg-Marquardt for bundle adjustment.

Source: Triggs et al., "Bundle Adjustment: A Modern Synthesis" (2000), sections 4 and 6. Trust
region, damping and tests for convergence are those of Ceres Solver's trust-region minimiser.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import rotation_from_rotvec
from pipeline.mapping.bundle import BundleOptions, BundleProblem, BundleResult
from pipeline.mapping.bundle_iterative import IterativeSystem
from pipeline.mapping.bundle_kernels import LOSSES, Observations, Robust, World, evaluate
from pipeline.mapping.bundle_layout import Layout, lay_out
from pipeline.mapping.bundle_reduced import DenseSystem, ReducedSystem
from pipeline.mapping.bundle_system import NormalEquations, Step
from pipeline.mapping.bundle_threads import Clock, Crew, Cuts, default_threads

_MAX_RADIUS = 1e16
_MIN_RADIUS = 1e-32
_MIN_RELATIVE_DECREASE = 1e-3


def solve(problem: BundleProblem, options: BundleOptions) -> BundleResult:
    """See `pipeline.mapping.bundle.adjust_bundle`."""
    with Crew(options.threads or default_threads()) as crew:
        return _Minimiser(problem, options, crew).run()


class _State(NamedTuple):
    """A point in parameter space: the world, the refined own parameters in the order of the reduced
    system, and the cost of the observations that depend on something free, priors included."""

    world: World
    own: Float64s
    cost: float


class _Minimiser:
    """One run of the minimiser over one problem."""

    def __init__(self, problem: BundleProblem, options: BundleOptions, crew: Crew) -> None:
        self.problem, self.options, self.crew = problem, options, crew
        self.clock = Clock()
        self.robust = Robust(LOSSES[options.loss], float(options.loss_scale_px) ** 2)
        self.layout: Layout = lay_out(problem, options.gauge == "two_cameras")
        self.obs_cuts = crew.cuts(np.arange(len(self.layout.order) + 1))
        self.rho = np.empty(len(self.layout.order))
        self.clock.lap("layout")

    def run(self) -> BundleResult:
        """Minimise and report."""
        layout, options = self.layout, self.options
        world = self._initial_world()
        errors_px = self._errors_px(world)
        if not np.all(np.isfinite(errors_px)):
            raise ValueError(_unusable(self.problem, errors_px))
        own = layout.own_means
        state = initial = _State(world, own, self._cost(world, own))
        self.clock.lap("evaluate")
        if layout.free_size == 0 and len(layout.structure.slot_points) == 0:
            return self._result(initial, state, 0, (True, "nothing is free"))
        equations = self._equations()
        equations.linearise(state.world, state.own)
        self.clock.lap("linearise")
        radius, shrink, tried = options.initial_radius, 2.0, 0
        outcome = self._flat(equations)
        while outcome is None:
            if tried == options.max_iterations:
                outcome = (False, f"{tried} iterations, the most allowed")
                break
            if radius < _MIN_RADIUS:
                outcome = (False, "no step lowers the cost")
                break
            tried += 1
            step = equations.step(radius, self.clock)
            candidate = state if step is None else self._moved(state, step)
            self.clock.lap("evaluate")
            change = state.cost - candidate.cost
            if step is not None:
                outcome = self._settled(state, step, change)
            quality = change / step.expected_decrease if step is not None else 0.0
            if not quality > _MIN_RELATIVE_DECREASE and not (outcome and change > 0.0):
                radius, shrink = radius / shrink, 2.0 * shrink
                continue
            state = candidate
            radius = min(_MAX_RADIUS, radius / max(1.0 / 3.0, 1.0 - (2.0 * quality - 1.0) ** 3))
            shrink = 2.0
            if outcome is None:
                equations.linearise(state.world, state.own)
                self.clock.lap("linearise")
                outcome = self._flat(equations)
        sigmas = None
        if options.want_intrinsics_sigmas:
            equations.linearise(state.world, state.own)
            sigmas = equations.own_sigmas(2.0 * state.cost)
            self.clock.lap("covariance")
        return self._result(initial, state, tried, outcome, sigmas)

    def _equations(self) -> NormalEquations:
        layout, crew = self.layout, self.crew
        structure = layout.structure
        per_pose = np.diff(structure.image_starts)[structure.slot_images]
        cuts = Cuts(
            points=crew.cuts(structure.point_starts),
            points_and_held=crew.cuts(np.append(structure.point_starts, len(layout.order))),
            images=crew.cuts(structure.image_starts),
            poses=crew.cuts(np.concatenate([[0], np.cumsum(per_pose)])),
            cameras=crew.cuts(structure.camera_term_starts),
        )
        dense = layout.free_size <= self.options.max_dense_parameters
        system: ReducedSystem = (DenseSystem if dense else IterativeSystem)(layout, crew, cuts)
        return NormalEquations(layout, self.robust, crew, cuts, system)

    def _initial_world(self) -> World:
        problem = self.problem
        rows = [camera.opencv_params for camera in problem.cameras]
        return World(
            np.array(problem.rotations, np.float64, order="C"),
            np.array(problem.translations, np.float64, order="C"),
            np.array(problem.points_world, np.float64, order="C"),
            np.array(rows, np.float64).reshape(len(rows), 8),
            np.array(problem.image_cameras, np.int64),
        )

    def _moved(self, state: _State, step: Step) -> _State:
        """The state after a step, with its cost (infinite if a point went behind a camera)."""
        layout, old = self.layout, state.world
        poses = step.reduced[: layout.structure.offsets[0]].reshape(-1, 6)
        moving = layout.structure.slot_images
        rotations, translations = old.rotations.copy(), old.translations.copy()
        rotations[moving] = rotation_from_rotvec(poses[:, :3]) @ old.rotations[moving]
        translations[moving] += poses[:, 3:]
        points = old.points.copy()
        points[layout.structure.slot_points] += step.points
        own = state.own + step.reduced[layout.structure.offsets[0] :]
        opencv = layout.with_own(old.opencv, own)
        world = World(rotations, translations, points, opencv, old.image_cameras)
        return _State(world, own, self._cost(world, own))

    def _cost(self, world: World, own: Float64s) -> float:
        obs = self.layout.obs
        self.crew.over(self.obs_cuts, evaluate, obs, world, self.robust, self.rho)
        pull = (own - self.layout.own_means) / self.layout.own_sigmas
        return 0.5 * float(np.sum(self.rho)) + 0.5 * float(pull @ pull)

    def _errors_px(self, world: World) -> Float64s:
        """Reprojection error of every observation of the problem, (N,)."""
        problem = self.problem
        obs = Observations(
            np.ascontiguousarray(problem.obs_images, np.int64),
            np.ascontiguousarray(problem.obs_points, np.int64),
            np.ascontiguousarray(problem.obs_px, np.float64),
        )
        squared = np.empty(len(problem.obs_px))
        cuts = self.crew.cuts(np.arange(len(squared) + 1))
        self.crew.over(cuts, evaluate, obs, world, Robust(LOSSES["none"], 1.0), squared)
        return np.sqrt(squared)

    def _flat(self, equations: NormalEquations) -> tuple[bool, str] | None:
        if equations.largest_gradient <= self.options.gradient_tolerance:
            return True, "the gradient vanishes: gradient tolerance reached"
        return None

    def _settled(self, state: _State, step: Step, change: float) -> tuple[bool, str] | None:
        """Whether a step is so small, or changes so little, that it is the last."""
        layout, world = self.layout, state.world
        size = math.sqrt(
            len(layout.structure.slot_images)
            + float(np.sum(world.translations[layout.structure.slot_images] ** 2))
            + float(np.sum(world.points[layout.structure.slot_points] ** 2))
            + float(state.own @ state.own)
        )
        tolerance = self.options.parameter_tolerance
        if step.length <= tolerance * (size + tolerance):
            return True, "the step is short: parameter tolerance reached"
        if abs(change) <= self.options.cost_tolerance * state.cost:
            return True, "the cost hardly changes: cost tolerance reached"
        return None

    def _result(
        self,
        initial: _State,
        final: _State,
        iterations: int,
        outcome: tuple[bool, str],
        own_sigmas: Float64s | None = None,
    ) -> BundleResult:
        world, layout, cameras = final.world, self.layout, self.problem.cameras
        moved = layout.structure.slot_images
        rotations = world.rotations
        if iterations:
            # One Newton step to the nearest rotation: hundreds of calls must not add up rounding.
            r = rotations[moved]
            rotations = rotations.copy()
            rotations[moved] = 0.5 * r @ (3.0 * np.eye(3) - r.transpose(0, 2, 1) @ r)
        errors_px = self._errors_px(world)
        held_cost = self._held_cost(errors_px)
        self.clock.lap("evaluate")
        return BundleResult(
            cameras=tuple(
                camera.with_params(row)
                for camera, row in zip(
                    cameras, layout.spread(final.own, [c.params for c in cameras]), strict=True
                )
            ),
            rotations=rotations,
            translations=world.translations,
            points_world=world.points,
            initial_cost=initial.cost + held_cost,
            final_cost=final.cost + held_cost,
            iterations=iterations,
            termination=outcome[1],
            converged=outcome[0],
            obs_errors_px=errors_px,
            seconds=self.clock.seconds,
            intrinsics_sigmas=None
            if own_sigmas is None
            else layout.spread(own_sigmas, [np.zeros(len(c.params)) for c in cameras]),
        )

    def _held_cost(self, errors_px: Float64s) -> float:
        """Cost of the observations that depend on nothing free."""
        problem, layout = self.problem, self.layout
        held = np.ones(len(errors_px), np.bool_)
        held[layout.order] = False
        if not held.any():
            return 0.0
        obs = Observations(
            problem.obs_images[held].astype(np.int64),
            problem.obs_points[held].astype(np.int64),
            np.ascontiguousarray(problem.obs_px[held], np.float64),
        )
        rho = np.empty(len(obs.px))
        evaluate(0, len(rho), obs, self._initial_world(), self.robust, rho)
        return 0.5 * float(np.sum(rho))


def _unusable(problem: BundleProblem, errors_px: Float64s) -> str:
    """Words for observations without a finite error."""
    bad = np.flatnonzero(~np.isfinite(errors_px))
    n = int(bad[0])
    what = "behind their camera" if errors_px[n] == np.inf else "not finite"
    return (
        f"{len(bad)} of {len(errors_px)} observations are {what}, the first is observation {n} of "
        f"point {problem.obs_points[n]} in image {problem.obs_images[n]}; remove them before"
    )
