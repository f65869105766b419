"""The final refinement of a model: global adjustments, the principal point, the robust loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config import MappingConfig
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.mapping import structure
from pipeline.mapping.adjustment import Adjusted, Freedom, adjust, with_sigmas
from pipeline.mapping.bundle import BundleOptions
from pipeline.mapping.state import Limits, MapState

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


@dataclass
class Refinement:
    """How far the refinement of a model is, as plain data.

    adjusted: the first adjustment is done. sigma_px: the keypoints' noise, measured after it; None
    where no point tells. freed: cameras k whose principal point is refined; center_rule: the
    configured rule that chose them, None before. rounds: done after that. settled: nothing is left
    to do.
    """

    adjusted: bool = False
    sigma_px: float | None = None
    freed: frozenset[int] = frozenset()
    center_rule: str | None = None
    rounds: int = 0
    settled: bool = False

    def following(self, config: MappingConfig) -> str:
        """The next phase, in words."""
        if not self.adjusted:
            return "global adjustment"
        if self.center_rule != config.refine_principal_point:
            return "principal point"
        return f"refinement {self.rounds + 1}"


def refine_model(
    state: MapState,
    config: MappingConfig,
    refinement: Refinement,
    principal_points: dict[int, str],
) -> None:
    """The next phase: a global adjustment, the choice of principal points, then adjusting and
    updating points in turn until the structure settles.

    A phase works by the configuration as it is when the phase begins. principal_points: receives,
    per camera, what became of its principal point, in words.
    """
    sigma_px = math.inf if refinement.sigma_px is None else refinement.sigma_px
    options = BundleOptions(
        loss=config.loss,
        loss_scale_px=min(config.loss_scale_px, _LOSS_SIGMAS * sigma_px),
        cost_tolerance=_ROUND_TOLERANCE,
    )
    freedom = Freedom(config.refine_focal, config.refine_distortion, refinement.freed)
    if not refinement.adjusted:
        adjust(state, freedom, replace(options, cost_tolerance=_FIRST_TOLERANCE))
        state.update_points(Limits.of(config))
        refinement.sigma_px = noise_sigma_px(state)
        refinement.adjusted = True
        return
    if refinement.center_rule != config.refine_principal_point:
        refinement.freed = release_principal_points(
            state, config, freedom, options, principal_points
        )
        refinement.center_rule = config.refine_principal_point
        return
    limit_px = min(config.max_reprojection_error_px, max(_OUTLIER_SIGMAS * sigma_px, 1.0))
    changed = state.update_points(Limits(limit_px, config.min_triangulation_angle_deg))
    refinement.rounds += 1
    few = changed <= _SETTLED * int(state.sees_point().sum())
    refinement.settled = few or refinement.rounds == _ROUNDS
    tolerance = _FINAL_TOLERANCE if refinement.settled else _ROUND_TOLERANCE
    adjust(state, freedom, replace(options, cost_tolerance=tolerance))


def noise_sigma_px(state: MapState) -> float | None:
    """Standard deviation per axis of the keypoints' noise, from the points seen by three or more.

    A point seen by two is bent to fit them and says little. The median ignores outliers; a Gaussian
    2-vector's length has the median 1.177 sigma; a point of m views takes 3 of 2 m degrees of
    freedom. None where no point has three views.
    """
    obs = np.flatnonzero(state.sees_point())
    point = state.tracks.obs_tracks[obs] * structure.SLOTS + state.obs_slot[obs]
    views = np.bincount(point)[point]
    obs, point, views = obs[views >= 3], point[views >= 3], views[views >= 3]
    if not len(obs):
        return None
    errors_px = state.errors_px(obs) * np.sqrt(2 * views / (2 * views - 3))
    return float(np.median(errors_px)) / 1.1774


def release_principal_points(
    state: MapState,
    config: MappingConfig,
    freedom: Freedom,
    options: BundleOptions,
    notes: dict[int, str],
) -> frozenset[int]:
    """The cameras k whose principal point the observations determine well, to be refined.

    `auto`: cameras shared by enough photographs, whose principal point, when freed, has a standard
    deviation below 0.3 % of the longer side and moves by less than 10 % of it. The adjustment that
    finds this out is kept where every camera passes.
    """
    if config.refine_principal_point == "never":
        return frozenset()
    always = config.refine_principal_point == "always"
    used = np.bincount(state.image_cameras[state.registered_images], minlength=len(state.cameras))
    for number in np.flatnonzero(used):
        notes[int(number)] = f"held: {used[number]} photograph(s) share the camera"
    candidates = frozenset(
        int(k) for k in np.flatnonzero(used) if always or used[k] >= _MIN_CENTER_IMAGES
    )
    if not candidates:
        return candidates
    before, held_cameras = state.snapshot(), list(state.cameras)
    outcome = adjust(state, replace(freedom, principal_point=candidates), with_sigmas(options))
    passed = set()
    for k in candidates:
        good, notes[k] = _judge(k, held_cameras[k], state.cameras[k], outcome)
        if good or always:
            passed.add(k)
    if passed != candidates:
        state.restore(before)
    return frozenset(passed)


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
