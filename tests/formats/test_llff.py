"""poses_bounds.npy: round trips in pixels, its axes, and what it cannot hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.llff import LlffPoses, names_for_rows, read_llff, write_llff
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from tests.formats.models import make_camera, make_poses


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(100.0, 5000.0))
def test_round_trip_in_pixels(seed: int, n: int, focal: float) -> None:
    rng = np.random.default_rng(seed)
    poses = tuple(make_poses(n, rng))
    camera = Camera("SIMPLE_PINHOLE", 641, 480, np.array([focal, 320.5, 240.0]))
    bounds = np.sort(rng.uniform(1.0, 100.0, (n, 2)), axis=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poses_bounds.npy"
        write_llff(path, LlffPoses(poses, (camera,) * n, bounds))
        found = read_llff(path)
    np.testing.assert_array_equal(found.depth_bounds, bounds)
    points = rng.uniform(-1.0, 1.0, (20, 3)) + np.array([0.0, 0.0, 5.0])
    for pose, theirs, other in zip(poses, found.cam_from_world, found.cameras, strict=True):
        assert (other.width, other.height) == (641, 480)
        np.testing.assert_allclose(
            other.project(theirs.apply(points)), camera.project(pose.apply(points)), atol=1e-8
        )


def test_camera_axes_are_down_right_backward(tmp_path: Path) -> None:
    rotation = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # down = -y, right = x, back = z
    matrix = np.column_stack([rotation, [1.0, 2.0, 3.0], [480.0, 640.0, 500.0]])
    path = tmp_path / "poses_bounds.npy"
    np.save(path, np.append(matrix.ravel(), [0.5, 9.0])[None])
    found = read_llff(path)
    pose = found.cam_from_world[0]
    np.testing.assert_allclose(pose.center, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(pose.apply(np.array([[1.0, 2.0, -7.0]])), [[0.0, 0.0, 10.0]])
    np.testing.assert_allclose(pose.apply(np.array([[1.0, 5.0, 3.0]])), [[0.0, -3.0, 0.0]])
    assert found.cameras[0].params.tolist() == [500.0, 320.0, 240.0]
    assert found.depth_bounds.tolist() == [[0.5, 9.0]]


@pytest.mark.parametrize("model", ["PINHOLE", "SIMPLE_RADIAL"])
def test_cameras_it_cannot_hold_are_refused(model: str, tmp_path: Path) -> None:
    poses = LlffPoses((Pose.identity(),), (make_camera(model),), np.ones((1, 2)))
    with pytest.raises(PipelineError, match="LLFF holds one focal length"):
        write_llff(tmp_path / "poses_bounds.npy", poses)


def good_row() -> Float64s:
    rotation = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    matrix = np.column_stack([rotation, np.zeros(3), [480.0, 640.0, 500.0]])
    return np.append(matrix.ravel(), [0.5, 9.0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((0, 3.0), "row 1: the rotation's axes"),
        ((4, 0.0), "row 1: height, width, focal"),
        ((3, np.nan), "row 1"),
        ((slice(0, None, 5), 0.0), "row 1: the rotation's axes"),
    ],
)
def test_malformed_rows_are_named(
    change: tuple[int | slice, float], reason: str, tmp_path: Path
) -> None:
    rows = np.stack([good_row(), good_row()])
    rows[1, change[0]] = change[1]
    path = tmp_path / "poses_bounds.npy"
    np.save(path, rows)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_llff(path)
    assert str(path) in caught.value.message


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "poses_bounds.npy"
    for content in (b"", b"no array", good_row().tobytes()):
        path.write_bytes(content)
        with pytest.raises(PipelineError, match="not a numpy array"):
            read_llff(path)
    np.save(path, np.zeros((3, 5)))
    with pytest.raises(PipelineError, match="N x 17"):
        read_llff(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PipelineError, match="not a numpy array"):
        read_llff(path)


def test_rows_follow_the_sorted_names() -> None:
    assert names_for_rows(Path("p.npy"), 2, ["b.jpg", "a.jpg"]) == ["a.jpg", "b.jpg"]
    with pytest.raises(PipelineError, match="2 rows, but there are 1 photographs"):
        names_for_rows(Path("p.npy"), 2, ["b.jpg"])


def test_counts_are_checked() -> None:
    with pytest.raises(ValueError, match="1 poses, but 0 cameras"):
        LlffPoses((Pose.identity(),), (), np.ones((1, 2)))
