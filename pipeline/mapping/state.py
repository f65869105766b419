"""The state of one model while it grows: cameras, poses, and the points that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.config import MappingConfig
from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.mapping import structure
from pipeline.mapping.bundle_threads import Crew, default_threads
from pipeline.mapping.tracks import Tracks

Snapshot = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Limits:
    """What an observation and a point must keep to.

    max_error_px: observations with a larger reprojection error are dropped. min_angle_deg: points
    seen under a smaller angle are dropped.
    """

    max_error_px: float
    min_angle_deg: float

    @staticmethod
    def of(config: MappingConfig, slack: float = 1.0) -> Limits:
        """The configured limits. slack: factor on the error, for cameras not adjusted yet."""
        return Limits(slack * config.max_reprojection_error_px, config.min_triangulation_angle_deg)


class MapState:
    """Mutable, owned by the mapper. Index letters as in `products`; arrays over all images, of
    which `registered` says which count.

    rotations (I, 3, 3), translations (I, 3): cam_from_world. cameras: the current intrinsics k.
    obs_slot (N,), has_point (T, SLOTS), points (T, SLOTS, 3): see `structure.update_points`.
    mean_error_px: at the last adjustment of the whole model; NaN before. To look at only: it does
    not survive a snapshot.
    """

    def __init__(self, tracks: Tracks, cameras: Iterable[Camera], image_cameras: Int64s) -> None:
        images = len(image_cameras)
        self.tracks = tracks
        self.cameras = list(cameras)
        self.start_cameras = tuple(self.cameras)
        self.image_cameras = image_cameras
        self.registered: Bools = np.zeros(images, bool)
        self.rotations: Float64s = np.tile(np.eye(3), (images, 1, 1))
        self.translations: Float64s = np.zeros((images, 3))
        self.obs_slot = np.full(len(tracks.obs_images), structure.FREE, np.int8)
        self.has_point: Bools = np.zeros((len(tracks), structure.SLOTS), bool)
        self.points: Float64s = np.zeros((len(tracks), structure.SLOTS, 3))
        self.mean_error_px = math.nan
        self._rays_cam = np.empty((len(tracks.obs_images), 3))
        self._opencv_params = np.zeros((images, 8))
        self._rays_of_cameras: list[Camera | None] = [None] * len(self.cameras)

    @property
    def registered_images(self) -> Int64s:
        """Indices of the registered images."""
        return np.flatnonzero(self.registered)

    def set_pose(self, i: int, cam_from_world: Pose) -> None:
        """Register image i."""
        self.rotations[i] = cam_from_world.rotation
        self.translations[i] = cam_from_world.translation
        self.registered[i] = True

    def clear(self) -> None:
        """Forget all poses and points; the intrinsics start anew."""
        self.registered[:] = False
        self.obs_slot[:] = structure.FREE
        self.has_point[:] = False
        self.cameras = list(self.start_cameras)

    def pose(self, i: int) -> Pose:
        """cam_from_world of image i."""
        return Pose(self.rotations[i].copy(), self.translations[i].copy())

    def camera_of(self, i: int) -> Camera:
        """Current intrinsics of image i."""
        return self.cameras[int(self.image_cameras[i])]

    def snapshot(self) -> Snapshot:
        """A copy of all that does not follow from the tracks and the intrinsics at the start."""
        return {
            "camera_params": np.concatenate([camera.params for camera in self.cameras]),
            "registered": self.registered.copy(),
            "rotations": self.rotations[self.registered],
            "translations": self.translations[self.registered],
            "obs_slot": self.obs_slot.copy(),
            "has_point": self.has_point.copy(),
            "points": self.points[self.has_point],
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Back to a snapshot of a state with the same tracks and the same intrinsics at the start.

        Everything computed from here on is the same to the last bit.
        """
        ends = np.cumsum([len(camera.params) for camera in self.start_cameras])
        rows = np.split(snapshot["camera_params"], ends[:-1])
        self.cameras = [
            start.with_params(row.copy())
            for start, row in zip(self.start_cameras, rows, strict=True)
        ]
        self.registered[:] = snapshot["registered"]
        self.rotations[self.registered] = snapshot["rotations"]
        self.translations[self.registered] = snapshot["translations"]
        self.obs_slot[:] = snapshot["obs_slot"]
        self.has_point[:] = snapshot["has_point"]
        self.points[self.has_point] = snapshot["points"]

    def centers(self) -> Float64s:
        """Camera centres (I, 3) in the world."""
        return np.asarray(-np.einsum("iba,ib->ia", self.rotations, self.translations))

    def sees_point(self) -> Bools:
        """(N,) whether each observation is part of a point."""
        return np.asarray(self.obs_slot != structure.FREE)

    def visible(self, i: int) -> tuple[Int64s, Float64s]:
        """Observations of image i whose track has a point, and that point (M, 3).

        A track with two points counts with its first.
        """
        obs = self.tracks.of_image(i)
        tracks = self.tracks.obs_tracks[obs]
        has = self.has_point[tracks]
        seen = has.any(axis=1)
        slot = np.argmax(has[seen], axis=1)
        return obs[seen], self.points[tracks[seen], slot]

    def update_points(self, limits: Limits, tracks: Int64s | None = None) -> int:
        """Filter, complete, merge and triangulate (all tracks by default).

        Returns how many observations changed.
        """
        if tracks is None:
            tracks = np.arange(len(self.tracks))
        if not len(tracks):
            return 0
        self._update_rays()
        obs = self.tracks.obs_images
        rays = np.einsum("nba,nb->na", self.rotations[obs], self._rays_cam)
        views = structure.Views(
            self.registered, self.rotations, self.translations, self._opencv_params
        )
        seen = structure.Sightings(
            self.tracks.starts, obs, self.tracks.obs_px, self.centers()[obs], rays
        )
        state = structure.Structure(self.obs_slot, self.has_point, self.points)
        angle = math.radians(limits.min_angle_deg)
        rules = structure.Rules(limits.max_error_px**2, math.cos(angle))
        before = self.obs_slot.copy()
        lengths = self.tracks.starts[tracks + 1] - self.tracks.starts[tracks]
        with Crew(default_threads()) as crew:
            cuts = crew.cuts(np.concatenate([[0], np.cumsum(lengths)]))
            crew.over(cuts, structure.update_points, tracks, seen, views, state, rules)
        return int(np.count_nonzero(before != self.obs_slot))

    def _update_rays(self) -> None:
        """Unit rays in the camera frame, anew where the intrinsics changed; NaN beyond a fold of
        the distortion, where no point is ever triangulated."""
        for k, camera in enumerate(self.cameras):
            if self._rays_of_cameras[k] is camera:
                continue
            images = np.flatnonzero(self.image_cameras == k)
            if not len(images):
                continue
            obs = np.concatenate([self.tracks.of_image(int(i)) for i in images])
            rays = np.ones((len(obs), 3))
            rays[:, :2] = camera.unproject(self.tracks.obs_px[obs])
            self._rays_cam[obs] = rays / np.linalg.norm(rays, axis=1, keepdims=True)
            self._opencv_params[images] = camera.opencv_params
            self._rays_of_cameras[k] = camera

    def errors_px(self, obs: Int64s) -> Float64s:
        """Reprojection errors (M,) of observations that are part of a point."""
        points = self.points[self.tracks.obs_tracks[obs], self.obs_slot[obs]]
        errors = np.empty(len(obs))
        images = self.tracks.obs_images[obs]
        for i in np.unique(images):
            mine = images == i
            projected = self.camera_of(i).project(self.pose(i).apply(points[mine]))
            errors[mine] = np.linalg.norm(projected - self.tracks.obs_px[obs[mine]], axis=1)
        return errors

    @property
    def size(self) -> tuple[int, int]:
        """Registered images and points: what makes one model larger than another."""
        return len(self.registered_images), self.point_count()

    def point_count(self) -> int:
        """Points of the model."""
        return int(np.count_nonzero(self.has_point))
