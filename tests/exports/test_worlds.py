"""The worlds of nerfstudio and instant-ngp, beside their own scripts' way to them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exports.worlds import aabb_scale, instant_ngp_from_world, nerfstudio_from_world
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose
from pipeline.products import SparseModel
from tests.formats.models import make_model


def rotmat(a: Float64s, b: Float64s) -> Float64s:
    """The rotation that takes direction a to b, by Rodrigues' formula as instant-ngp has it."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    v, c = np.cross(a, b), np.dot(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.asarray(np.eye(3) + k + k @ k * ((1 - c) / (np.linalg.norm(v) ** 2 + 1e-10)))


def colmap2nerf(model: SparseModel) -> list[np.ndarray]:
    """The slow way of instant-ngp's script: camera-to-world matrices (4, 4), step by step."""
    frames = []
    up = np.zeros(3)
    for image in model.images.values():
        matrix = np.eye(4)
        matrix[:3, :3] = image.cam_from_world.rotation
        matrix[:3, 3] = image.cam_from_world.translation
        c2w = np.linalg.inv(matrix)
        c2w[0:3, 2] *= -1
        c2w[0:3, 1] *= -1
        c2w = c2w[[1, 0, 2, 3], :]
        c2w[2, :] *= -1
        up += c2w[0:3, 1]
        frames.append(c2w)
    rotation = np.eye(4)
    rotation[:3, :3] = rotmat(up, np.array([0.0, 0.0, 1.0]))
    frames = [rotation @ frame for frame in frames]
    total, weights = np.zeros(3), 0.0
    for f in frames:
        for g in frames:
            cross = np.cross(f[:3, 2], g[:3, 2])
            weight = float(cross @ cross)
            apart = g[:3, 3] - f[:3, 3]
            ta = min(0.0, np.linalg.det([apart, g[:3, 2], cross]) / (weight + 1e-10))
            tb = min(0.0, np.linalg.det([apart, f[:3, 2], cross]) / (weight + 1e-10))
            if weight > 1e-5:
                middle = (f[:3, 3] + ta * f[:3, 2] + g[:3, 3] + tb * g[:3, 2]) / 2
                total, weights = total + weight * middle, weights + weight
    for frame in frames:
        frame[:3, 3] -= total / weights
    distance = np.mean([np.linalg.norm(frame[:3, 3]) for frame in frames])
    for frame in frames:
        frame[:3, 3] *= 4.0 / distance
    return frames


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 2**16), st.integers(2, 6))
def test_instant_ngp_as_its_script_step_by_step(seed: int, images: int) -> None:
    model = make_model(seed, n_images=images)
    world = instant_ngp_from_world(model)
    for image, expected in zip(model.images.values(), colmap2nerf(model), strict=True):
        pose = world.apply_to_pose(image.cam_from_world)
        np.testing.assert_allclose(pose.center, expected[:3, 3], atol=1e-6)
        np.testing.assert_allclose(
            pose.rotation.T @ np.diag([1.0, -1, -1]), expected[:3, :3], atol=1e-6
        )


def test_cameras_at_one_place_keep_their_scale() -> None:
    model = make_model(1, n_images=2)
    (one, *_) = model.images.values()
    single = SparseModel(model.cameras, {2: one}, model.points)
    world = instant_ngp_from_world(single)
    assert world.scale > 0 and np.isfinite(world.translation).all()
    # Up is up even where it was straight down before.
    standing = type(one)(one.name, one.camera, Pose.identity(), one.keypoints_px, one.point_ids)
    world = instant_ngp_from_world(SparseModel(model.cameras, {2: standing}, model.points))
    np.testing.assert_allclose(world.rotation @ (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), atol=1e-12)


def test_nerfstudio_is_a_rotation_with_z_up() -> None:
    world = nerfstudio_from_world()
    assert np.linalg.det(world.rotation) == 1.0 and world.scale == 1.0
    np.testing.assert_array_equal(world.apply(np.array([[0.0, -1.0, 0.0]])), [[0.0, 0.0, 1.0]])


def test_the_box_holds_the_points() -> None:
    rng = np.random.default_rng(0)
    for reach, expected in ((0.1, 1), (1.5, 1), (1.6, 2), (6.0, 4), (1e6, 128)):
        assert aabb_scale(rng.uniform(-1, 1, (5000, 3)) * reach) in (expected, expected / 2)
        assert aabb_scale(np.full((10, 3), reach)) == expected
    assert aabb_scale(np.zeros((0, 3))) == 16
