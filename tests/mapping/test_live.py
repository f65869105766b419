"""A parameter that changes between two steps counts from the next one on."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.config import MappingConfig
from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mapping import adjustment, incremental, refinement
from pipeline.mapping.adjustment import Adjusted, Freedom
from pipeline.mapping.bundle import BundleOptions
from pipeline.mapping.incremental import Growth, grow_model
from pipeline.mapping.mapper import Mapper
from pipeline.mapping.refinement import Refinement, refine_model
from pipeline.mapping.state import MapState
from pipeline.mapping.tracks import build_tracks
from tests.mapping.views import Photographed, photograph
from tests.synthetic import WorldSpec

SPEC = WorldSpec(images=9, points=260, views=5, noise_px=0.6, arc=1.6, seed=31)
CONFIG = MappingConfig()
STRICT = MappingConfig(max_resection_error_px=0.02)


@cache
def _scene() -> Photographed:
    return photograph(SPEC)


class Mapping:
    """A model in the making, step by step."""

    def __init__(self) -> None:
        scene, truth = _scene(), _scene().world.truth
        tracks = build_tracks(scene.geometries, scene.keypoints_px)
        self.state = MapState(tracks, truth.cameras, truth.image_cameras)
        self.growth = Growth(set(range(SPEC.images)))
        self.refinement = Refinement()

    def grow(self, images: int, config: MappingConfig = CONFIG) -> Mapping:
        """Up to so many images at least."""
        while len(self.state.registered_images) < images:
            assert self.step(config)
        return self

    def step(self, config: MappingConfig) -> bool:
        return grow_model(self.state, _scene().geometries, config, self.growth)

    def refine(self, config: MappingConfig) -> None:
        refine_model(self.state, config, self.refinement, self.growth.principal_points)

    def errors_px(self) -> Float64s:
        """Of all observations that are part of a point."""
        return self.state.errors_px(np.flatnonzero(self.state.sees_point()))

    def angles_deg(self) -> Float64s:
        """Per point, the largest angle under which it sees two of its cameras."""
        state, tracks, found = self.state, self.state.tracks, []
        for track, slot in np.argwhere(state.has_point):
            obs = np.arange(tracks.starts[track], tracks.starts[track + 1])
            mine = tracks.obs_images[obs[state.obs_slot[obs] == slot]]
            rays = state.centers()[mine] - state.points[track, slot]
            rays /= np.linalg.norm(rays, axis=1, keepdims=True)
            found.append(np.degrees(np.arccos((rays @ rays.T).min())))
        return np.array(found)


class Spy:
    """Records the bundle adjustments that pass through it."""

    def __init__(self) -> None:
        self.calls: list[tuple[BundleOptions, Freedom, Int64s | None]] = []

    def __call__(
        self,
        state: MapState,
        freedom: Freedom,
        options: BundleOptions,
        free_images: Int64s | None = None,
    ) -> Adjusted | None:
        self.calls.append((options, freedom, free_images))
        return adjustment.adjust(state, freedom, options, free_images)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    found = Spy()
    monkeypatch.setattr(incremental, "adjust", found)
    monkeypatch.setattr(refinement, "adjust", found)
    return found


def test_which_parameters_change_while_it_maps() -> None:
    fields = MappingConfig.model_json_schema()["properties"]
    live = {name for name, entry in fields.items() if entry["applies"] == "live"}
    assert set(fields) - live == {
        *("next_image", "min_pair_inliers", "min_initial_angle_deg"),
        *("max_models", "min_model_images", "seed"),
    }


def test_a_lower_error_limit_drops_observations_at_the_next_step() -> None:
    changed, unchanged = Mapping().grow(6), Mapping().grow(6)
    assert np.count_nonzero(changed.errors_px() > 0.8) > 50
    changed.step(MappingConfig(max_reprojection_error_px=0.8))
    unchanged.step(CONFIG)
    assert np.quantile(changed.errors_px(), 0.99) < 0.9
    assert np.count_nonzero(unchanged.errors_px() > 0.9) > 50


def test_a_larger_angle_drops_points_at_the_next_step() -> None:
    changed, unchanged = Mapping().grow(6), Mapping().grow(6)
    changed.step(MappingConfig(min_triangulation_angle_deg=35.0))
    unchanged.step(CONFIG)
    assert 34.5 < changed.angles_deg().min() < 40.0
    assert 20.0 < unchanged.angles_deg().min() < 30.0


def test_photographs_that_were_given_up_try_again_under_other_demands() -> None:
    mapping = Mapping().grow(2)
    while mapping.step(STRICT):
        assert len(mapping.state.registered_images) == 2
    assert max(mapping.growth.trials.values()) == 3 and mapping.growth.reasons
    assert not mapping.step(STRICT)
    assert mapping.step(CONFIG) and len(mapping.state.registered_images) > 2


def test_the_schedule_of_adjustments(spy: Spy) -> None:
    mapping = Mapping().grow(3)
    assert all(free is None for _, _, free in spy.calls) and len(spy.calls) >= 3
    assert {options.max_iterations for options, _, _ in spy.calls} == {15}

    spy.calls.clear()
    rare = {"global_growth": 9.0, "local_images": 2, "local_iterations": 3}
    mapping.step(MappingConfig.model_validate(rare))
    ((options, _, free),) = spy.calls
    assert options.max_iterations == 3 and free is not None and 2 <= len(free) <= 4

    spy.calls.clear()
    mapping.step(MappingConfig(global_growth=1.0, local_images=2, global_iterations=4))
    ((options, _, free),) = spy.calls
    assert options.max_iterations == 4 and free is None


def test_the_size_of_a_neighbourhood() -> None:
    state = Mapping().grow(9).state
    sizes = [len(incremental.neighbourhood(state, [4], size)) for size in (2, 4, 6)]
    assert sizes == [2, 4, 6] and 4 in incremental.neighbourhood(state, [4], 2)


def test_the_loss_counts_from_the_next_phase(spy: Spy) -> None:
    mapping = Mapping().grow(9)
    spy.calls.clear()
    mapping.refine(CONFIG)
    huber = MappingConfig(loss="huber", loss_scale_px=0.1, refine_distortion=False)
    mapping.refine(huber)
    mapping.refine(huber)
    mapping.refine(CONFIG)
    assert 0.35 < spy.calls[-1][0].loss_scale_px < 0.5  # within the noise of 0.6 px
    told = [(o.loss, o.loss_scale_px, f.distortion) for o, f, _ in spy.calls[:3]]
    assert told == [("cauchy", 1.0, True), ("huber", 0.1, False), ("huber", 0.1, False)]


def test_the_error_limit_counts_in_the_next_phase() -> None:
    changed, unchanged = Mapping().grow(9), Mapping().grow(9)
    for mapping in (changed, unchanged):
        mapping.refine(CONFIG)
        mapping.refine(CONFIG)
    changed.refine(MappingConfig(max_reprojection_error_px=0.8))
    unchanged.refine(CONFIG)
    counts = [int(m.state.sees_point().sum()) for m in (changed, unchanged)]
    assert 200 < counts[0] < 0.9 * counts[1]


def test_intrinsics_that_are_held_from_now_on_stay_to_the_last_bit() -> None:
    mapping = Mapping().grow(9)
    held = MappingConfig(
        refine_focal=False, refine_distortion=False, refine_principal_point="never"
    )
    start = mapping.state.cameras[0].params.copy()
    mapping.refine(CONFIG)
    after = mapping.state.cameras[0].params.copy()
    assert np.count_nonzero(after != start) == 2
    mapping.refine(held)
    mapping.refine(held)
    assert np.array_equal(mapping.state.cameras[0].params, after)


def test_the_rule_for_principal_points_is_applied_anew() -> None:
    always, never = (
        MappingConfig.model_validate({"refine_principal_point": rule})
        for rule in ("always", "never")
    )
    mapping = Mapping().grow(9)

    def center() -> Any:
        return mapping.state.cameras[0].params[1:3].tolist()

    assert mapping.refinement.following(never) == "global adjustment"
    mapping.refine(never)
    assert mapping.refinement.following(never) == "principal point"
    mapping.refine(never)
    assert mapping.refinement.following(never) == "refinement 1"
    assert center() == [500.0, 375.0]
    assert mapping.refinement.following(always) == "principal point"
    mapping.refine(always)
    moved = center()
    assert mapping.refinement.freed == {0} and 0.01 < abs(moved[0] - 500.0) < 50.0
    mapping.refine(never)
    mapping.refine(never)
    assert center() == moved and mapping.refinement.freed == frozenset()


def test_no_pair_is_looked_for_where_no_model_can_begin() -> None:
    scene: Any = SimpleNamespace(image_cameras=[0] * 5)
    mapper, config = Mapper(scene), MappingConfig(min_model_images=3)
    assert mapper.following(config) == "looking for an initial pair"
    mapper.remaining = {1, 4}
    assert mapper.following(config) == "finishing models"
    assert not mapper.advance(config)
