"""Points from tracks and true cameras: triangulation, filtering, completion, merging."""

from __future__ import annotations

import numpy as np

from pipeline.config import MappingConfig
from pipeline.mapping import structure
from pipeline.mapping.state import Limits, MapState
from pipeline.mapping.tracks import build_tracks
from tests.mapping.views import Photographed, photograph
from tests.synthetic import WorldSpec

SPEC = WorldSpec(images=6, points=150, noise_px=0.5, seed=3)
LIMITS = Limits.of(MappingConfig())


def _state(scene: Photographed, images: int | None = None) -> MapState:
    truth = scene.world.truth
    tracks = build_tracks(scene.geometries, scene.keypoints_px)
    state = MapState(tracks, truth.cameras, truth.image_cameras)
    for i, pose in enumerate(scene.world.poses[:images]):
        state.set_pose(i, pose)
    return state


def _point_errors(state: MapState, scene: Photographed) -> np.ndarray:
    """Distance of every point of the state from the true point that its first observation shows."""
    tracks = state.tracks
    obs = np.flatnonzero(state.sees_point())
    shown = np.array(
        [scene.shows[tracks.obs_images[o]][tracks.obs_keypoints[o]] for o in obs], np.int64
    )
    found = state.points[tracks.obs_tracks[obs], state.obs_slot[obs]]
    return np.asarray(np.linalg.norm(found - scene.world.truth.points_world[shown], axis=1))


def test_true_cameras_give_the_true_points() -> None:
    scene = photograph(SPEC)
    state = _state(scene)
    changed = state.update_points(LIMITS)
    assert changed == np.count_nonzero(state.sees_point())
    assert 140 <= state.point_count() <= 150
    errors = _point_errors(state, scene)
    assert 0.0005 < np.median(errors) < 0.01 and errors.max() < 0.1
    assert state.update_points(LIMITS) == 0


def test_a_new_image_completes_the_points() -> None:
    scene = photograph(SPEC)
    state = _state(scene, images=5)
    state.update_points(LIMITS)
    before = int(np.count_nonzero(state.sees_point()))
    state.set_pose(5, scene.world.poses[5])
    mine = np.unique(state.tracks.obs_tracks[state.tracks.of_image(5)])
    state.update_points(LIMITS, mine)
    added = np.count_nonzero(state.sees_point()) - before
    assert 100 <= added <= 150 and state.sees_point()[state.tracks.of_image(5)].mean() > 0.95


def test_outliers_get_no_point_and_a_moved_camera_loses_its_observations() -> None:
    scene = photograph(WorldSpec(images=6, points=150, noise_px=0.5, outliers=0.1, seed=3))
    state = _state(scene)
    state.update_points(LIMITS)
    errors = _point_errors(state, scene)
    assert np.quantile(errors, 0.98) < 0.05
    state.translations[2] += 0.3
    state.update_points(LIMITS)
    assert state.sees_point()[state.tracks.of_image(2)].mean() < 0.1


def test_one_point_twice_is_merged() -> None:
    scene = photograph(SPEC)
    state = _state(scene)
    state.update_points(LIMITS)
    full = int(np.flatnonzero(np.diff(state.tracks.starts) == 6)[0])
    obs = np.arange(state.tracks.starts[full], state.tracks.starts[full + 1])
    state.obs_slot[obs[3:]] = 1
    state.has_point[full, 1] = True
    state.points[full, 1] = state.points[full, 0] + 1e-4
    state.update_points(LIMITS)
    assert state.has_point[full].tolist() == [True, False] and (state.obs_slot[obs] == 0).all()


def test_two_points_joined_by_a_wrong_match_both_live() -> None:
    """One track through keypoints of two true points: a slot for each."""
    scene = photograph(WorldSpec(images=6, points=40, noise_px=0.2, seed=5))
    tracks = build_tracks(scene.geometries, scene.keypoints_px)
    a, b = (int(t) for t in np.flatnonzero(np.diff(tracks.starts) == 6)[:2])
    rows_a = np.arange(tracks.starts[a], tracks.starts[a + 1])
    rows_b = np.arange(tracks.starts[b], tracks.starts[b + 1])
    tracks.obs_px[rows_a[3:]] = tracks.obs_px[rows_b[3:]]
    truth = scene.world.truth
    state = MapState(tracks, truth.cameras, truth.image_cameras)
    for i, pose in enumerate(scene.world.poses):
        state.set_pose(i, pose)
    state.update_points(LIMITS)
    assert state.has_point[a].all()
    assert sorted(state.obs_slot[rows_a].tolist()) == [0, 0, 0, 1, 1, 1]


def test_cameras_in_one_place_see_no_points() -> None:
    scene = photograph(SPEC)
    state = _state(scene)
    centers = state.centers()
    state.translations -= np.einsum("iab,ib->ia", state.rotations, centers[0] - centers)
    state.update_points(LIMITS)
    assert state.point_count() == 0 and (state.obs_slot == structure.FREE).all()


def test_a_restored_state_goes_on_to_the_last_bit() -> None:
    scene = photograph(SPEC)
    state, other = _state(scene, images=4), _state(scene, images=0)
    state.update_points(LIMITS)
    state.cameras[0] = state.cameras[0].with_focal_scaled(1.01)
    saved = state.snapshot()
    kept = {name: array.copy() for name, array in saved.items()}
    other.restore(saved)
    for both in (state, other):
        both.set_pose(4, scene.world.poses[4])
        both.translations[2, 0] += 0.01
        both.update_points(Limits(3.0, 2.0))
    assert all(np.array_equal(saved[name], kept[name]) for name in kept)
    first, second = state.snapshot(), other.snapshot()
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }
    assert not np.array_equal(first["points"], kept["points"])


def test_limits_drop_what_does_not_fit() -> None:
    state = _state(photograph(SPEC))
    state.update_points(LIMITS)
    before = int(np.count_nonzero(state.sees_point()))
    state.update_points(Limits(0.8, 1.5))
    seen = np.flatnonzero(state.sees_point())
    assert 100 < len(seen) < 0.95 * before and state.errors_px(seen).max() < 0.8
    state.update_points(Limits(4.0, 120.0))
    assert state.point_count() == 0
