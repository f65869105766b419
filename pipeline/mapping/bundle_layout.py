"""The order in which bundle adjustment visits its observations, and what is free in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.cameras import MODELS
from pipeline.mapping.bundle import BundleProblem
from pipeline.mapping.bundle_kernels import Observations, Structure, kernel


@dataclass(frozen=True, eq=False)
class Layout:
    """The sorted problem.

    order: (N,) rows of the problem's observations that depend on something free, as sorted. obs:
    those observations. structure: their blocks. own: per camera slot the camera and its refined own
    parameters. own_size: most refined parameters of a camera. free_size: of the reduced system.
    held: reduced parameters held for the gauge. own_means, own_sigmas: (O,) start values of all
    refined own parameters and their priors' standard deviations (inf: none).
    """

    order: Int64s
    obs: Observations
    structure: Structure
    own: tuple[tuple[int, Int64s], ...]
    own_size: int
    free_size: int
    held: Int64s
    own_means: Float64s
    own_sigmas: Float64s

    def with_own(self, opencv: Float64s, own: Float64s) -> Float64s:
        """OPENCV parameters (K, 8) with other values (O,) of the refined own parameters."""
        result = opencv.copy()
        starts = self.structure.offsets - self.structure.offsets[0]
        for (k, _), start in zip(self.own, starts, strict=False):
            feeds = self.structure.feeds[k]
            fed = feeds >= 0
            result[k, fed] = own[start + feeds[fed]]
        return result

    def spread(self, own: Float64s, rows: Sequence[Float64s]) -> tuple[Float64s, ...]:
        """Per camera a row of own parameters, with the values (O,) in place of the refined ones."""
        result = [row.copy() for row in rows]
        starts = self.structure.offsets - self.structure.offsets[0]
        for (k, columns), start in zip(self.own, starts, strict=False):
            result[k][columns] = own[start : start + len(columns)]
        return tuple(result)


def lay_out(problem: BundleProblem, hold_gauge: bool) -> Layout:
    """Number what is free and sort the observations by point and pose.

    What no observation sees is held. With hold_gauge, poses are held as in `_gauge`.
    """
    images, points = len(problem.rotations), len(problem.points_world)
    per_image = np.bincount(problem.obs_images, minlength=images)
    per_point = np.bincount(problem.obs_points, minlength=points)
    image_free = _free(problem.fixed_images, per_image)
    point_free = _free(problem.fixed_points, per_point)
    held = _gauge(problem, image_free, per_image) if hold_gauge else None
    if held is not None and held.pose is not None:
        image_free[held.pose] = False
    image_slots, slot_images = _slots(image_free)
    point_slots, slot_points = _slots(point_free)
    own, camera_slots, feeds = _own_parameters(problem, per_image)

    image_slot = image_slots[problem.obs_images]
    slot_points = _by_first_pose(point_slots, slot_points, problem.obs_points, image_slot)
    point_slots[slot_points] = np.arange(len(slot_points))
    camera_slot = camera_slots[problem.image_cameras][problem.obs_images]
    point_slot = point_slots[problem.obs_points]
    active = np.flatnonzero((image_slot >= 0) | (point_slot >= 0) | (camera_slot >= 0))
    poses, free_points = len(slot_images), len(slot_points)
    by_pose, _ = _stable_order(np.where(image_slot < 0, poses, image_slot)[active], poses + 1)
    order = active[by_pose]
    by_point, starts = _stable_order(
        np.where(point_slot < 0, free_points, point_slot)[order], free_points + 1
    )
    order = order[by_point]

    obs = Observations(
        problem.obs_images[order].astype(np.int64),
        problem.obs_points[order].astype(np.int64),
        np.ascontiguousarray(problem.obs_px[order], np.float64),
    )
    point_starts = starts[: free_points + 1].copy()
    obs_slots = image_slot[order]
    obs_points = np.where(point_slot < 0, free_points, point_slot)[order]
    with_pose = np.bincount(obs_points[obs_slots >= 0], minlength=free_points + 1)
    image_obs, image_starts = _stable_order(obs.images, images)
    obs_terms, term_starts, term_slots, term_points = _terms(
        point_starts, camera_slot[order], len(own)
    )
    camera_terms, camera_term_starts = _stable_order(term_slots, len(own))
    offsets = 6 * poses + np.cumsum([0, *(len(columns) for _, columns in own)])
    structure = Structure(
        image_slots=image_slots,
        image_camera_slots=camera_slots[problem.image_cameras],
        slot_images=slot_images,
        feeds=feeds,
        point_starts=point_starts,
        pose_ends=point_starts[:-1] + with_pose[:free_points],
        slot_points=slot_points,
        image_starts=image_starts,
        image_obs=image_obs,
        obs_slots=obs_slots,
        obs_points=obs_points,
        term_starts=term_starts,
        term_slots=term_slots,
        term_points=term_points,
        obs_terms=obs_terms,
        camera_term_starts=camera_term_starts,
        camera_terms=camera_terms,
        offsets=offsets,
    )
    held_parameters = np.zeros(0, np.int64)
    if held is not None and held.coordinate is not None:
        image, axis = held.coordinate
        held_parameters = np.array([6 * image_slots[image] + 3 + axis])
    own_means = _gather(own, [camera.params for camera in problem.cameras])
    own_sigmas = np.full(len(own_means), np.inf)
    if problem.intrinsics_sigmas is not None:
        own_sigmas = _gather(own, problem.intrinsics_sigmas)
    return Layout(
        order=order,
        obs=obs,
        structure=structure,
        own=own,
        own_size=max((len(columns) for _, columns in own), default=0),
        free_size=int(offsets[-1]),
        held=held_parameters,
        own_means=own_means,
        own_sigmas=own_sigmas,
    )


class _Held(NamedTuple):
    """An image whose pose is held, and an image with one held translation coordinate."""

    pose: int | None
    coordinate: tuple[int, int] | None


def _gauge(problem: BundleProblem, image_free: Bools, per_image: Int64s) -> _Held | None:
    """What to hold so that the frame of reference cannot drift; None where the problem fixes it.

    Two held images with observations, or any held point that is seen, fix the frame. Otherwise the
    one held image, or else the first free one, is the origin, and of the image farthest from it the
    translation coordinate along which the baseline is longest gives the scale. Where all centres
    coincide no scale is held: the damping keeps it.
    """
    if problem.fixed_points is not None and np.any(problem.fixed_points[problem.obs_points]):
        return None
    seen = np.flatnonzero(per_image)
    free = np.flatnonzero(image_free)
    held = seen[~image_free[seen]]
    if len(held) >= 2 or len(free) == 0:
        return None
    origin = int(held[0]) if len(held) else int(free[0])
    centers = -np.einsum("iba,ib->ia", problem.rotations, problem.translations)
    distances = np.linalg.norm(centers[free] - centers[origin], axis=1)
    farthest = int(free[np.argmax(distances)])
    pose = None if len(held) else origin
    if not distances.max() > 0.0:
        return _Held(pose, None)
    # Growing the scene about the origin moves this translation along the baseline, in its frame.
    baseline = problem.rotations[farthest] @ (centers[origin] - centers[farthest])
    return _Held(pose, (farthest, int(np.argmax(np.abs(baseline)))))


def _free(fixed: Bools | None, observations: Int64s) -> Bools:
    return (
        np.asarray(observations > 0) if fixed is None else np.asarray(~fixed & (observations > 0))
    )


def _slots(free: Bools) -> tuple[Int64s, Int64s]:
    """Number of each free thing, or -1; and the thing of each number."""
    things = np.flatnonzero(free)
    slots = np.full(len(free), -1, np.int64)
    slots[things] = np.arange(len(things))
    return slots, things


def _by_first_pose(
    point_slots: Int64s, slot_points: Int64s, obs_points: Int64s, image_slot: Int64s
) -> Int64s:
    """The free points sorted by the first free pose that sees them: the observations of an image
    then lie close together in memory, and its row of the reduced system is built from the cache."""
    first = np.full(len(point_slots), np.iinfo(np.int64).max)
    with_pose = image_slot >= 0
    np.minimum.at(first, obs_points[with_pose], image_slot[with_pose])
    return np.asarray(slot_points[np.argsort(first[slot_points], kind="stable")])


def _own_parameters(
    problem: BundleProblem, per_image: Int64s
) -> tuple[tuple[tuple[int, Int64s], ...], Int64s, Int64s]:
    """The refined parameters of each camera that is seen, camera slots (K,), and feeds (K, 8)."""
    cameras = len(problem.cameras)
    camera_slots = np.full(cameras, -1, np.int64)
    feeds = np.full((cameras, 8), -1, np.int64)
    own: list[tuple[int, Int64s]] = []
    if problem.free_intrinsics is None:
        return (), camera_slots, feeds
    seen = np.unique(problem.image_cameras[per_image > 0])
    for k in seen:
        columns = np.flatnonzero(problem.free_intrinsics[k])
        if not len(columns):
            continue
        camera_slots[k] = len(own)
        own.append((int(k), columns))
        opencv_from_own = MODELS[problem.cameras[k].model].opencv_from_own
        for q, column in enumerate(columns):
            feeds[k, opencv_from_own[:, column] != 0.0] = q
    return tuple(own), camera_slots, feeds


def _gather(own: tuple[tuple[int, Int64s], ...], rows: Sequence[Float64s]) -> Float64s:
    """The refined ones of the own parameters of all cameras, (O,)."""
    return np.concatenate([np.zeros(0), *(rows[k][columns] for k, columns in own)])


@kernel
def _stable_order(keys: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Stable counting sort of keys below count: the order, and the start of each key."""
    starts = np.zeros(count + 1, np.int64)
    for key in keys:
        starts[key + 1] += 1
    for key in range(count):
        starts[key + 1] += starts[key]
    following = starts.copy()
    order = np.empty(len(keys), np.int64)
    for n in range(len(keys)):
        order[following[keys[n]]] = n
        following[keys[n]] += 1
    return order, starts


@kernel
def _terms(
    point_starts: Int64s, camera_slots: Int64s, cameras: int
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Pairs (free point, free camera): term of each observation or -1, first term of each point,
    and camera slot and point of each term."""
    points = len(point_starts) - 1
    obs_terms = np.full(len(camera_slots), -1, np.int64)
    starts = np.zeros(points + 1, np.int64)
    slots = np.empty(point_starts[points] if cameras else 0, np.int64)
    owners = np.empty(len(slots), np.int64)
    newest = np.full(cameras, -1, np.int64)
    count = 0
    for j in range(points):
        for n in range(point_starts[j], point_starts[j + 1]):
            slot = camera_slots[n]
            if slot < 0:
                continue
            # The newest term of this camera is the point's own only if the point began it.
            if newest[slot] < starts[j]:
                newest[slot] = count
                slots[count] = slot
                owners[count] = j
                count += 1
            obs_terms[n] = newest[slot]
        starts[j + 1] = count
    return obs_terms, starts, slots[:count].copy(), owners[:count].copy()
