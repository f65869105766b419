"""The final refinement of a model: global adjustments, the principal point, the robust loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.config import MappingConfig
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.mapping import structure
from pipeline.mapping.adjustment import Adjusted, Freedom, adjust, with_sigmas
from pipeline.mapping.bundle import BundleOptions
from pipeline.mapping.state import MapState

_ROUNDS = 3
_FIRST_TOLERANCE = 1e-3
_ROUND_TOLERANCE = 3e-4
_FINAL_TOLERANCE = 3e-5
# Shadows, leaves and people move by a few pixels, which no threshold tells from noise. A loss that
# bends well within the noise follows the majority that agrees to a fraction of a pixel.
_LOSS_SIGMAS = 0.7
_OUTLIER_SIGMAS = 4.0
_SETTLED = 0.0005  # share of observations that may still change
_MIN_CENTER_IMAGES = 6
_MAX_CENTER_SIGMA = 0.003  # of the longer side
_MAX_CENTER_SHIFT = 0.1


def refine_model(
    state: MapState, config: MappingConfig, principal_points: dict[int, str]
) -> Iterator[str]:
    """Adjust and update points in turn until the structure settles; yields what it is doing.

    principal_points: receives, per camera, what became of its principal point, in words.
    """
    options = BundleOptions(
        loss=config.loss, loss_scale_px=config.loss_scale_px, cost_tolerance=_ROUND_TOLERANCE
    )
    freedom = Freedom(config.refine_focal, config.refine_distortion)
    yield "global adjustment"
    adjust(state, freedom, replace(options, cost_tolerance=_FIRST_TOLERANCE))
    state.update_points()
    sigma_px = noise_sigma_px(state)
    options = replace(options, loss_scale_px=min(config.loss_scale_px, _LOSS_SIGMAS * sigma_px))
    state.max_error_px = min(config.max_reprojection_error_px, max(_OUTLIER_SIGMAS * sigma_px, 1.0))
    yield "principal point"
    freedom = release_principal_points(state, config, freedom, options, principal_points)
    for round_number in range(_ROUNDS):
        yield f"refinement {round_number + 1}"
        changed = state.update_points()
        last = round_number == _ROUNDS - 1 or changed <= _SETTLED * state.sees_point().sum()
        tolerance = _FINAL_TOLERANCE if last else _ROUND_TOLERANCE
        adjust(state, freedom, replace(options, cost_tolerance=tolerance))
        if last:
            break


def noise_sigma_px(state: MapState) -> float:
    """Standard deviation per axis of the keypoints' noise, from the points seen by three or more.

    A point seen by two is bent to fit them and says little. The median ignores outliers; a Gaussian
    2-vector's length has the median 1.177 sigma; a point of m views takes 3 of 2 m degrees of
    freedom. Infinite where no point has three views.
    """
    obs = np.flatnonzero(state.sees_point())
    point = state.tracks.obs_tracks[obs] * structure.SLOTS + state.obs_slot[obs]
    views = np.bincount(point)[point]
    obs, point, views = obs[views >= 3], point[views >= 3], views[views >= 3]
    if not len(obs):
        return float("inf")
    errors_px = state.errors_px(obs) * np.sqrt(2 * views / (2 * views - 3))
    return float(np.median(errors_px)) / 1.1774


def release_principal_points(
    state: MapState,
    config: MappingConfig,
    freedom: Freedom,
    options: BundleOptions,
    notes: dict[int, str],
) -> Freedom:
    """Free the principal points that the observations determine well.

    `auto`: cameras shared by enough photographs, whose principal point, when freed, has a standard
    deviation below 0.3 % of the longer side and moves by less than 10 % of it. The adjustment that
    finds this out is kept where every camera passes.
    """
    if config.refine_principal_point == "never":
        return freedom
    always = config.refine_principal_point == "always"
    used = np.bincount(state.image_cameras[state.registered_images], minlength=len(state.cameras))
    for number in np.flatnonzero(used):
        notes[int(number)] = f"held: {used[number]} photograph(s) share the camera"
    candidates = frozenset(
        int(k) for k in np.flatnonzero(used) if always or used[k] >= _MIN_CENTER_IMAGES
    )
    if not candidates:
        return freedom
    before = state.snapshot()
    outcome = adjust(state, replace(freedom, principal_point=candidates), with_sigmas(options))
    passed = set()
    for k in candidates:
        good, notes[k] = _judge(k, before.cameras[k], state.cameras[k], outcome)
        if good or always:
            passed.add(k)
    if passed != candidates:
        state.restore(before)
    return replace(freedom, principal_point=frozenset(passed))


def _judge(k: int, held: Camera, freed: Camera, outcome: Adjusted | None) -> tuple[bool, str]:
    """Whether camera k's principal point is well determined, and the finding in words."""
    if outcome is None or outcome.result.intrinsics_sigmas is None:
        return False, "held: nothing to adjust"
    row = int(np.flatnonzero(outcome.cameras_used == k)[0])
    center = list(MODELS[freed.model].indices_of("center"))
    longer = max(freed.width, freed.height)
    sigma_px = float(outcome.result.intrinsics_sigmas[row][center].max())
    shift_px = float(np.abs(freed.params[center] - held.params[center]).max())
    finding = f"moves by {shift_px:.1f} px with a standard deviation of {sigma_px:.2f} px"
    if sigma_px < _MAX_CENTER_SIGMA * longer and shift_px < _MAX_CENTER_SHIFT * longer:
        return True, f"refined: {finding}"
    return False, f"held: it {finding}, too uncertain to trust"
