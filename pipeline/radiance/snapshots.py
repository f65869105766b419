"""The cameras as training moves them, for browsers. Only looks: nothing follows from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from pipeline.geometry.similarity import NoSimilarity
from pipeline.live_scenes import LiveScene, up_of
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.evaluation import poses_of
from pipeline.radiance.pose_errors import align_centres
from pipeline.radiance.problem import Problem


class CameraSnapshots:
    """Snapshots of a training's cameras in the frame of the run's sparse model, without points:
    those of mapping are known. photo_numbers: index of every photograph by its name."""

    def __init__(self, problem: Problem, photo_numbers: Mapping[str, int]) -> None:
        names = [view.name for view in problem.views]
        self._photos = np.array([photo_numbers.get(name, -1) for name in names], np.int32)
        self._sizes = np.array([(v.camera.width, v.camera.height) for v in problem.views])
        self._at_first = problem.field_from_world.inverse()
        self._then = [self._at_first.apply_to_pose(pose) for pose in problem.poses]

    @torch.no_grad()
    def of_cameras(self, cameras: RayCameras) -> LiveScene:
        """The cameras now, laid over where they were at first: nothing else holds a field in its
        place."""
        poses = poses_of(cameras)
        found = align_centres(poses, self._then)
        world_from_field = self._at_first if isinstance(found, NoSimilarity) else found
        placed = [world_from_field.apply_to_pose(pose) for pose in poses]
        rotations = np.array([pose.rotation for pose in placed])
        translations = np.array([pose.translation for pose in placed])
        params = cameras.intrinsics[cameras.camera_of_image, :4].clone()
        params[:, :2] *= cameras.focal_logs.exp()[cameras.camera_of_image][:, None]
        intrinsics = np.column_stack([self._sizes, params.cpu().numpy()])
        return LiveScene(
            stage="radiance",
            registered=len(placed),
            of=len(placed),
            up=up_of(rotations),
            poses=np.concatenate([rotations, translations[:, :, None]], axis=2).astype(np.float32),
            photos=self._photos,
            cameras=intrinsics.astype(np.float32),
        )
