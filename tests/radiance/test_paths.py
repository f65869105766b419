"""Camera paths: what they look at, how smoothly they move, and files that are refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose, angle_between_rotations, rotation_from_rotvec
from pipeline.radiance.path_files import read_path
from pipeline.radiance.paths import (
    Track,
    look_at,
    orbit,
    rig_of,
    spiral,
    through_cameras,
)

UP = np.array([0.0, 0.0, 1.0])
coordinates = st.floats(-10.0, 10.0)
vectors = st.tuples(coordinates, coordinates, coordinates).map(np.array)


def ring(count: int, target: Float64s, height: float = 1.0, arc: float = 2 * np.pi) -> list[Pose]:
    """Level cameras on an arc of radius 3 around a target, which they look at."""
    angles = arc * np.arange(count) / count
    places = target + np.column_stack(
        [3 * np.cos(angles), 3 * np.sin(angles), np.full(count, height)]
    )
    return [look_at(place, target, UP) for place in places]


def row(count: int) -> list[Pose]:
    """Cameras on a line of unit steps that look along y in parallel; up is -x's cross, z."""
    return [look_at(np.array([x, 0.0, 0.0]), np.array([x, 5.0, 0.0]), UP) for x in range(count)]


@settings(max_examples=30, deadline=None)
@given(vectors, vectors, vectors)
def test_look_at_puts_the_target_into_the_middle_and_up_upwards(
    position: Float64s, target: Float64s, up: Float64s
) -> None:
    forward = target - position
    assume(np.linalg.norm(np.cross(forward, up)) > 1e-3)
    pose = look_at(position, target, up)
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose.rotation) > 0
    np.testing.assert_allclose(pose.center, position, atol=1e-8)
    x, y, z = pose.apply(target[None])[0]
    assert abs(x) + abs(y) < 1e-8 and z == pytest.approx(np.linalg.norm(forward))
    assert (pose.rotation @ up)[1] < 0 and abs((pose.rotation @ up)[0]) < 1e-8  # y points down


@pytest.mark.parametrize(
    ("target", "up", "words"), [((0, 0, 0), (0, 0, 1), "own"), ((0, 0, 2), (0, 0, 1), "along")]
)
def test_look_at_refuses_what_has_no_answer(target: Any, up: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        look_at(np.zeros(3), np.array(target, float), np.array(up, float))


@settings(max_examples=15, deadline=None)
@given(vectors, st.integers(3, 12), st.floats(-2.0, 2.0), st.integers(8, 40))
def test_an_orbit_goes_once_around_what_the_cameras_look_at(
    target: Float64s, count: int, height: float, frames: int
) -> None:
    rig = rig_of(ring(count, target, height), near=1.0, far=5.0)
    np.testing.assert_allclose(rig.focus, target, atol=1e-6)
    np.testing.assert_allclose(rig.up, UP, atol=1e-6)
    poses = orbit(rig, frames)
    in_camera = np.array([pose.apply(target[None])[0] for pose in poses])
    np.testing.assert_allclose(in_camera[:, :2], 0.0, atol=1e-5)
    np.testing.assert_allclose(in_camera[:, 2], np.hypot(3.0, height), atol=1e-5)
    np.testing.assert_allclose(poses[0].center, rig.centers[0], atol=1e-5)
    steps = [np.linalg.norm(a.center - b.center) for a, b in pairwise([*poses, poses[0]])]
    np.testing.assert_allclose(steps, 6.0 * np.sin(np.pi / frames), atol=1e-5)  # all chords equal


def test_up_follows_from_tilted_cameras_too() -> None:
    down = ring(8, np.zeros(3), height=6.0)  # they look far down
    np.testing.assert_allclose(rig_of(down, 1.0, 5.0).up, UP, atol=1e-9)
    upside_down = [Pose(np.diag([-1.0, -1.0, 1.0]) @ p.rotation, p.translation) for p in down]
    assert rig_of(upside_down, 1.0, 5.0).up @ UP == pytest.approx(-1.0)


def test_parallel_and_outward_cameras_have_a_focus_before_them() -> None:
    rig = rig_of(row(5), near=2.0, far=8.0)
    assert 2.0 < rig.focus[1] < 8.0
    np.testing.assert_allclose(rig.focus[[0, 2]], [2.0, 0.0], atol=1e-9)
    outward = [look_at(p.center, 2 * p.center, UP) for p in ring(6, np.zeros(3), height=0.1)]
    assert np.isfinite(rig_of(outward, 2.0, 8.0).focus).all()
    for poses in (row(1), row(1) * 3, row(4)):
        for way in (orbit, spiral, through_cameras):
            found = way(rig_of(poses, 2.0, np.inf), 7)
            assert len(found) == 7 and all(np.isfinite(p.translation).all() for p in found)


def test_a_spiral_stays_within_the_cameras_and_closes() -> None:
    lower = np.array([0.0, 0.7, 0.0])
    poses = [*row(5), *(Pose(p.rotation, p.translation + lower) for p in row(5))]
    rig = rig_of(poses, near=2.0, far=8.0)
    way = spiral(rig, 200)
    centers = np.array([pose.center for pose in way])
    low, high = rig.centers.min(axis=0), rig.centers.max(axis=0)
    assert (centers >= low - 0.1).all() and (centers <= high + 0.1).all()
    assert np.ptp(centers[:, 0]) > 0.8 * np.ptp(rig.centers[:, 0])
    steps = [np.linalg.norm(a.center - b.center) for a, b in pairwise([*way, way[0]])]
    assert max(steps) < 0.2 and min(steps) > 0.0  # no jump, nor where it closes
    for pose in way:
        np.testing.assert_allclose(pose.apply(rig.focus[None])[0, :2], 0.0, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_the_way_through_cameras_meets_every_one_and_never_jumps(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = [
        Pose(rotation_from_rotvec(rng.normal(0, 0.6, 3)), rng.normal(0, 2, 3)) for _ in range(count)
    ]
    rig = rig_of(poses, 1.0, 5.0)
    way = through_cameras(rig, 400)
    for pose in poses:
        distances = [
            np.linalg.norm(p.center - pose.center)
            + angle_between_rotations(p.rotation, pose.rotation)
            for p in way
        ]
        assert min(distances) < 0.15
    for a, b in pairwise(way):
        assert np.linalg.norm(a.center - b.center) < 0.5
        assert angle_between_rotations(a.rotation, b.rotation) < 0.3


def test_cameras_in_disorder_are_taken_along_a_short_way_those_in_order_as_they_are() -> None:
    line = row(12)
    mixed = [line[i] for i in np.random.default_rng(1).permutation(12)]
    for poses in (line, line[::-1], mixed):
        way = through_cameras(rig_of(poses, 2.0, 8.0), 100)
        xs = np.array([pose.center[0] for pose in way])
        assert (np.diff(xs) > 0).all() or (np.diff(xs) < 0).all()
        assert {round(xs[0]), round(xs[-1])} == {0, 11}
    assert through_cameras(rig_of(line[::-1], 2.0, 8.0), 5)[0].center[0] == pytest.approx(11.0)


def test_a_track_passes_through_its_poses_at_their_times() -> None:
    poses = ring(5, np.zeros(3), arc=np.pi)
    times = np.array([0.0, 1.0, 1.5, 4.0, 5.0])
    for found, pose in zip(Track(times, poses).at(times), poses, strict=True):
        np.testing.assert_allclose(found.rotation, pose.rotation, atol=1e-9)
        np.testing.assert_allclose(found.translation, pose.translation, atol=1e-9)
    with pytest.raises(ValueError, match="later"):
        Track(np.array([0.0, 0.0]), poses[:2])


def test_a_path_file_gives_frames_or_places_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "way.json"
    looking = {"position": [0, -4, 0], "look_at": [0, 0, 0], "fov_deg": 40}
    rows = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 4]]
    file.write_text(json.dumps([looking, {"cam_from_world": rows, "focal": 1.0}]))
    first, second = read_path(file, UP, None, 24.0)
    np.testing.assert_allclose(first.cam_from_world.rotation, np.array(rows)[:, :3], atol=1e-12)
    np.testing.assert_allclose(first.cam_from_world.translation, [0, 0, 4], atol=1e-12)
    np.testing.assert_allclose(second.cam_from_world.translation, [0, 0, 4])
    assert first.fov_y_deg == 40 and second.fov_y_deg == pytest.approx(53.13, abs=0.01)

    timed = [
        {**looking, "seconds": 1.0},
        {**looking, "position": [0, -2, 0], "fov_deg": 60, "seconds": 3.0},
    ]
    file.write_text(json.dumps(timed))
    way = read_path(file, UP, None, 10.0)
    assert len(way) == 21 and len(read_path(file, UP, 5, 10.0)) == 5
    np.testing.assert_allclose(way[10].cam_from_world.center, [0, -3, 0], atol=1e-9)
    assert way[10].fov_y_deg == pytest.approx(50)


GOOD = {"position": [0, -4, 0], "look_at": [0, 0, 0]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no entry"),
        (json.dumps({"cameras": []}), "list"),
        (json.dumps([GOOD, {"position": [0, 0, 0]}]), "entry 2: .*look_at"),
        (json.dumps([GOOD, GOOD, {**GOOD, "zoom": 2}]), "entry 3: zoom"),
        (json.dumps([{**GOOD, "position": [0, 1]}]), r"entry 1: position\.2"),
        (json.dumps([{**GOOD, "fov_deg": 180}]), "entry 1: fov_deg"),
        (json.dumps([{**GOOD, "fov_deg": 50, "focal": 1}]), "entry 1: .*fov_deg and focal"),
        (json.dumps([GOOD, {**GOOD, "look_at": [0, -4, 0]}]), "entry 2: .*own position"),
        (json.dumps([{**GOOD, "up": [0, 1, 0]}]), "entry 1: .*along the view"),
        (json.dumps([{**GOOD, "cam_from_world": [[1, 0, 0, 0]] * 3}]), "entry 1: .*and position"),
        (json.dumps([{"cam_from_world": [[1, 0, 0, 0]] * 3}]), "entry 1: .*no rotation"),
        (json.dumps([{**GOOD, "seconds": 1}, GOOD]), "entry 2 has no seconds"),
        (json.dumps([{**GOOD, "seconds": 1}, {**GOOD, "seconds": 1}]), "entry 2: 1 s is not after"),
        ('[{"position": [NaN, 0, 0], "look_at": [0, 0, 0]}]', r"entry 1: position\.0"),
    ],
)
def test_a_malformed_path_file_is_refused_naming_the_entry(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "way.json"
    file.write_text(content)
    with pytest.raises(PipelineError, match=f"way.json: .*{words}"):
        read_path(file, UP, None, 24.0)


def test_a_missing_path_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"none\.json"):
        read_path(tmp_path / "none.json", UP, None, 24.0)
