"""Where a scene lies: the frame, the box and the depths that a field is trained in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
from pipeline.radiance.rendering import DepthRange

_FEWEST_POINTS = 20
_CORE = (2.0, 98.0)  # per cent of the points that the box is to hold
_MARGIN = 0.1  # of the box, on every side
_DEPTHS = (0.2, 99.8)  # per cent of the depths that are sampled for certain
_NEARER, _FURTHER = 0.7, 1.4  # what no point tells lies somewhat beyond those that there are
_MOST_RATIO = 12.0  # of far to near that even sampling can bear
_WITHOUT_POINTS = 4.0  # times the distance that is taken for 1


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """A frame for a field; box and depths are given in it.

    field_from_world: centres the scene and scales it so that its box reaches from -1 to 1 along its
    longest side. box: (2, 3) least and greatest corner. depth_range: for all rays.
    """

    field_from_world: Similarity
    box: Float64s
    depth_range: DepthRange


def frame_of_points(
    points_world: Float64s, poses: Sequence[Pose], seen: Sequence[Float64s]
) -> SceneFrame:
    """The frame of a reconstruction: about the middle of its points, along their main directions.

    points_world: (J, 3). poses: camera from world. seen: (M, 3) points that each camera sees. With
    few points it is `frame_of_cameras`; points that stand alone count for nothing.
    """
    depths = [pose.apply(xyz)[:, 2] for pose, xyz in zip(poses, seen, strict=True) if len(xyz)]
    in_front = np.concatenate([*depths, np.zeros(0)])
    in_front = in_front[in_front > 0]
    if len(points_world) < _FEWEST_POINTS or len(in_front) < _FEWEST_POINTS:
        return frame_of_cameras(poses)
    turn = _main_directions(points_world)
    low, high = np.percentile(points_world @ turn.T, _CORE, axis=0)
    half = np.maximum((high - low) / 2, 0.05 * (high - low).max() / 2) * (1.0 + 2 * _MARGIN)
    scale = 1.0 / float(half.max())
    frame = Similarity(scale, turn, -scale * (low + high) / 2)
    nearest, farthest = scale * np.percentile(in_front, _DEPTHS)
    near, far = _NEARER * float(nearest), _FURTHER * float(farthest)
    if far / near <= _MOST_RATIO:
        depths_of_field = DepthRange(near, far)
    else:
        # Of what is far away only the direction counts.
        depths_of_field = DepthRange(near, np.inf, inverse=True)
    return SceneFrame(frame, scale * np.stack([-half, half]), depths_of_field)


def frame_of_cameras(poses: Sequence[Pose]) -> SceneFrame:
    """A frame where no points are known: something is expected where the cameras look, as far away
    as they are from each other, or further."""
    centers = np.array([pose.center for pose in poses]).reshape(-1, 3)
    middle = centers.mean(axis=0)
    size = float(np.linalg.norm(centers - middle, axis=1).max())
    size = size if size > 0 else 1.0
    forward = np.mean([pose.rotation[2] for pose in poses], axis=0)
    target = middle + size * forward / max(float(np.linalg.norm(forward)), 1e-9)
    scale = 1.0 / (_WITHOUT_POINTS * size)
    frame = Similarity(scale, np.eye(3), -scale * target)
    near = 0.1 * scale * size
    return SceneFrame(
        frame, np.array([[-1.0] * 3, [1.0] * 3]), DepthRange(near, np.inf, inverse=True)
    )


def frame_of_unknown(camera: Camera) -> SceneFrame:
    """The frame for cameras that all begin at the identity: the scene lies before them, at depth 1
    or further away; the box holds what is seen down to depth 4, what lies behind is contracted."""
    corners = camera.unproject(np.array([[0.0, 0.0], [camera.width, camera.height]]))
    corners = np.where(np.isfinite(corners), corners, [[-1.0, -1.0], [1.0, 1.0]])
    (left, top), (right, bottom) = _WITHOUT_POINTS * corners
    box = np.array([[left, top, 1.0], [right, bottom, _WITHOUT_POINTS]])
    return SceneFrame(
        Similarity(1.0, np.eye(3), np.zeros(3)), box, DepthRange(1.0, np.inf, inverse=True)
    )


def _main_directions(points: Float64s) -> Float64s:
    """Rotation (3, 3) that lays the three main directions of the points along the axes.

    Of the middle of the points by distance: a few far away would turn it.
    """
    offsets = points - np.median(points, axis=0)
    distances = np.linalg.norm(offsets, axis=1)
    core = offsets[distances <= np.percentile(distances, 90.0)]
    _, vectors = np.linalg.eigh(core.T @ core)
    rows = vectors.T[::-1]
    largest = np.abs(rows).argmax(axis=1)
    rows = rows * np.sign(rows[np.arange(3), largest])[:, None]  # the solver's signs are arbitrary
    return np.asarray(rows * np.array([1.0, 1.0, np.linalg.det(rows)])[:, None])
