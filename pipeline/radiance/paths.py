"""Paths for a camera to be moved along, made from the cameras of the photographs.

Everything lies in one frame, that of the poses that are given; paths are poses, camera from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, RotationSpline

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose

_FARNESS = 0.75  # weight of the farthest depth, in 1 / depth, where cameras look in parallel
_SPIRAL_REACH = 90  # percentile of the cameras' offsets
_SPIRAL_TURNS = 2
_LEAST_CONVERGENCE = 1e-2  # of the optical axes; below, they are parallel
_LEAST_SPREAD = 0.1  # of the cameras' x axes, for the up direction to follow from them
_DETOUR = 1.5  # by which the photographs' own order may be longer than the shortest found


@dataclass(frozen=True, eq=False)
class Rig:
    """The cameras of the photographs, and what they look at.

    centers, forwards: (I, 3). up: (3,) unit vector. focus: (3,) what the cameras look at.
    """

    poses: tuple[Pose, ...]
    centers: Float64s
    forwards: Float64s
    up: Float64s
    focus: Float64s


def rig_of(poses: Sequence[Pose], near: float, far: float) -> Rig:
    """What the cameras of photographs have in common.

    near, far: depths of the scene, for cameras that look in parallel; far may be infinite. Raises
    ValueError without a pose.
    """
    if not poses:
        raise ValueError("a path needs at least one camera")
    centers = np.array([pose.center for pose in poses])
    forwards = np.array([pose.rotation[2] for pose in poses])
    depth = 1.0 / ((1.0 - _FARNESS) / near + _FARNESS / far)
    focus = _focus(centers, forwards)
    if focus is None:
        focus = centers.mean(axis=0) + depth * _unit(forwards.mean(axis=0), forwards[0])
    return Rig(tuple(poses), centers, forwards, _up(poses), focus)


def look_at(position: Float64s, target: Float64s, up: Float64s) -> Pose:
    """The camera at a position (3,) that sees a target (3,) in its middle.

    up: (3,), what is to point upwards in the picture. Raises ValueError where target and position
    agree, or `up` points along the view.
    """
    forward = target - position
    right = np.cross(forward, up)
    distance, across = float(np.linalg.norm(forward)), float(np.linalg.norm(right))
    if distance < 1e-12:
        raise ValueError("the camera looks at its own position")
    if across <= 1e-9 * distance * float(np.linalg.norm(up)):
        raise ValueError("the up direction points along the view")
    z, x = forward / distance, right / across
    rotation = np.array([x, np.cross(z, x), z])
    return Pose(rotation, -rotation @ position)


def orbit(rig: Rig, frames: int) -> list[Pose]:
    """Once around the focus, upright, at the cameras' median distance and height; the frame after
    the last one would be the first."""
    offsets = rig.centers - rig.focus
    heights = offsets @ rig.up
    flat = offsets - heights[:, None] * rig.up
    radius = float(np.median(np.linalg.norm(flat, axis=1)))
    first = _unit(flat[0], _perpendicular(rig.up))
    second = np.cross(rig.up, first)
    hub = rig.focus + float(np.median(heights)) * rig.up
    if radius == 0.0:  # all cameras above the focus: looking down from there has no azimuth
        radius = float(np.abs(heights).max())
    angles = 2.0 * math.pi * np.arange(frames) / frames
    ring = radius * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
    return [look_at(hub + arm, rig.focus, rig.up) for arm in ring]


def spiral(rig: Rig, frames: int) -> list[Pose]:
    """A closed spiral through the middle of forward-facing cameras, which looks at their focus.

    Source: the path of "Local Light Field Fusion", ACM TOG 2019, as its successors draw it: as wide
    as most of the cameras stand apart, two turns, and forth and back once.
    """
    middle = rig.centers.mean(axis=0)
    forward = _unit(rig.focus - middle, rig.forwards[0])
    right = _unit(np.cross(forward, rig.up), _perpendicular(forward))
    axes = np.array([right, np.cross(forward, right), forward])
    offsets = (rig.centers - middle) @ axes.T
    reach = np.percentile(np.abs(offsets), _SPIRAL_REACH, axis=0)
    angles = 2.0 * math.pi * _SPIRAL_TURNS * np.arange(frames) / frames
    waves = np.column_stack([np.cos(angles), np.sin(angles), np.sin(angles / _SPIRAL_TURNS)])
    return [look_at(middle + wave @ axes, rig.focus, -axes[1]) for wave in waves * reach]


def through_cameras(rig: Rig, frames: int) -> list[Pose]:
    """Smoothly from camera to camera, through every one, at an even pace.

    In the order of the photographs, unless that wanders about: then along a short way.
    """
    lengths = _lengths_between(rig)
    order = list(range(len(rig.poses)))
    short = _short_way(lengths)
    if _length(lengths, order) > _DETOUR * _length(lengths, short):
        order = short
    steps = [lengths[a, b] for a, b in pairwise(order)]
    times = np.concatenate([[0.0], np.cumsum(steps)])
    distinct = np.concatenate([[True], np.diff(times) > 1e-9])
    poses = [rig.poses[i] for i, kept in zip(order, distinct, strict=True) if kept]
    times = times[distinct]
    return Track(times, poses).at(np.linspace(0.0, float(times[-1]), frames))


class Track:
    """A smooth motion through poses at times that grow.

    Positions follow a cubic spline whose velocity at a pose is that of the parabola through it and
    its neighbours, rotations scipy's spline; both pass through the poses.
    """

    def __init__(self, times: Float64s, poses: Sequence[Pose]) -> None:
        """Raises ValueError where the times do not grow."""
        if len(times) != len(poses) or not len(poses) or not np.all(np.diff(times) > 0):
            raise ValueError("every pose needs a time, later than the one before")
        self._first = poses[0]
        self._centers: CubicHermiteSpline | None = None
        if len(poses) > 1:
            centers = np.array([pose.center for pose in poses])
            self._centers = CubicHermiteSpline(times, centers, np.gradient(centers, times, axis=0))
            turned = Rotation.from_matrix(np.array([pose.rotation.T for pose in poses]))
            self._rotations = RotationSpline(times, turned)

    def at(self, times: Float64s) -> list[Pose]:
        """Poses at times between the first and the last."""
        if self._centers is None:
            return [self._first] * len(times)
        rotations = np.swapaxes(self._rotations(times).as_matrix(), 1, 2)
        centers = self._centers(times)
        return [Pose(r, -r @ c) for r, c in zip(rotations, centers, strict=True)]


def _focus(centers: Float64s, forwards: Float64s) -> Float64s | None:
    """The point nearest to all optical axes; None where they are about parallel, or where it lies
    behind some of the cameras."""
    projections = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]
    matrix = projections.mean(axis=0)
    if np.linalg.eigvalsh(matrix)[0] < _LEAST_CONVERGENCE:
        return None
    focus = np.linalg.solve(matrix, np.mean(projections @ centers[:, :, None], axis=0)[:, 0])
    ahead = np.sum((focus - centers) * forwards, axis=1) > 0
    return np.asarray(focus) if ahead.all() else None


def _up(poses: Sequence[Pose]) -> Float64s:
    """Where up is: across the x axes of all cameras, which people hold level; where these are
    parallel, the mean of the pictures' own up directions."""
    rights = np.array([pose.rotation[0] for pose in poses])
    mean = _unit(-np.mean([pose.rotation[1] for pose in poses], axis=0), -poses[0].rotation[1])
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    if values[1] < _LEAST_SPREAD or values[0] > 0.5 * values[1]:
        return mean
    across = vectors[:, 0]
    return np.asarray(across if across @ mean >= 0 else -across)


def _lengths_between(rig: Rig) -> Float64s:
    """How far it is from camera to camera, (I, I): the distance as a share of the largest one, and
    the angle in radians."""
    distances = np.linalg.norm(rig.centers[:, None] - rig.centers, axis=2)
    flat = np.array([pose.rotation.ravel() for pose in rig.poses])
    turns = np.arccos(np.clip((flat @ flat.T - 1.0) / 2.0, -1.0, 1.0))
    np.fill_diagonal(turns, 0.0)
    return np.asarray(distances / max(float(distances.max()), 1e-12) + turns)


def _short_way(lengths: Float64s) -> list[int]:
    """A short way through all places, from one end to the other: always to the nearest one, then
    with stretches turned round as long as that shortens it (2-opt)."""
    far_off = int(lengths.sum(axis=1).argmax())
    way, left = [far_off], set(range(len(lengths))) - {far_off}
    while left:
        way.append(min(left, key=lambda i: (lengths[way[-1], i], i)))
        left.remove(way[-1])
    improved = True
    while improved:
        improved = False
        for a in range(1, len(way) - 1):
            for b in range(a + 1, len(way)):
                gain = lengths[way[a - 1], way[a]] - lengths[way[a - 1], way[b]]
                if b + 1 < len(way):
                    gain += lengths[way[b], way[b + 1]] - lengths[way[a], way[b + 1]]
                if gain > 1e-9:
                    way[a : b + 1] = way[a : b + 1][::-1]
                    improved = True
    return way


def _length(lengths: Float64s, way: Sequence[int]) -> float:
    return float(lengths[list(way[:-1]), list(way[1:])].sum())


def _perpendicular(direction: Float64s) -> Float64s:
    """Some unit vector across a direction."""
    across = np.cross(direction, np.eye(3)[int(np.abs(direction).argmin())])
    return np.asarray(across / np.linalg.norm(across))


def _unit(vector: Float64s, otherwise: Float64s) -> Float64s:
    """The vector's direction, or another one where it has none."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else otherwise
