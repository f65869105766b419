"""Comparing poses: errors that are known, a twin of the formula, and what cannot be aligned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.comparison import compare_files, compare_poses
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import write_model
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from tests.formats.models import make_model, make_poses


def named(poses: list[Pose]) -> PosedPhotos:
    return PosedPhotos({f"{i}.jpg": pose for i, pose in enumerate(poses)}, {})


def random_world(seed: int, n: int) -> tuple[PosedPhotos, Similarity]:
    rng = np.random.default_rng(seed)
    rotation = rotation_from_rotvec(rng.normal(size=3))
    move = Similarity(float(rng.uniform(0.1, 10.0)), rotation, rng.normal(size=3) * 5.0)
    return named(make_poses(n, rng)), move


def moved(posed: PosedPhotos, move: Similarity) -> PosedPhotos:
    return PosedPhotos({n: move.apply_to_pose(p) for n, p in posed.cam_from_world.items()}, {})


def twin(estimated: PosedPhotos, reference: PosedPhotos) -> tuple[float, float, float, float]:
    """The same errors another way: camera-to-world matrices, the alignment by Horn's quaternion
    (JOSA A 1987) and the angle from the trace. Position mean and max, rotation mean and max."""
    common = [name for name in reference.cam_from_world if name in estimated.cam_from_world]
    a = np.array([estimated.cam_from_world[name].center for name in common])
    b = np.array([reference.cam_from_world[name].center for name in common])
    da, db = a - a.mean(axis=0), b - b.mean(axis=0)
    s = da.T @ db
    n = np.zeros((4, 4))
    n[0, 0] = np.trace(s)
    n[0, 1:] = n[1:, 0] = s[1, 2] - s[2, 1], s[2, 0] - s[0, 2], s[0, 1] - s[1, 0]
    n[1:, 1:] = s + s.T - np.trace(s) * np.eye(3)
    w, *v = np.linalg.eigh(n)[1][:, 3]
    v_array = np.array(v)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    rotation = (w * w - v_array @ v_array) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross
    scale = np.sum(db * (da @ rotation.T)) / np.sum(da**2)
    positions = np.linalg.norm(scale * da @ rotation.T - db, axis=1)
    angles = []
    for name in common:
        world_from_cam = rotation @ estimated.cam_from_world[name].rotation.T
        turn = world_from_cam.T @ reference.cam_from_world[name].rotation.T
        angles.append(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    return positions.mean(), positions.max(), float(np.mean(angles)), float(np.max(angles))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(4, 12), st.floats(1e-3, 0.2))
def test_agrees_with_the_twin(seed: int, n: int, noise: float) -> None:
    reference, move = random_world(seed, n)
    rng = np.random.default_rng(seed + 1)
    poses = {
        name: Pose(
            rotation_from_rotvec(rng.normal(size=3) * noise) @ pose.rotation,
            pose.translation + rng.normal(size=3) * noise,
        )
        for name, pose in reference.cam_from_world.items()
    }
    found = compare_poses(moved(PosedPhotos(poses, {}), move), reference)
    expected = twin(moved(PosedPhotos(poses, {}), move), reference)
    ours = (
        found.position_mean,
        found.position_max,
        found.rotation_mean_deg,
        found.rotation_max_deg,
    )
    np.testing.assert_allclose(np.array(ours, dtype=np.float64), expected, rtol=1e-7, atol=1e-9)
    centers = np.array([pose.center for pose in reference.cam_from_world.values()])
    size = np.linalg.norm(centers - centers.mean(axis=0), axis=1).max()
    assert found.position_mean_relative is not None
    assert abs(found.position_mean_relative - expected[0] / size) < 1e-9


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(4, 12))
def test_the_same_cameras_in_another_frame_have_no_error(seed: int, n: int) -> None:
    reference, move = random_world(seed, n)
    found = compare_poses(moved(reference, move), reference)
    assert found.registered == found.of == n and not found.reason
    assert found.position_max is not None and found.position_max < 1e-9
    assert found.rotation_max_deg is not None and found.rotation_max_deg < 1e-6


def test_known_errors_of_one_photograph() -> None:
    reference, move = random_world(3, 200)
    poses = dict(reference.cam_from_world)
    turned = rotation_from_rotvec(np.array([0.0, 0.0, np.radians(10.0)])) @ poses["7.jpg"].rotation
    center = poses["7.jpg"].center + np.array([0.05, 0.0, 0.0])
    poses["7.jpg"] = Pose(turned, -turned @ center)
    found = compare_poses(moved(PosedPhotos(poses, {}), move), reference)
    worst = max(found.photos, key=lambda photo: photo.position)
    assert worst.name == "7.jpg" and 0.048 < worst.position < 0.05  # the alignment takes a little
    assert 9.95 < worst.rotation_deg < 10.05
    assert found.position_max == worst.position and found.rotation_max_deg == worst.rotation_deg
    assert found.position_mean is not None and 0.05 / 200 < found.position_mean < 3 * 0.05 / 200


def test_photographs_without_an_estimate_count_and_set_the_scene_size() -> None:
    reference, move = random_world(4, 10)
    names = list(reference.cam_from_world)
    estimated = moved(reference, move).named({f"images/{name}": name for name in names[:6]})
    found = compare_poses(estimated, reference)
    assert (found.registered, found.of) == (6, 10)
    assert [photo.name for photo in found.photos] == names[:6]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_common_photographs(n: int) -> None:
    reference, _ = random_world(5, 6)
    names = list(reference.cam_from_world)[:n]
    found = compare_poses(reference.named({name: name for name in names}), reference)
    assert (found.registered, found.of) == (n, 6)
    assert f"{n} corresponding points, 3 needed" in found.reason
    assert found.position_mean is None and found.rotation_max_deg is None and not found.photos


def test_cameras_on_a_line_cannot_be_aligned() -> None:
    rail = named([Pose(np.eye(3), np.array([x, 0.0, 0.0])) for x in (0.0, 1.0, 2.5, 4.0)])
    found = compare_poses(rail, rail)
    assert found.registered == 4 and "on one line" in found.reason
    assert found.position_mean is None


def test_json_has_the_promised_keys() -> None:
    reference, move = random_world(6, 5)
    data = compare_poses(moved(reference, move), reference).to_json()
    assert list(data)[:7] == [
        "registered",
        "of",
        "position_mean",
        "position_max",
        "position_mean_relative",
        "rotation_mean_deg",
        "rotation_max_deg",
    ]
    assert data["photos"][0].keys() == {"name", "position", "rotation_deg"}


def test_files(tmp_path: Path) -> None:
    model = make_model(0, n_images=5, name="{}{}.jpg")
    write_model(model, tmp_path / "run" / "sparse" / "0")
    write_model(model, tmp_path / "reference")
    (tmp_path / "run" / "run.toml").write_text("")
    found = compare_files(tmp_path / "run", tmp_path / "reference")
    assert found.registered == found.of == 5
    assert found.position_max is not None and found.position_max < 1e-9
    names = [image.name for image in model.images.values()]
    assert compare_files(tmp_path / "run", tmp_path / "reference", names[:4]).of == 4
    with pytest.raises(PipelineError, match="No photograph matches"):
        compare_files(tmp_path / "run", tmp_path / "reference", ["other.jpg"])
