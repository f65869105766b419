"""Conjugate gradients on the reduced camera system, without ever forming it.

For scenes whose reduced system would not fit in memory or take too long to factor. Source: Agarwal
et al., "Bundle Adjustment in the Large" (ECCV 2010): implicit Schur complement, preconditioned by
its own diagonal blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.mapping.bundle_kernels import Eliminated, Structure, gather_points, kernel
from pipeline.mapping.bundle_layout import Layout
from pipeline.mapping.bundle_reduced import CameraBlocks, OwnBlocks, add_product
from pipeline.mapping.bundle_threads import Crew, Cuts

# Ceres' forcing term for steps, and one for covariances, which nothing corrects afterwards.
_FORCING, _EXACT = 0.1, 1e-10
_MAX_ITERATIONS = 500


@kernel
def apply_poses(
    first: int,
    last: int,
    structure: Structure,
    blocks: CameraBlocks,
    eliminated: Eliminated,
    gathered: Float64s,
    vector: Float64s,
    out: Float64s,
) -> None:
    """Rows of a range of pose slots of ``(U - W V^-1 W^T) x``; gathered: ``L^-1 W^T x``."""
    free = len(structure.slot_points)
    for s in range(first, last):
        i = structure.slot_images[s]
        own = structure.image_camera_slots[i]
        for a in range(6):
            total = 0.0
            for b in range(6):
                total += blocks.pose_hessians[s, a, b] * vector[6 * s + b]
            if own >= 0:
                start = structure.offsets[own]
                for q in range(structure.offsets[own + 1] - start):
                    total += blocks.mixed[s, a, q] * vector[start + q]
            out[6 * s + a] = total
        for index in range(structure.image_starts[i], structure.image_starts[i + 1]):
            n = structure.image_obs[index]
            j = structure.obs_points[n]
            if j == free:
                continue
            term = eliminated.pose_terms[n]
            x, y, z = gathered[j, 0], gathered[j, 1], gathered[j, 2]
            for a in range(6):
                out[6 * s + a] -= term[0, a] * x + term[1, a] * y + term[2, a] * z


@kernel
def apply_own(
    first: int,
    last: int,
    structure: Structure,
    eliminated: Eliminated,
    gathered: Float64s,
    out: Float64s,
) -> None:
    """Subtract the points' part from the rows of a range of camera slots."""
    for camera in range(first, last):
        start = structure.offsets[camera]
        for index in range(
            structure.camera_term_starts[camera], structure.camera_term_starts[camera + 1]
        ):
            e = structure.camera_terms[index]
            j = structure.term_points[e]
            for q in range(structure.offsets[camera + 1] - start):
                for axis in range(3):
                    out[start + q] -= eliminated.own_terms[e, axis, q] * gathered[j, axis]


@kernel
def diagonal_blocks(
    first: int,
    last: int,
    structure: Structure,
    blocks: CameraBlocks,
    eliminated: Eliminated,
    gradient: Float64s,
    out: Float64s,
) -> None:
    """Diagonal blocks (F, 6, 6) of the reduced system and its gradient, for a range of poses."""
    free = len(structure.slot_points)
    for s in range(first, last):
        i = structure.slot_images[s]
        for a in range(6):
            gradient[6 * s + a] = blocks.pose_gradients[s, a]
            for b in range(6):
                out[s, a, b] = blocks.pose_hessians[s, a, b]
        for index in range(structure.image_starts[i], structure.image_starts[i + 1]):
            n = structure.image_obs[index]
            j = structure.obs_points[n]
            if j == free:
                continue
            term = eliminated.pose_terms[n]
            add_product(out[s], term, term, -1.0)
            for a in range(6):
                for axis in range(3):
                    gradient[6 * s + a] -= term[axis, a] * eliminated.gradients[j, axis]


@kernel
def own_diagonal_blocks(
    first: int,
    last: int,
    structure: Structure,
    eliminated: Eliminated,
    gradient: Float64s,
    out: Float64s,
) -> None:
    """Subtract the points' part from the diagonal blocks (S, Q, Q) of a range of camera slots and
    from their gradient."""
    for camera in range(first, last):
        start = structure.offsets[camera]
        size = structure.offsets[camera + 1] - start
        for index in range(
            structure.camera_term_starts[camera], structure.camera_term_starts[camera + 1]
        ):
            e = structure.camera_terms[index]
            j = structure.term_points[e]
            for p in range(size):
                for axis in range(3):
                    x = eliminated.own_terms[e, axis, p]
                    gradient[start + p] -= x * eliminated.gradients[j, axis]
                    for q in range(size):
                        out[camera, p, q] -= x * eliminated.own_terms[e, axis, q]


def conjugate_gradients(
    multiply: Callable[[Float64s], Float64s],
    precondition: Callable[[Float64s], Float64s],
    right: Float64s,
    forcing: float,
) -> Float64s | None:
    """Solve ``A x = right`` for a symmetric positive definite A; None if it is not definite.

    forcing: stop when the last iteration gained less than this share of the mean gain so far.

    Source: Nash and Sofer, "Assessing a search direction within a truncated-Newton method" (1990),
    for when to stop: by the gain of the quadratic model, not by the residual.
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = np.zeros_like(right)
    product_before, model_before = 1.0, 0.0
    for iteration in range(1, _MAX_ITERATIONS + 1):
        scaled = precondition(residual)
        product = float(residual @ scaled)
        if product == 0.0:
            break
        if not product > 0.0:
            return None
        direction = scaled + (product / product_before if iteration > 1 else 0.0) * direction
        product_before = product
        image = multiply(direction)
        curvature = float(direction @ image)
        if not curvature > 0.0:
            return None
        step = product / curvature
        solution += step * direction
        residual -= step * image
        model = -0.5 * float(solution @ (right + residual))
        if iteration * (model - model_before) / model < forcing:
            break
        model_before = model
    return solution


class IterativeSystem:
    """The reduced system as an operator, solved by preconditioned conjugate gradients."""

    def __init__(self, layout: Layout, crew: Crew, cuts: Cuts) -> None:
        self.layout, self.crew, self.cuts = layout, crew, cuts
        structure = layout.structure
        self.pose_inverses = np.empty((len(structure.slot_images), 6, 6))
        self.own_inverses: Float64s = np.empty((0, 0, 0))
        self.gathered = np.empty((len(structure.slot_points), 3))
        self.parts: tuple[CameraBlocks, OwnBlocks, Eliminated, Float64s] | None = None

    def prepare(
        self, blocks: CameraBlocks, own: OwnBlocks, eliminated: Eliminated, damping: Float64s
    ) -> Float64s | None:
        """See `ReducedSystem`."""
        self.parts = (blocks, own, eliminated, damping)
        structure = self.layout.structure
        start = int(structure.offsets[0])
        gradient = np.empty(len(damping))
        gradient[start:] = own.gradient
        poses = np.empty_like(self.pose_inverses)
        self.crew.over(
            self.cuts.poses, diagonal_blocks, structure, blocks, eliminated, gradient, poses
        )
        np.einsum("saa->sa", poses)[:] += damping[:start].reshape(-1, 6)
        cameras = own.blocks.copy()
        self.crew.over(
            self.cuts.cameras, own_diagonal_blocks, structure, eliminated, gradient, cameras
        )
        # Places that smaller cameras leave empty: a one keeps the padded blocks invertible.
        padding = np.ones(cameras.shape[:2])
        padding[own.slots, own.places] = damping[start:]
        np.einsum("saa->sa", cameras)[:] += padding
        try:
            self.pose_inverses[:] = np.linalg.inv(poses)
            self.own_inverses = np.asarray(np.linalg.inv(cameras), np.float64)
        except np.linalg.LinAlgError:
            return None
        gradient[self.layout.held] = 0.0
        return gradient

    def solve(self, right: Float64s) -> Float64s | None:
        """See `ReducedSystem`."""
        return conjugate_gradients(self._multiply, self._precondition, right, _FORCING)

    def solve_exactly(self, right: Float64s) -> Float64s | None:
        """See `ReducedSystem`."""
        columns = []
        for column in right.T:
            solution = conjugate_gradients(
                self._multiply, self._precondition, column.copy(), _EXACT
            )
            if solution is None:
                return None
            columns.append(solution)
        return np.stack(columns, axis=1) if columns else right.copy()

    def _multiply(self, vector: Float64s) -> Float64s:
        assert self.parts is not None, "prepare comes first"
        blocks, own, eliminated, damping = self.parts
        structure, gathered = self.layout.structure, self.gathered
        start = int(structure.offsets[0])
        out = np.empty(len(vector))
        self.crew.over(self.cuts.points, gather_points, structure, eliminated, vector, gathered)
        terms = (structure, blocks, eliminated, gathered, vector, out)
        self.crew.over(self.cuts.poses, apply_poses, *terms)
        padded = np.zeros(own.blocks.shape[:2])
        padded[own.slots, own.places] = vector[start:]
        result = np.einsum("sab,sb->sa", own.blocks, padded)
        with_own = structure.image_camera_slots[structure.slot_images]
        seen = with_own >= 0
        poses = vector[:start].reshape(-1, 6)[seen]
        np.add.at(result, with_own[seen], np.einsum("saq,sa->sq", blocks.mixed[seen], poses))
        out[start:] = result[own.slots, own.places]
        self.crew.over(self.cuts.cameras, apply_own, structure, eliminated, gathered, out)
        out += damping * vector
        out[self.layout.held] = 0.0
        return out

    def _precondition(self, vector: Float64s) -> Float64s:
        assert self.parts is not None, "prepare comes first"
        own = self.parts[1]
        start = int(self.layout.structure.offsets[0])
        out = np.empty(len(vector))
        poses = vector[:start].reshape(-1, 6)
        out[:start] = np.einsum("sab,sb->sa", self.pose_inverses, poses).reshape(-1)
        padded = np.zeros(own.blocks.shape[:2])
        padded[own.slots, own.places] = vector[start:]
        out[start:] = np.einsum("sab,sb->sa", self.own_inverses, padded)[own.slots, own.places]
        out[self.layout.held] = 0.0
        return out
