"""A reconstruction and its photographs become a problem for training."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.events import Record, Warned
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.products import MemoryStore, PhotoIndex, Points, SparseModel
from pipeline.radiance.frame import frame_of_cameras, frame_of_points
from pipeline.radiance.scene import NoScene, Scene, held_out, mapped_scene, unposed_scene
from pipeline.radiance_config import RadianceConfig
from pipeline.runner import ForegroundControl
from tests.radiance.reconstructions import make_model, make_photos, moved, small_world

T = TypeVar("T")
SIZE_PX = 50
CONFIG = RadianceConfig(holdout=0.25)
WORLD = small_world()
MODEL = make_model(WORLD)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoIndex:
    return make_photos(tmp_path_factory.mktemp("photos"), WORLD)


@pytest.fixture
def control() -> Iterator[ForegroundControl]:
    with ThreadPoolExecutor(1) as executor:
        yield ForegroundControl(MemoryStore(), executor, 1, threading.Event())


def told(work: Generator[Record, None, T]) -> tuple[T, list[str]]:
    """The result of a generator, and its warnings."""
    words: list[str] = []
    while True:
        try:
            record = next(work)
        except StopIteration as end:
            return end.value, words
        if isinstance(record, Warned):
            words.append(f"{record.subject}: {record.message}")


def scene_of(
    photos: PhotoIndex, model: SparseModel, control: ForegroundControl, **config: Any
) -> Scene:
    wanted = CONFIG.model_copy(update=config)
    scene, _ = told(mapped_scene(photos, (model,), wanted, SIZE_PX, control))
    assert isinstance(scene, Scene)
    return scene


def test_views_cameras_poses_and_tracks_agree(
    photos: PhotoIndex, control: ForegroundControl
) -> None:
    scene = scene_of(photos, MODEL, control)
    problem = scene.problem
    assert [view.name for view in problem.held_out] == ["02.png", "06.png"]
    assert scene.images == (1, 2, 4, 5, 6, 8) and scene.held_out_images == (3, 7)
    assert {view.rgb.shape for view in problem.views} == {(38, 50, 3)}
    tracks = problem.tracks
    assert tracks is not None and tracks.held_out.sum() == 15
    for n, (view, pose) in enumerate(zip(problem.views, problem.poses, strict=True)):
        mine = tracks.image_of == n
        seen = view.camera.project(pose.apply(tracks.points[tracks.point_of[mine]]))
        errors = np.linalg.norm(seen - tracks.pixels[mine], axis=1)
        assert 0.005 < errors.mean() < 0.03  # 0.3 px of noise at 1000 px


def test_the_frame_holds_points_and_cameras_see_it(
    photos: PhotoIndex, control: ForegroundControl
) -> None:
    problem = scene_of(photos, MODEL, control).problem
    tracks, depths = problem.tracks, problem.depth_range
    assert tracks is not None and not depths.inverse and not problem.bounded
    inside = ((tracks.points >= problem.box[0]) & (tracks.points <= problem.box[1])).all(axis=1)
    assert inside.mean() > 0.9 and np.abs(problem.box).max() == pytest.approx(1.0)
    assert (problem.box[1] - problem.box[0]).max() == pytest.approx(2.0)
    z = np.concatenate([pose.apply(tracks.points)[:, 2] for pose in problem.poses])
    assert 0.5 * z.min() < depths.near < z.min() and z.max() < depths.far < 2.0 * z.max()
    back = problem.field_from_world.inverse().apply(tracks.points)
    assert np.allclose(back, WORLD.truth.points_world[: len(back)])


def test_the_frame_does_not_depend_on_the_world_or_on_stray_points() -> None:
    poses, points = list(WORLD.poses), WORLD.truth.points_world
    plain = frame_of_points(points, poses, [points] * len(poses))
    turn = Similarity(40.0, rotation_from_rotvec(np.array([0.2, -1.1, 0.5])), np.full(3, 9.0))
    elsewhere = frame_of_points(
        turn.apply(points), [turn.apply_to_pose(p) for p in poses], [turn.apply(points)] * 8
    )
    assert elsewhere.depth_range.near == pytest.approx(plain.depth_range.near, rel=0.05)
    assert np.allclose(elsewhere.box, plain.box, atol=0.05)
    stray = np.concatenate([points, 1000.0 * np.ones((1, 3))])
    robust = frame_of_points(stray, poses, [points] * len(poses))
    assert robust.field_from_world.scale == pytest.approx(plain.field_from_world.scale, rel=0.2)


def test_far_points_make_depths_inverse() -> None:
    poses, points = list(WORLD.poses), WORLD.truth.points_world
    far = points[:40] + np.array([0.0, 0.0, 300.0])
    both = np.concatenate([points, far])
    frame = frame_of_points(both, poses, [both] * len(poses))
    assert frame.depth_range.inverse and frame.depth_range.near > 0


@pytest.mark.parametrize("poses", [list(WORLD.poses), [Pose.identity()] * 3])
def test_without_points_the_scene_is_where_cameras_look(poses: list[Pose]) -> None:
    frame = frame_of_points(np.zeros((0, 3)), poses, [np.zeros((0, 3))] * len(poses))
    assert frame.depth_range == frame_of_cameras(poses).depth_range and frame.depth_range.inverse
    for pose in poses:
        before = frame.field_from_world.apply_to_pose(pose).apply(np.zeros((1, 3)))
        assert before[0, 2] > 0.0 and np.abs(before[0]).max() < 2.0


@pytest.mark.parametrize(
    ("views", "share", "expected", "said"),
    [(10, 0.1, 1, False), (36, 0.1, 4, False), (36, 0.0, 0, False), (5, 0.5, 2, False),
     (4, 0.5, 1, True), (3, 0.1, 0, True), (2, 0.1, 0, True)],
)  # fmt: skip
def test_enough_views_stay_to_train_on(views: int, share: float, expected: int, said: bool) -> None:
    chosen, why = held_out(views, share)
    assert len(chosen) == len(set(chosen)) == expected and bool(why) == said
    assert all(0 <= n < views for n in chosen)


def test_masks_and_transparency(
    photos: PhotoIndex, control: ForegroundControl, tmp_path: Path
) -> None:
    masks, changed = {0: 0, 1: 255}, list(photos.photos)
    for n, value in masks.items():
        mask = np.full((750, 1000), value, np.uint8)
        mask[:, :500] = 0
        cv2.imwrite(str(tmp_path / f"{n}.png"), mask)
        changed[n] = replace(changed[n], mask=tmp_path / f"{n}.png")
    cv2.imwrite(str(tmp_path / "clear.png"), np.zeros((750, 1000, 4), np.uint8))
    for n in range(3, 8):
        changed[n] = replace(changed[n], path=tmp_path / "clear.png")
    masked = replace(photos, photos=tuple(changed))
    scene, words = told(mapped_scene(masked, (MODEL,), CONFIG, SIZE_PX, control))
    assert isinstance(scene, Scene)
    assert [text for text in words if "covers all" in text] == [
        "00.png: is left out: its mask covers all of it"
    ]
    views = {view.name: view for view in (*scene.problem.views, *scene.problem.held_out)}
    assert "00.png" not in views and len(views) == 7
    half = views["01.png"].mask
    assert half is not None and half[:, 25:].all() and not half[:, :25].any()
    assert scene.problem.background == "white" and scene.problem.bounded
    assert (views["03.png"].rgb == 255).all()
    plain = scene_of(photos, MODEL, control)
    assert plain.problem.background == "none" and not plain.problem.bounded


def test_an_alpha_channel_alone_makes_no_white_background(
    photos: PhotoIndex, control: ForegroundControl, tmp_path: Path
) -> None:
    """All photographs opaque in spite of it, but for one."""
    changed = list(photos.photos)
    for n, photo in enumerate(photos.photos):
        rgba = cv2.cvtColor(cv2.imread(str(photo.path)), cv2.COLOR_BGR2BGRA)
        rgba[:400, :, 3] = 0 if n == 1 else 255
        cv2.imwrite(str(tmp_path / f"{n}.png"), rgba)
        changed[n] = replace(photo, path=tmp_path / f"{n}.png")
    scene = scene_of(replace(photos, photos=tuple(changed)), MODEL, control)
    assert scene.problem.background == "none" and not scene.problem.bounded


def test_masked_photographs_without_poses_are_left_out(
    photos: PhotoIndex, control: ForegroundControl, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((750, 1000), np.uint8))
    changed = list(photos.photos)
    changed[2] = replace(changed[2], mask=tmp_path / "mask.png")
    masked = replace(photos, photos=tuple(changed))
    scene, words = told(unposed_scene(masked, CONFIG, SIZE_PX, control))
    assert isinstance(scene, Scene)
    assert "02.png: is left out: its mask covers all of it" in words
    assert 3 not in (*scene.images, *scene.held_out_images)
    names = [view.name for view in (*scene.problem.views, *scene.problem.held_out)]
    assert "02.png" not in names and len(names) == 7


def test_photographs_of_different_sizes(
    photos: PhotoIndex, control: ForegroundControl, tmp_path: Path
) -> None:
    small = cv2.resize(cv2.imread(str(photos.photos[1].path)), (80, 60))
    cv2.imwrite(str(tmp_path / "small.png"), small)
    params = MODEL.cameras[1].params * np.array([0.08, 0.08, 0.08, 1.0])
    camera = replace(MODEL.cameras[1], width=80, height=60, params=params)
    other = replace(photos.photos[1], path=tmp_path / "small.png", width=80, height=60, camera=1)
    image = MODEL.images[2]
    image = replace(image, camera=2, keypoints_px=image.keypoints_px * 0.08)
    model = SparseModel({**MODEL.cameras, 2: camera}, {**MODEL.images, 2: image}, MODEL.points)
    index = PhotoIndex((photos.photos[0], other, *photos.photos[2:]), (*photos.cameras, camera))
    problem = scene_of(index, model, control).problem
    assert problem.views[1].rgb.shape == (38, 50, 3)
    tracks = problem.tracks
    assert tracks is not None
    mine = tracks.image_of == 1
    in_camera = problem.poses[1].apply(tracks.points[tracks.point_of[mine]])
    errors = np.linalg.norm(
        problem.views[1].camera.project(in_camera) - tracks.pixels[mine], axis=1
    )
    assert 0.005 < errors.mean() < 0.03


def test_nothing_to_train_on_has_a_reason(photos: PhotoIndex, control: ForegroundControl) -> None:
    scene, _ = told(mapped_scene(photos, (), CONFIG, SIZE_PX, control))
    assert scene == NoScene("mapping found no model")
    alone = SparseModel(MODEL.cameras, {1: MODEL.images[1]}, Points.none())
    scene, _ = told(mapped_scene(photos, (alone,), CONFIG, SIZE_PX, control))
    assert isinstance(scene, NoScene) and "one alone shows no depth" in scene.reason


def test_a_photograph_that_changed_is_named(
    photos: PhotoIndex, control: ForegroundControl, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((100, 300, 3), np.uint8))
    changed = replace(photos.photos[5], path=tmp_path / "other.png")
    index = replace(photos, photos=(*photos.photos[:5], changed, *photos.photos[6:]))
    with pytest.raises(PipelineError, match=r"other\.png"):
        told(mapped_scene(index, (MODEL,), CONFIG, SIZE_PX, control))


def test_the_world_of_the_run_is_found_again(
    photos: PhotoIndex, control: ForegroundControl
) -> None:
    turn = Similarity(3.0, rotation_from_rotvec(np.array([0.4, 0.0, 2.0])), np.array([5.0, 0, -7]))
    scene = scene_of(photos, moved(MODEL, turn), control)
    field_from_first = scene.problem.field_from_world
    for i, pose in zip(scene.images, scene.problem.poses, strict=True):
        back = field_from_first.inverse().apply_to_pose(pose)
        wanted = turn.apply_to_pose(MODEL.images[i].cam_from_world)
        assert np.allclose(back.center, wanted.center)
        assert np.allclose(back.rotation, wanted.rotation)


def test_without_poses_all_begin_at_the_identity(
    photos: PhotoIndex, control: ForegroundControl
) -> None:
    scene, words = told(unposed_scene(photos, CONFIG, SIZE_PX, control))
    assert isinstance(scene, Scene) and scene.model is None
    problem = scene.problem
    assert len(problem.views) == 6 and len(problem.held_out) == 2
    assert all(np.array_equal(pose.rotation, np.eye(3)) for pose in problem.poses)
    assert problem.depth_range.inverse and problem.tracks is None
    assert any("focal length is a guess" in text for text in words)
