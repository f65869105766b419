"""The incremental loop (Schoenberger & Frahm, CVPR 2016; COLMAP's incremental mapper)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.config import MappingConfig
from pipeline.geometry.arrays import Int64s
from pipeline.geometry.poses import Pose
from pipeline.mapping.adjustment import Freedom, adjust, adjust_pose
from pipeline.mapping.bundle import BundleOptions
from pipeline.mapping.initial import Demands, candidate_pairs, demands
from pipeline.mapping.refinement import Refinement
from pipeline.mapping.resection import ResectionFailure, resect
from pipeline.mapping.state import Limits, MapState
from pipeline.products import Pair, TwoViewGeometries, TwoViewGeometry

_MIN_INITIAL_POINTS = 30
_MAX_INITIAL_TRIALS = 20
_BATCH_SHARE = 0.75  # images whose score is this near to the best are registered together
_MAX_TRIALS = 3
_PYRAMID_LEVELS = 6
_COST_TOLERANCE = 1e-4


@dataclass
class Growth:
    """What is remembered of a model between its steps, as plain data.

    available: images that may join. start: which of the intrinsics to begin with. order: the images
    that have joined, one after the other. tried: initial pairs. trials, reasons: per image how
    often registration was tried and why it last failed. rules: the configured thresholds of the
    last step. principal_points: per camera what became of it. images_at_global, points_at_global:
    the model's size at the last global adjustment. refinement: None while the model grows.
    """

    available: set[int]
    start: int = 0
    order: list[int] = field(default_factory=list)
    tried: set[Pair] = field(default_factory=set)
    trials: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    rules: tuple[float, ...] | None = None
    principal_points: dict[int, str] = field(default_factory=dict)
    images_at_global: int = 0
    points_at_global: int = 0
    refinement: Refinement | None = None


def grow_model(
    state: MapState, geometries: TwoViewGeometries, config: MappingConfig, growth: Growth
) -> bool:
    """One step: try an initial pair, or register images and adjust.

    False where there was nothing to do: the model grows no more, or none could begin and no image
    is registered.
    """
    if state.registered.any():
        return _register_next(state, config, growth)
    return _try_initial_pair(state, geometries, config, growth)


def _try_initial_pair(
    state: MapState, geometries: TwoViewGeometries, config: MappingConfig, growth: Growth
) -> bool:
    """The most promising pair that was not tried yet; the state stays empty where it fails."""
    if len(growth.tried) >= _MAX_INITIAL_TRIALS:
        return False
    for wanted in demands(config):
        for pair, geometry in candidate_pairs(geometries, growth.available, wanted):
            if pair not in growth.tried:
                growth.tried.add(pair)
                if _start_from(state, pair, geometry, wanted, config):
                    growth.order.extend(pair)
                else:
                    state.clear()
                return True
    return False


def _start_from(
    state: MapState, pair: Pair, geometry: TwoViewGeometry, wanted: Demands, config: MappingConfig
) -> bool:
    if geometry.cam2_from_cam1 is None:
        return False
    state.set_pose(pair[0], Pose.identity())
    state.set_pose(pair[1], geometry.cam2_from_cam1)
    limits = Limits.of(config)
    state.update_points(Limits(2.0 * limits.max_error_px, wanted.angle_deg / 4))
    for _ in range(2):
        adjust(state, Freedom(focal=False, distortion=False), _options(config.global_iterations))
        state.update_points(limits)
    return state.point_count() >= _MIN_INITIAL_POINTS


def _options(max_iterations: int) -> BundleOptions:
    return BundleOptions("soft_l1", max_iterations=max_iterations, cost_tolerance=_COST_TOLERANCE)


def _register_next(state: MapState, config: MappingConfig, growth: Growth) -> bool:
    """Register the images that see most and adjust; False when the model can carry none."""
    _heed_changes(state, config, growth)
    batch = next_images(state, config, growth)
    new = [i for i in batch if _register(state, i, config, growth)]
    if not new:
        return bool(batch)
    tracks = np.unique(
        state.tracks.obs_tracks[np.concatenate([state.tracks.of_image(i) for i in new])]
    )
    state.update_points(Limits.of(config, slack=1.5), tracks)
    count, points = len(state.registered_images), state.point_count()
    if (
        count <= config.local_images
        or count >= config.global_growth * growth.images_at_global
        or points >= config.global_growth * growth.points_at_global
    ):
        adjust(state, _freedom(state, config), _options(config.global_iterations))
        state.update_points(Limits.of(config))
        growth.images_at_global, growth.points_at_global = count, state.point_count()
    else:
        near = neighbourhood(state, new, config.local_images)
        adjust(state, Freedom(), _options(config.local_iterations), near)
        state.update_points(Limits.of(config), tracks)
    return True


def _heed_changes(state: MapState, config: MappingConfig, growth: Growth) -> None:
    """Where a threshold has changed: drop what it now forbids, and let all images try again."""
    rules = (
        float(config.min_resection_inliers),
        config.max_resection_error_px,
        config.max_reprojection_error_px,
        config.min_triangulation_angle_deg,
    )
    if growth.rules is not None and growth.rules != rules:
        growth.trials.clear()
        state.update_points(Limits.of(config))
    growth.rules = rules


def _freedom(state: MapState, config: MappingConfig) -> Freedom:
    """Early on, two views leave the distortion to guesswork; the focal length has its prior."""
    enough = len(state.registered_images) >= 4
    return Freedom(config.refine_focal, config.refine_distortion and enough)


def next_images(state: MapState, config: MappingConfig, growth: Growth) -> list[int]:
    """The best image to register next, with those whose score is nearly as good; [] when none can
    be.

    An image is tried again only when it sees more than at its last trial, three times at most.
    """
    scores: dict[int, float] = {}
    for i in sorted(growth.available - set(state.registered_images.tolist())):
        obs, _ = state.visible(i)
        if len(obs) < config.min_resection_inliers:
            if len(obs):
                growth.reasons[i] = (
                    f"sees {len(obs)} points of the model, {config.min_resection_inliers} needed"
                )
            continue
        if growth.trials.get(i, 0) >= _MAX_TRIALS:
            continue
        camera = state.camera_of(i)
        score = (
            float(len(obs))
            if config.next_image == "overlap"
            else visibility_score(state.tracks.obs_px[obs], camera.width, camera.height)
        )
        scores[i] = score / 4.0 ** growth.trials.get(i, 0)
    if not scores:
        return []
    best = max(scores.values())
    chosen = [i for i, score in scores.items() if score >= _BATCH_SHARE * best]
    return sorted(chosen, key=lambda i: (-scores[i], i))


def visibility_score(points_px: np.ndarray, width: int, height: int) -> float:
    """How many points, how well spread: cells occupied in a pyramid of ever finer grids, each worth
    its grid's number of cells per side squared (Schoenberger & Frahm 2016, section 4.2)."""
    score = 0.0
    for level in range(_PYRAMID_LEVELS):
        side = 2 ** (level + 1)
        cells = np.clip((points_px * side / (width, height)).astype(np.int64), 0, side - 1)
        score += len(np.unique(cells[:, 0] * side + cells[:, 1])) * side * side
    return score


def _register(state: MapState, i: int, config: MappingConfig, growth: Growth) -> bool:
    """Resection of one image; a failure leaves its reason in `growth`."""
    growth.trials[i] = growth.trials.get(i, 0) + 1
    obs, points = state.visible(i)
    k = int(state.image_cameras[i])
    new_camera = not np.any(state.registered & (state.image_cameras == k))
    camera = state.cameras[k]
    guess = new_camera and not camera.has_focal_prior
    found = resect(points, state.tracks.obs_px[obs], camera, guess, config)
    if isinstance(found, ResectionFailure):
        growth.reasons[i] = found.reason
        return False
    if new_camera:
        state.cameras[k] = found.camera
    state.set_pose(i, found.cam_from_world)
    adjust_pose(
        state, i, obs[found.inliers], points[found.inliers], new_camera and config.refine_focal
    )
    growth.reasons.pop(i, None)
    growth.order.append(i)
    return True


def neighbourhood(state: MapState, new: list[int], size: int) -> Int64s:
    """The new images and, for each, the registered ones that share most points with it, so that
    there are `size` of them."""
    chosen = set(new)
    sees = state.sees_point()
    for i in new:
        obs = state.tracks.of_image(i)
        mine = np.zeros(len(state.tracks), bool)
        mine[state.tracks.obs_tracks[obs[sees[obs]]]] = True
        shared = np.bincount(
            state.tracks.obs_images[sees & mine[state.tracks.obs_tracks]],
            minlength=len(state.registered),
        )
        shared[i] = 0  # it is in already
        chosen.update(
            int(n) for n in np.argsort(-shared, kind="stable")[: size - 1] if shared[n] > 0
        )
    return np.array(sorted(chosen))
