"""Bundle adjustment of a growing model: which parameters move, and with which loss."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s, Int64s
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.mapping import structure
from pipeline.mapping.bundle import BundleOptions, BundleProblem, BundleResult, adjust_bundle
from pipeline.mapping.state import MapState

_FOCAL_SIGMA = {True: 0.1, False: 0.4}  # of a focal length with and without a prior, relative
_DISTORTION_SIGMA = 0.05  # else it makes up for a wrong focal length while views are few
_CENTER_SIGMA = 0.05  # of the image size


@dataclass(frozen=True)
class Freedom:
    """Which intrinsics a bundle adjustment may refine."""

    focal: bool = True
    distortion: bool = True
    principal_point: frozenset[int] = frozenset()  # cameras k

    def mask(self, k: int, camera: Camera) -> Bools:
        """Free own parameters of camera k."""
        free = np.zeros(len(camera.params), bool)
        model = MODELS[camera.model]
        for kind, allowed in (
            ("focal", self.focal),
            ("distortion", self.distortion),
            ("center", k in self.principal_point),
        ):
            free[list(model.indices_of(kind))] = allowed
        return free


@dataclass(frozen=True, eq=False)
class Adjusted:
    """A bundle adjustment and the cameras it was about: cameras_used are indices k."""

    result: BundleResult
    cameras_used: Int64s


def adjust(
    state: MapState,
    freedom: Freedom,
    options: BundleOptions,
    free_images: Int64s | None = None,
) -> Adjusted | None:
    """Adjust the whole model, or some images with the points they see while all else is held.

    Writes poses, points and intrinsics back into the state, and of the whole model the mean error.
    None where nothing can be adjusted.
    """
    images = state.registered_images
    obs = np.flatnonzero(state.sees_point())
    if free_images is not None:
        near = np.isin(state.tracks.obs_images[obs], free_images)
        touched = np.zeros(len(state.tracks), bool)
        touched[state.tracks.obs_tracks[obs[near]]] = True
        obs = obs[touched[state.tracks.obs_tracks[obs]]]
        images = np.unique(state.tracks.obs_images[obs])
    if len(obs) < 8 or len(images) < 2:
        return None
    fixed = None if free_images is None else ~np.isin(images, free_images)
    adjusted = _adjust(state, images, obs, fixed, freedom, options)
    if free_images is None:
        state.mean_error_px = float(adjusted.result.obs_errors_px.mean())
    return adjusted


def adjust_points(state: MapState) -> None:
    """Adjust the points alone: all poses and intrinsics are held."""
    obs = np.flatnonzero(state.sees_point())
    images = state.registered_images
    if len(obs):
        held = np.ones(len(images), bool)
        _adjust(state, images, obs, held, Freedom(), BundleOptions(loss="soft_l1"))


def _adjust(
    state: MapState,
    images: Int64s,
    obs: Int64s,
    fixed_images: Bools | None,
    freedom: Freedom,
    options: BundleOptions,
) -> Adjusted:
    tracks = state.tracks
    slot_ids = tracks.obs_tracks[obs] * structure.SLOTS + state.obs_slot[obs]
    ids, obs_points = np.unique(slot_ids, return_inverse=True)
    cameras_used, image_cameras = np.unique(state.image_cameras[images], return_inverse=True)
    place = np.full(len(state.registered), -1)
    place[images] = np.arange(len(images))
    cameras = tuple(state.cameras[k] for k in cameras_used)
    held = fixed_images is not None
    problem = BundleProblem(
        cameras=cameras,
        image_cameras=image_cameras,
        rotations=state.rotations[images],
        translations=state.translations[images],
        points_world=state.points.reshape(-1, 3)[ids],
        obs_images=place[tracks.obs_images[obs]],
        obs_points=obs_points,
        obs_px=tracks.obs_px[obs],
        fixed_images=fixed_images,
        free_intrinsics=None
        if held
        else tuple(
            freedom.mask(int(k), camera) for k, camera in zip(cameras_used, cameras, strict=True)
        ),
        intrinsics_sigmas=None
        if held
        else tuple(prior_sigmas(state.start_cameras[k]) for k in cameras_used),
    )
    result = adjust_bundle(problem, options)
    state.rotations[images] = result.rotations
    state.translations[images] = result.translations
    state.points.reshape(-1, 3)[ids] = result.points_world
    if not held:
        for k, camera in zip(cameras_used, result.cameras, strict=True):
            state.cameras[k] = camera
    return Adjusted(result, cameras_used)


def adjust_pose(state: MapState, i: int, obs: Int64s, points: Float64s, refine: bool) -> float:
    """Adjust one registered image to points that are held; its own intrinsics too if `refine`.

    Returns the median reprojection error in pixels.
    """
    k = int(state.image_cameras[i])
    camera = state.cameras[k]
    problem = BundleProblem(
        cameras=(camera,),
        image_cameras=np.zeros(1, np.int64),
        rotations=state.rotations[[i]],
        translations=state.translations[[i]],
        points_world=points,
        obs_images=np.zeros(len(obs), np.int64),
        obs_points=np.arange(len(obs)),
        obs_px=state.tracks.obs_px[obs],
        fixed_points=np.ones(len(obs), bool),
        free_intrinsics=(Freedom().mask(0, camera),) if refine else None,
        intrinsics_sigmas=(prior_sigmas(camera),) if refine else None,
    )
    result = adjust_bundle(problem, BundleOptions(loss="cauchy", max_iterations=30, gauge="free"))
    state.rotations[i], state.translations[i] = result.rotations[0], result.translations[0]
    if refine:
        state.cameras[k] = result.cameras[0]
    return float(np.median(result.obs_errors_px))


def prior_sigmas(camera: Camera) -> Float64s:
    """Standard deviations of a camera's own parameters about their start: weak, but enough to keep
    an undetermined one from running away."""
    sigmas = np.full(len(camera.params), np.inf)
    model = MODELS[camera.model]
    sigmas[list(model.indices_of("focal"))] = _FOCAL_SIGMA[camera.has_focal_prior] * camera.focal_px
    sigmas[list(model.indices_of("center"))] = _CENTER_SIGMA * max(camera.width, camera.height)
    sigmas[list(model.indices_of("distortion"))] = _DISTORTION_SIGMA
    return sigmas


def with_sigmas(options: BundleOptions) -> BundleOptions:
    """The same options, asking for the standard deviations of the intrinsics."""
    return replace(options, want_intrinsics_sigmas=True)
