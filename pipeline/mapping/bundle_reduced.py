"""The reduced camera system: what is left of the normal equations once the points are eliminated.

Its parameters are the free poses, six each, then the free own parameters of the cameras. The upper
triangle is built block row by block row, each row by one thread.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mapping.bundle_cholesky import envelope, solve_positive_definite
from pipeline.mapping.bundle_kernels import Eliminated, Linearised, Structure, kernel
from pipeline.mapping.bundle_layout import Layout
from pipeline.mapping.bundle_threads import Crew, Cuts


class CameraBlocks(NamedTuple):
    """Hessian blocks and gradients: of poses (F, 6, 6) and (F, 6), of poses with own parameters
    (F, 6, Q), and of own parameters, still image by image, (I, Q, Q) and (I, Q)."""

    pose_hessians: Float64s
    pose_gradients: Float64s
    mixed: Float64s
    own_hessians: Float64s
    own_gradients: Float64s


@dataclass(frozen=True, eq=False)
class OwnBlocks:
    """Hessian blocks (S, Q, Q) of the camera slots, padded to the largest camera, and the gradient
    (O,) of the own parameters. slots, places: (O,) where each own parameter lies in the blocks."""

    slots: Int64s
    places: Int64s
    blocks: Float64s
    gradient: Float64s

    @staticmethod
    def zeros(offsets: Int64s, size: int) -> OwnBlocks:
        """Blocks for camera slots with these offsets, to be filled by `sum`."""
        sizes = np.diff(offsets)
        slots = np.repeat(np.arange(len(sizes)), sizes)
        places = np.arange(len(slots)) + offsets[0] - offsets[slots]
        blocks = np.zeros((len(sizes), size, size))
        return OwnBlocks(slots, places, blocks, np.zeros(len(slots)))

    def sum(self, layout: Layout, blocks: CameraBlocks, own: Float64s) -> None:
        """Sum the parts of the images, in their order, and the priors about the start values."""
        of_image = layout.structure.image_camera_slots
        images = np.flatnonzero(of_image >= 0)
        gradients = np.zeros(self.blocks.shape[:2])
        self.blocks[:] = 0.0
        np.add.at(self.blocks, of_image[images], blocks.own_hessians[images])
        np.add.at(gradients, of_image[images], blocks.own_gradients[images])
        weights = layout.own_sigmas**-2.0
        self.blocks[self.slots, self.places, self.places] += weights
        self.gradient[:] = gradients[self.slots, self.places]
        self.gradient[:] += weights * (own - layout.own_means)

    def diagonal(self) -> Float64s:
        """The diagonal of the Hessian, (O,)."""
        return np.asarray(self.blocks[self.slots, self.places, self.places])


class ReducedSystem(Protocol):
    """A way to solve the reduced camera system."""

    def prepare(
        self, blocks: CameraBlocks, own: OwnBlocks, eliminated: Eliminated, damping: Float64s
    ) -> Float64s | None:
        """Set the system up for a damping (S,); its gradient, zero where a parameter is held. None
        where the system is singular. The blocks are kept by reference."""
        ...

    def solve(self, right: Float64s) -> Float64s | None:
        """The step for a right side (S,), as exact as it needs to be; None where the system is not
        positive definite. May destroy what `prepare` made."""
        ...

    def solve_exactly(self, right: Float64s) -> Float64s | None:
        """The same for columns (S, M), to working precision."""
        ...


@kernel
def add_product(block: Float64s, x: Float64s, y: Float64s, sign: float) -> None:
    """Add ``sign * x^T y`` to a 6x6 block, for x and y of shape (3, 6).

    Every value of y is read before the first is written, which is what lets the compiler, who
    cannot know that the arrays do not overlap, use vector instructions.
    """
    a0, a1, a2, a3, a4, a5 = y[0, 0], y[0, 1], y[0, 2], y[0, 3], y[0, 4], y[0, 5]
    b0, b1, b2, b3, b4, b5 = y[1, 0], y[1, 1], y[1, 2], y[1, 3], y[1, 4], y[1, 5]
    c0, c1, c2, c3, c4, c5 = y[2, 0], y[2, 1], y[2, 2], y[2, 3], y[2, 4], y[2, 5]
    for row in range(6):
        u, v, w = sign * x[0, row], sign * x[1, row], sign * x[2, row]
        block[row, 0] += u * a0 + v * b0 + w * c0
        block[row, 1] += u * a1 + v * b1 + w * c1
        block[row, 2] += u * a2 + v * b2 + w * c2
        block[row, 3] += u * a3 + v * b3 + w * c3
        block[row, 4] += u * a4 + v * b4 + w * c4
        block[row, 5] += u * a5 + v * b5 + w * c5


@kernel
def add_square(block: Float64s, x: Float64s) -> None:
    """Add ``x^T x`` to a 6x6 block, for x of shape (2, 6); see `add_product`."""
    a0, a1, a2, a3, a4, a5 = x[0, 0], x[0, 1], x[0, 2], x[0, 3], x[0, 4], x[0, 5]
    b0, b1, b2, b3, b4, b5 = x[1, 0], x[1, 1], x[1, 2], x[1, 3], x[1, 4], x[1, 5]
    for row in range(6):
        u, v = x[0, row], x[1, row]
        block[row, 0] += u * a0 + v * b0
        block[row, 1] += u * a1 + v * b1
        block[row, 2] += u * a2 + v * b2
        block[row, 3] += u * a3 + v * b3
        block[row, 4] += u * a4 + v * b4
        block[row, 5] += u * a5 + v * b5


@kernel
def sum_images(
    first: int, last: int, structure: Structure, linear: Linearised, out: CameraBlocks
) -> None:
    """The blocks of each image of the range."""
    own_size = out.own_gradients.shape[1]
    for i in range(first, last):
        s = structure.image_slots[i]
        own_free = structure.image_camera_slots[i] >= 0
        if s < 0 and not own_free:
            continue
        if s >= 0:
            for a in range(6):
                out.pose_gradients[s, a] = 0.0
                for b in range(6):
                    out.pose_hessians[s, a, b] = 0.0
                for q in range(own_size):
                    out.mixed[s, a, q] = 0.0
        if own_free:
            for p in range(own_size):
                out.own_gradients[i, p] = 0.0
                for q in range(own_size):
                    out.own_hessians[i, p, q] = 0.0
        for index in range(structure.image_starts[i], structure.image_starts[i + 1]):
            n = structure.image_obs[index]
            by_pose = linear.by_pose[n]
            by_own = linear.by_own[n]
            e0 = linear.residuals[n, 0]
            e1 = linear.residuals[n, 1]
            if s >= 0:
                add_square(out.pose_hessians[s], by_pose)
                for a in range(6):
                    u = by_pose[0, a]
                    v = by_pose[1, a]
                    out.pose_gradients[s, a] += u * e0 + v * e1
                    if own_free:
                        for q in range(own_size):
                            out.mixed[s, a, q] += u * by_own[0, q] + v * by_own[1, q]
            if own_free:
                for p in range(own_size):
                    out.own_gradients[i, p] += by_own[0, p] * e0 + by_own[1, p] * e1
                    for q in range(p, own_size):
                        value = by_own[0, p] * by_own[0, q] + by_own[1, p] * by_own[1, q]
                        out.own_hessians[i, p, q] += value
        if own_free:
            for p in range(own_size):
                for q in range(p):
                    out.own_hessians[i, p, q] = out.own_hessians[i, q, p]


@kernel
def reduce_poses(
    first: int,
    last: int,
    structure: Structure,
    blocks: CameraBlocks,
    eliminated: Eliminated,
    matrix: Float64s,
    gradient: Float64s,
) -> None:
    """The block rows of a range of pose slots: of the upper triangle of ``U - W V^-1 W^T`` and of
    the gradient. The rows are cleared first; damping is not added."""
    poses = len(structure.slot_images)
    offsets = structure.offsets
    cameras = len(offsets) - 1
    # A row is summed here, where its blocks lie together, and then copied to the matrix.
    row = np.zeros((poses, 6, 6))
    touched = np.zeros(poses, np.bool_)
    own_row = np.zeros((cameras, 6, blocks.mixed.shape[2]))
    g = np.zeros(6)
    for s in range(first, last):
        i = structure.slot_images[s]
        touched[s] = True
        own_slot = structure.image_camera_slots[i]
        for a in range(6):
            g[a] = blocks.pose_gradients[s, a]
            for b in range(6):
                row[s, a, b] = blocks.pose_hessians[s, a, b]
            if own_slot >= 0:
                for q in range(own_row.shape[2]):
                    own_row[own_slot, a, q] = blocks.mixed[s, a, q]
        for index in range(structure.image_starts[i], structure.image_starts[i + 1]):
            n = structure.image_obs[index]
            j = structure.obs_points[n]
            if j == len(structure.slot_points):
                continue
            term = eliminated.pose_terms[n]
            z = eliminated.gradients[j]
            for a in range(6):
                g[a] -= term[0, a] * z[0] + term[1, a] * z[1] + term[2, a] * z[2]
            for m in range(n, structure.pose_ends[j]):
                other = structure.obs_slots[m]
                touched[other] = True
                add_product(row[other], term, eliminated.pose_terms[m], -1.0)
                if other == s and m != n:
                    # A point seen twice by one image: the mirrored product is on the diagonal too.
                    add_product(row[other], eliminated.pose_terms[m], term, -1.0)
            for e in range(structure.term_starts[j], structure.term_starts[j + 1]):
                own = own_row[structure.term_slots[e]]
                term_e = eliminated.own_terms[e]
                for a in range(6):
                    x, y, w = term[0, a], term[1, a], term[2, a]
                    for q in range(own.shape[1]):
                        own[a, q] -= x * term_e[0, q] + y * term_e[1, q] + w * term_e[2, q]
        for a in range(6):
            gradient[6 * s + a] = g[a]
            for column in range(6 * s, 6 * poses):
                matrix[6 * s + a, column] = 0.0
            for camera in range(cameras):
                for q in range(own_row.shape[2]):
                    if q < offsets[camera + 1] - offsets[camera]:
                        matrix[6 * s + a, offsets[camera] + q] = own_row[camera, a, q]
                    own_row[camera, a, q] = 0.0
        for other in range(s, poses):
            if touched[other]:
                touched[other] = False
                for a in range(6):
                    for b in range(6):
                        matrix[6 * s + a, 6 * other + b] = row[other, a, b]
                        row[other, a, b] = 0.0


@kernel
def reduce_own(
    first: int,
    last: int,
    structure: Structure,
    eliminated: Eliminated,
    matrix: Float64s,
    gradient: Float64s,
) -> None:
    """Subtract the points' part from the block rows of a range of camera slots, upper triangle."""
    offsets = structure.offsets
    for camera in range(first, last):
        start = offsets[camera]
        size = offsets[camera + 1] - start
        for index in range(
            structure.camera_term_starts[camera], structure.camera_term_starts[camera + 1]
        ):
            e = structure.camera_terms[index]
            j = structure.term_points[e]
            z = eliminated.gradients[j]
            term = eliminated.own_terms[e]
            for p in range(size):
                x, y, w = term[0, p], term[1, p], term[2, p]
                gradient[start + p] -= x * z[0] + y * z[1] + w * z[2]
                for f in range(structure.term_starts[j], structure.term_starts[j + 1]):
                    other = structure.term_slots[f]
                    if other < camera:
                        continue
                    term_f = eliminated.own_terms[f]
                    for q in range(offsets[other + 1] - offsets[other]):
                        matrix[start + p, offsets[other] + q] -= (
                            x * term_f[0, q] + y * term_f[1, q] + w * term_f[2, q]
                        )


class DenseSystem:
    """The reduced system as a dense matrix, factored by Cholesky."""

    def __init__(self, layout: Layout, crew: Crew, cuts: Cuts) -> None:
        self.layout, self.crew, self.cuts = layout, crew, cuts
        self.matrix = np.empty((layout.free_size, layout.free_size))
        self.ends = envelope(layout.structure)

    def prepare(
        self, blocks: CameraBlocks, own: OwnBlocks, eliminated: Eliminated, damping: Float64s
    ) -> Float64s:
        """See `ReducedSystem`."""
        structure, held, matrix = self.layout.structure, self.layout.held, self.matrix
        gradient = np.empty(len(matrix))
        start = int(structure.offsets[0])
        gradient[start:] = own.gradient
        matrix[start:, start:] = 0.0
        for slot, (first, last) in enumerate(itertools.pairwise(structure.offsets)):
            matrix[first:last, first:last] = own.blocks[slot, : last - first, : last - first]
        target = (eliminated, matrix, gradient)
        self.crew.over(self.cuts.poses, reduce_poses, structure, blocks, *target)
        self.crew.over(self.cuts.cameras, reduce_own, structure, *target)
        np.einsum("aa->a", matrix)[:] += damping
        matrix[held, :] = 0.0
        matrix[:, held] = 0.0
        matrix[held, held] = 1.0
        gradient[held] = 0.0
        return gradient

    def solve(self, right: Float64s) -> Float64s | None:
        """See `ReducedSystem`."""
        return solve_positive_definite(self.matrix, right, self.ends)

    def solve_exactly(self, right: Float64s) -> Float64s | None:
        """See `ReducedSystem`."""
        return self.solve(right)
