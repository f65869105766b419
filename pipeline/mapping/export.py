"""From the mapper's state to the product: a sparse model with colours, and verdicts in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.mapping import structure
from pipeline.mapping.state import MapState
from pipeline.products import NO_POINT, PhotoIndex, Points, RegisteredImage, SparseModel

_EXTENT = 10.0  # of the camera centres, as COLMAP normalises


def sparse_model(
    state: MapState,
    photos: PhotoIndex,
    keypoints_px: list[Float64s],
    colors: Mapping[int, UInt8s],
    normalise: bool = True,
) -> SparseModel:
    """The state as a model with COLMAP's numbering (images and cameras from 1).

    keypoints_px: (N_i, 2) of every image. colors: (N_i, 3) of every registered image's keypoints.
    normalise: centre and scale the frame so that the camera centres span about ten units.
    """
    tracks, images = state.tracks, state.registered_images
    center, scale = frame_of_centers(state.centers()[images]) if normalise else (np.zeros(3), 1.0)
    obs = np.flatnonzero(state.sees_point())
    slots = tracks.obs_tracks[obs] * structure.SLOTS + state.obs_slot[obs]
    order = np.lexsort((tracks.obs_images[obs], slots))
    obs, slots = obs[order], slots[order]
    ids, starts, point_of_obs = np.unique(slots, return_index=True, return_inverse=True)
    obs_images, obs_keypoints = tracks.obs_images[obs], tracks.obs_keypoints[obs]
    xyz = state.points.reshape(-1, 3)[ids]
    lengths = np.bincount(point_of_obs, minlength=len(ids))
    errors = np.bincount(point_of_obs, state.errors_px(obs), len(ids))
    rgb = np.zeros((len(obs), 3))
    point_ids = {int(i): np.full(len(keypoints_px[i]), NO_POINT, np.int64) for i in images}
    for i in images:
        mine = obs_images == i
        rgb[mine] = colors[int(i)][obs_keypoints[mine]]
        point_ids[int(i)][obs_keypoints[mine]] = point_of_obs[mine] + 1
    mean_rgb = np.column_stack([np.bincount(point_of_obs, rgb[:, c], len(ids)) for c in range(3)])
    points = Points(
        ids=np.arange(1, len(ids) + 1),
        xyz_world=(xyz - center) * scale,
        rgb=np.round(mean_rgb / np.maximum(lengths, 1)[:, None]).astype(np.uint8),
        error_px=errors / np.maximum(lengths, 1),
        track_starts=np.append(starts, len(obs)).astype(np.int64),
        track_images=obs_images + 1,
        track_keypoints=obs_keypoints,
    )
    registered = {}
    for i in images:
        pose = state.pose(int(i))
        moved = type(pose)(pose.rotation, (pose.translation + pose.rotation @ center) * scale)
        registered[int(i) + 1] = RegisteredImage(
            name=photos.photos[i].name,
            camera=int(state.image_cameras[i]) + 1,
            cam_from_world=moved,
            keypoints_px=keypoints_px[i],
            point_ids=point_ids[int(i)],
        )
    used = sorted({image.camera for image in registered.values()})
    return SparseModel({k: state.cameras[k - 1] for k in used}, registered, points)


def frame_of_centers(centers: Float64s) -> tuple[Float64s, float]:
    """Centre and scale that bring the middle 80 % of the camera centres to `_EXTENT`."""
    low, high = np.percentile(centers, [10, 90], axis=0)
    inside = np.all((centers >= low - 1e-12) & (centers <= high + 1e-12), axis=1)
    center = centers[inside].mean(axis=0) if inside.any() else centers.mean(axis=0)
    extent = float(np.linalg.norm(high - low))
    return center, _EXTENT / extent if extent > 0 else 1.0
