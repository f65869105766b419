"""The whole mapper on synthetic worlds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.comparison import compare_poses
from pipeline.config import MappingConfig
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.cameras import Camera
from pipeline.mapping.incremental import Growth, grow_model, visibility_score
from pipeline.mapping.refinement import Refinement, refine_model
from pipeline.mapping.resection import Resection, ResectionFailure, resect
from pipeline.mapping.state import MapState
from pipeline.mapping.tracks import build_tracks
from pipeline.products import TwoViewGeometries
from tests.mapping.views import Photographed, photograph
from tests.synthetic import WorldSpec, make_world

SPEC = WorldSpec(images=8, points=400, noise_px=0.4, arc=1.2, seed=11)


def _guess(camera: Camera, factor: float = 1.1) -> Camera:
    """The camera as mapping gets it without EXIF: a focal length that is off, no distortion."""
    params = camera.params.copy()
    params[0] *= factor
    params[3] = 0.0
    return camera.with_params(params)


def _map(scene: Photographed, config: MappingConfig | None = None) -> tuple[MapState, Growth]:
    config = config or MappingConfig()
    truth = scene.world.truth
    cameras = [_guess(camera) for camera in truth.cameras]
    geometries = replace(scene.geometries, cameras=tuple(cameras))
    tracks = build_tracks(geometries, scene.keypoints_px)
    state = MapState(tracks, cameras, truth.image_cameras)
    growth, refinement = Growth(set(range(len(truth.rotations)))), Refinement()
    while grow_model(state, geometries, config, growth):
        pass
    while state.registered.any() and not refinement.settled:
        refine_model(state, config, refinement, growth.principal_points)
    return state, growth


def _relative_error(state: MapState, scene: Photographed) -> float:
    estimated = {str(i): state.pose(int(i)) for i in state.registered_images}
    truth = {str(i): pose for i, pose in enumerate(scene.world.poses)}
    compared = compare_poses(PosedPhotos(estimated, {}), PosedPhotos(truth, {}))
    assert compared.position_mean_relative is not None
    return compared.position_mean_relative


@pytest.mark.parametrize("next_image", ["visibility", "overlap"])
def test_every_image_is_registered_where_it_was(next_image: str) -> None:
    scene = photograph(SPEC)
    state, growth = _map(scene, MappingConfig.model_validate({"next_image": next_image}))
    assert len(state.registered_images) == 8 and not growth.reasons
    assert 1e-5 < _relative_error(state, scene) < 4e-3
    true_focal = scene.world.truth.cameras[0].focal_px
    assert 0.0 < abs(state.cameras[0].focal_px / true_focal - 1.0) < 0.01
    assert 370 <= state.point_count() <= 400


def test_wrong_matches_and_outliers_do_little_harm() -> None:
    scene = photograph(replace(SPEC, outliers=0.05), wrong_matches=0.1)
    state, _ = _map(scene)
    assert len(state.registered_images) == 8
    assert 1e-5 < _relative_error(state, scene) < 6e-3


def test_the_same_world_gives_the_same_model() -> None:
    scene = photograph(SPEC)
    first, second = _map(scene)[0], _map(scene)[0]
    assert np.array_equal(first.rotations, second.rotations)
    assert np.array_equal(first.points, second.points)


def test_an_image_without_partners_stays_out() -> None:
    scene = photograph(SPEC)
    kept = {pair: g for pair, g in scene.geometries.of_pair.items() if 7 not in pair}
    lonely = replace(scene, geometries=TwoViewGeometries(kept, scene.geometries.cameras))
    state, _ = _map(lonely)
    assert state.registered_images.tolist() == list(range(7))


def test_a_turning_camera_makes_no_model() -> None:
    """Pure rotation: no pair has parallax, and nothing is invented."""
    scene = photograph(SPEC)
    turned = {pair: replace(g, cam2_from_cam1=None) for pair, g in scene.geometries.of_pair.items()}
    still = replace(scene, geometries=TwoViewGeometries(turned, scene.geometries.cameras))
    state, _ = _map(still)
    assert len(state.registered_images) == 0 and state.point_count() == 0


def test_held_intrinsics_stay_to_the_last_bit() -> None:
    config = MappingConfig(
        refine_focal=False, refine_distortion=False, refine_principal_point="never"
    )
    scene = photograph(SPEC)
    state, growth = _map(scene, config)
    assert np.array_equal(state.cameras[0].params, _guess(scene.world.truth.cameras[0]).params)
    assert growth.principal_points == {}


def test_principal_point_is_released_only_where_many_images_share_it() -> None:
    _, growth = _map(photograph(SPEC))
    assert "px" in growth.principal_points[0]
    _, growth = _map(photograph(replace(SPEC, cameras=4)))
    assert all(note.startswith("held: 2 photo") for note in growth.principal_points.values())


def test_spread_points_score_higher_than_crowded_ones() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform((0, 0), (640, 480), (100, 2))
    assert visibility_score(spread, 640, 480) > 2 * visibility_score(spread * 0.1, 640, 480) > 0
    assert visibility_score(np.zeros((0, 2)), 640, 480) == 0.0


def _resection_case(seed: int = 0, outliers: int = 0) -> tuple[np.ndarray, np.ndarray, Camera]:
    world = make_world(WorldSpec(images=2, points=120, noise_px=0.5, seed=seed))
    truth = world.truth
    mine = truth.obs_images == 0
    px = truth.obs_px[mine].copy()
    px[:outliers] = np.random.default_rng(1).uniform(0, 600, (outliers, 2))
    return truth.points_world[truth.obs_points[mine]], px, truth.cameras[0]


def test_resection_finds_the_pose_among_outliers() -> None:
    points, px, camera = _resection_case(outliers=40)
    found = resect(points, px, camera, False, MappingConfig())
    assert isinstance(found, Resection)
    expected = make_world(WorldSpec(images=2, points=120, noise_px=0.5)).poses[0]
    assert 0.0 < np.linalg.norm(found.cam_from_world.center - expected.center) < 0.05
    assert 75 <= found.inliers.sum() <= 85


def test_resection_searches_an_unknown_focal_length() -> None:
    points, px, camera = _resection_case()
    params = camera.params.copy()
    params[0] *= 1.9
    found = resect(points, px, camera.with_params(params), True, MappingConfig())
    assert isinstance(found, Resection)
    assert 0.85 < found.camera.focal_px / camera.focal_px < 1.15


def test_resection_fails_in_words() -> None:
    points, px, camera = _resection_case()
    few = resect(points[:10], px[:10], camera, False, MappingConfig())
    assert few == ResectionFailure("sees 10 points of the model, 30 needed")
    noise = np.random.default_rng(3).uniform(0, 600, px.shape)
    nonsense = resect(points, noise, camera, False, MappingConfig())
    assert isinstance(nonsense, ResectionFailure) and "agree on a pose" in nonsense.reason
    same = resect(np.ones((50, 3)), px[:50], camera, False, MappingConfig())
    assert isinstance(same, ResectionFailure)
