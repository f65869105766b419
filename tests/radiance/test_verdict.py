"""Refined cameras are taken if they are better, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.formats.colmap_model import read_model, write_model
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.products import NO_POINT
from pipeline.radiance.perturbation import displaced
from pipeline.radiance.refined import (
    LearnedCameras,
    observations_of,
    refined_model,
    with_images,
)
from pipeline.radiance.verdict import CameraSet, judge
from tests.radiance.reconstructions import (
    make_model,
    small_world,
    tracks_are_whole,
    with_poses,
)

WORLD = small_world()
MODEL = make_model(WORLD)
KEYS = sorted(MODEL.images)
SEEN = observations_of(MODEL, {i: n for n, i in enumerate(KEYS)})
CAMERAS = [MODEL.cameras[MODEL.images[i].camera] for i in KEYS]
TRUE = CameraSet(list(WORLD.poses), CAMERAS)
OFF = CameraSet(displaced(WORLD.poses, 0.2, 0.002, 1), CAMERAS)


def test_better_cameras_are_taken_and_worse_ones_are_not() -> None:
    taken, refused = judge(SEEN, OFF, TRUE), judge(SEEN, TRUE, OFF)
    assert taken.better and "are taken" in taken.words
    assert not refused.better and "stay as they were" in refused.words
    assert taken.before_px == refused.after_px and taken.tracks == 150
    assert taken.after_px is not None and taken.before_px is not None
    assert 0.1 < taken.after_px < 0.5 < taken.before_px < 10.0


def test_equal_cameras_in_another_frame_are_no_better() -> None:
    frame = Similarity(2.5, rotation_from_rotvec(np.array([0.3, 1.0, -0.2])), np.ones(3))
    elsewhere = CameraSet([frame.apply_to_pose(pose) for pose in TRUE.poses], CAMERAS)
    verdict = judge(SEEN, TRUE, elsewhere)
    assert not verdict.better
    assert verdict.after_px == pytest.approx(verdict.before_px, abs=1e-6)


def test_few_tracks_decide_nothing() -> None:
    verdict = judge(SEEN.where(SEEN.point_of < 29), OFF, TRUE)
    assert not verdict.better and "29 held-out tracks, 30 needed" in verdict.words
    assert verdict.before_px is None
    assert judge(SEEN.where(SEEN.point_of < 30), OFF, TRUE).better


def test_cameras_that_see_points_behind_them_are_worse_by_far() -> None:
    flipped = [Pose(np.diag([1.0, -1.0, -1.0]) @ p.rotation, -p.translation) for p in TRUE.poses]
    verdict = judge(SEEN, OFF, CameraSet(flipped, CAMERAS))
    assert not verdict.better and verdict.after_px is not None and verdict.after_px > 5.0


def test_the_refined_model_has_the_learned_cameras_and_points_to_match() -> None:
    perturbed = with_poses(MODEL, OFF.poses)
    trained = [i for i in KEYS if i != 4]
    learned = LearnedCameras({i: WORLD.poses[KEYS.index(i)] for i in trained}, dict(MODEL.cameras))
    refined = refined_model(perturbed, learned)
    assert tracks_are_whole(refined)
    assert np.array_equal(refined.images[1].cam_from_world.rotation, WORLD.poses[0].rotation)
    # The image that was held out is fitted to the new points.
    before = np.linalg.norm(perturbed.images[4].cam_from_world.center - WORLD.poses[3].center)
    after = np.linalg.norm(refined.images[4].cam_from_world.center - WORLD.poses[3].center)
    assert after < 0.7 * before
    assert 0.1 < refined.mean_error_px < 0.6
    distances = np.linalg.norm(refined.points.xyz_world - WORLD.truth.points_world, axis=1)
    assert 1e-4 < distances.mean() < 1e-2


def test_points_that_are_lost_take_their_tracks_along() -> None:
    learned = LearnedCameras(dict(zip(KEYS, WORLD.poses, strict=True)), dict(MODEL.cameras))
    lonely = make_model(WORLD)
    first = lonely.points.track_starts[1]
    kept = np.arange(len(lonely.points.track_images)) >= first - 1  # point 0 is seen once
    for i, n in zip(
        lonely.points.track_images[~kept], lonely.points.track_keypoints[~kept], strict=True
    ):
        lonely.images[i].point_ids[n] = NO_POINT
    starts = np.maximum(lonely.points.track_starts - (first - 1), 0)
    points = replace(
        lonely.points,
        track_starts=starts,
        track_images=lonely.points.track_images[kept],
        track_keypoints=lonely.points.track_keypoints[kept],
    )
    refined = refined_model(replace(lonely, points=points), learned)
    assert len(refined.points) == 149 and 1 not in refined.points.ids
    assert tracks_are_whole(refined)


def test_rescued_images_have_cameras_of_their_own(tmp_path: Path) -> None:
    pose = WORLD.poses[2]
    more = with_images(MODEL, {"far.png": (CAMERAS[0], pose), "near.png": (CAMERAS[0], pose)})
    write_model(more, tmp_path)
    found = read_model(tmp_path)
    by_name = {image.name: image for image in found.images.values()}
    assert len(found.images) == len(MODEL.images) + 2 and len(found.cameras) == 3
    assert np.allclose(by_name["far.png"].cam_from_world.center, pose.center)
    assert len(by_name["near.png"].keypoints_px) == 0 and tracks_are_whole(found)
