"""Poses and rotations: group axioms, and maps that are each other's inverse up to pi."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import (
    Pose,
    angle_between_rotations,
    cross_matrix,
    quaternion_from_rotation,
    rotation_from_quaternion,
    rotation_from_rotvec,
    rotvec_from_rotation,
)

properties = settings(derandomize=True, deadline=None, max_examples=100)
coordinates = st.floats(-100.0, 100.0, allow_subnormal=False)


@st.composite
def directions(draw: st.DrawFn) -> Float64s:
    """Unit vectors, the axes among them."""
    axis = draw(st.sampled_from([None, 0, 1, 2]))
    if axis is not None:
        return np.asarray(np.eye(3)[axis])
    vector = np.array(draw(st.tuples(*[st.floats(-1.0, 1.0)] * 3))) + 1e-3
    return np.asarray(vector / np.linalg.norm(vector))


# Angles over the whole range, and those near the two places where formulas break down.
angles = st.one_of(
    st.floats(0.0, np.pi),
    st.floats(-15.0, -2.0).map(lambda exponent: float(10.0**exponent)),
    st.floats(-15.0, -2.0).map(lambda exponent: float(np.pi - 10.0**exponent)),
)
rotations = st.builds(lambda u, a: rotation_from_rotvec(u * a), directions(), angles)
poses = st.builds(
    lambda rotation, t: Pose(rotation, np.array(t)), rotations, st.tuples(*[coordinates] * 3)
)


def assert_same_pose(a: Pose, b: Pose) -> None:
    assert np.abs(a.rotation - b.rotation).max() < 1e-12
    assert np.abs(a.translation - b.translation).max() < 1e-10


@properties
@given(poses, poses, poses)
def test_composition_is_associative(a: Pose, b: Pose, c: Pose) -> None:
    assert_same_pose(a.compose(b).compose(c), a.compose(b.compose(c)))


@properties
@given(poses)
def test_inverse_and_identity(pose: Pose) -> None:
    assert_same_pose(pose.compose(pose.inverse()), Pose.identity())
    assert_same_pose(pose.inverse().compose(pose), Pose.identity())
    assert_same_pose(pose.compose(Pose.identity()), pose)
    assert_same_pose(Pose.identity().compose(pose), pose)


@properties
@given(poses, poses, st.tuples(*[coordinates] * 3))
def test_composition_applies_one_after_the_other(a: Pose, b: Pose, point: Float64s) -> None:
    points = np.array([point])
    np.testing.assert_allclose(a.compose(b).apply(points), a.apply(b.apply(points)), atol=1e-10)


@properties
@given(poses)
def test_center_is_what_maps_to_the_origin(pose: Pose) -> None:
    assert np.abs(pose.apply(pose.center[None])).max() < 1e-10
    np.testing.assert_allclose(pose.inverse().translation, pose.center)


@properties
@given(rotations)
def test_rotations_are_orthonormal(rotation: Float64s) -> None:
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-14
    assert abs(np.linalg.det(rotation) - 1.0) < 1e-14


@properties
@given(directions(), angles)
def test_rotation_vector_returns(direction: Float64s, angle: float) -> None:
    """log(exp(v)) = v, near zero to full relative accuracy; at pi the axis may turn round."""
    rotvec = direction * angle
    returned = rotvec_from_rotation(rotation_from_rotvec(rotvec))
    error = np.abs(returned - rotvec).max()
    if np.pi - angle < 1e-12:
        error = min(error, np.abs(returned + rotvec).max())
    assert error < 1e-11
    assert np.linalg.norm(returned) <= np.pi + 1e-15


@properties
@given(directions(), st.floats(-15.0, -6.0))
def test_small_angles_keep_their_digits(direction: Float64s, exponent: float) -> None:
    rotvec = direction * 10.0**exponent
    returned = rotvec_from_rotation(rotation_from_rotvec(rotvec))
    assert np.abs(returned - rotvec).max() < 1e-9 * 10.0**exponent


@properties
@given(rotations)
def test_rotation_returns_from_vector_and_quaternion(rotation: Float64s) -> None:
    again = rotation_from_rotvec(rotvec_from_rotation(rotation))
    assert np.abs(again - rotation).max() < 1e-14 * 8
    quaternion = quaternion_from_rotation(rotation)
    assert abs(np.linalg.norm(quaternion) - 1.0) < 1e-15 * 4
    assert quaternion[0] >= 0.0
    assert np.abs(rotation_from_quaternion(quaternion) - rotation).max() < 1e-14


@properties
@given(st.tuples(*[st.floats(-1.0, 1.0)] * 4), st.floats(0.1, 10.0))
def test_quaternion_returns_up_to_sign_and_length(parts: tuple[float, ...], length: float) -> None:
    quaternion = np.array(parts)
    norm = np.linalg.norm(quaternion)
    if norm < 1e-3:
        with pytest.raises(ValueError, match="length zero"):
            rotation_from_quaternion(np.zeros(4))
        return
    unit = quaternion / norm
    returned = quaternion_from_rotation(rotation_from_quaternion(length * unit))
    assert min(np.abs(returned - unit).max(), np.abs(returned + unit).max()) < 1e-14


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns(axis: int) -> None:
    """Degenerate twin: at exactly pi the quaternion's w is zero, and the axis its own opposite."""
    rotation = -np.eye(3)
    rotation[axis, axis] = 1.0
    rotvec = rotvec_from_rotation(rotation)
    np.testing.assert_allclose(np.abs(rotvec), np.pi * np.eye(3)[axis], atol=1e-15)
    np.testing.assert_allclose(rotation_from_rotvec(rotvec), rotation, atol=1e-15)


def test_many_rotation_vectors_at_once() -> None:
    rotvecs = np.random.default_rng(0).normal(size=(4, 5, 3)) * 1e-4
    stacked = rotation_from_rotvec(rotvecs)
    for index in np.ndindex(4, 5):
        np.testing.assert_array_equal(stacked[index], rotation_from_rotvec(rotvecs[index]))


@properties
@given(st.tuples(*[coordinates] * 3), st.tuples(*[coordinates] * 3))
def test_cross_matrix(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    matrix = cross_matrix(np.array(a))
    np.testing.assert_allclose(matrix @ np.array(b), np.cross(a, b), atol=1e-10)
    np.testing.assert_array_equal(matrix, -matrix.T)


@properties
@given(rotations, directions(), angles)
def test_angle_between_rotations(rotation: Float64s, direction: Float64s, angle: float) -> None:
    turned = rotation @ rotation_from_rotvec(direction * angle)
    assert abs(angle_between_rotations(rotation, turned) - angle) < 1e-14 * 5
    assert angle_between_rotations(rotation, rotation) < 1e-15 * 5


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\) rotation"):
        Pose(np.eye(4), np.zeros(3))
    with pytest.raises(ValueError, match=r"\(3,\) translation"):
        Pose(np.eye(3), np.zeros((3, 1)))
