"""Streamed clouds: every point is there once, where it was, and strays cost no resolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.bundle import unpack
from pipeline.formats.point_stream import (
    NO_NORMAL,
    RECORD,
    STRAY,
    Stream,
    StreamedCloud,
    robust_box,
    stream_cloud,
    stream_steps,
)


def cloud_of(xyz: np.ndarray) -> StreamedCloud:
    """A cloud whose colours number its points."""
    n = len(xyz)
    numbers = np.arange(n)
    rgb = np.column_stack([numbers & 255, numbers >> 8 & 255, numbers >> 16]).astype(np.uint8)
    return StreamedCloud(
        xyz, rgb, np.zeros(n, bool), numbers % 7 / 4.0, numbers % 300, np.full((n, 3), np.nan)
    )


def read(stream: Stream) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    """Header, numbers of the points as their colours say, positions, flags."""
    header, buffers = unpack(stream.points)
    records = np.frombuffer(buffers["records"], RECORD)
    assert header["count"] == len(records) and header["buffers"][0]["shape"][1] == 10
    numbers = records["rgb"].astype(np.int64) @ [1, 256, 65536]
    xyz = np.array(header["origin"]) + records["q"] * np.array(header["step"])
    return header, numbers, xyz, records["flags"]


COORDINATES = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300])


@settings(derandomize=True, deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), max_size=40))
def test_every_point_is_there_once_near_its_place_or_flagged(rows: list[tuple[float, ...]]) -> None:
    xyz = np.array(rows, np.float64).reshape(-1, 3)
    header, numbers, found, flags = read(stream := stream_cloud(cloud_of(xyz)))
    assert sorted(numbers.tolist()) == list(range(len(xyz)))
    strays = (flags & STRAY).astype(bool)
    assert header["strays"] == stream.strays == strays.sum()
    near = np.abs(found - xyz[numbers])[~strays]
    with np.errstate(over="ignore"):
        size = np.abs(xyz[numbers][~strays]).max(initial=0.0)
        assert (near <= 0.51 * np.array(header["step"]) + 1e-12 * size).all()
    assert np.isfinite(found).all()


def test_a_stray_at_infinity_does_not_eat_the_resolution() -> None:
    xyz = np.random.default_rng(1).normal(size=(5000, 3))
    usual = np.array(read(stream_cloud(cloud_of(xyz)))[0]["step"])
    xyz[7], xyz[9] = 1e9, np.nan
    header, numbers, _, flags = read(stream_cloud(cloud_of(xyz)))
    assert set(numbers[flags == STRAY].tolist()) == {7, 9} and header["strays"] == 2
    assert (np.array(header["step"]) <= 1.1 * usual).all()
    assert header["radius"] < 5 and np.abs(header["center"]).max() < 0.1


def test_every_beginning_is_a_sample_of_the_whole() -> None:
    xyz = np.column_stack([np.arange(30_000.0)] * 3)
    _, numbers, _, _ = read(stream_cloud(cloud_of(xyz)))
    for part in (300, 3000):
        counts, _ = np.histogram(numbers[:part], 5, (0, 30_000))
        assert counts.min() > 0.13 * part
    again = read(stream_cloud(cloud_of(xyz)))[1]
    np.testing.assert_array_equal(numbers, again)


def test_details_are_in_the_same_order() -> None:
    xyz = np.random.default_rng(2).normal(size=(700, 3))
    normals = xyz / np.linalg.norm(xyz, axis=1, keepdims=True)
    normals[5] = np.nan
    cloud = replace(cloud_of(xyz), normals=normals)
    cloud.error_px[11] = np.nan
    stream = stream_cloud(cloud, {"more": 1})
    header, numbers, _, _ = read(stream)
    told, buffers = unpack(stream.details)
    assert header["more"] == 1 and told["error_max_px"] == header["error_max_px"] == 1.5
    error = np.frombuffer(buffers["error"], np.uint8)
    expected = np.rint(np.nan_to_num(cloud.error_px[numbers] / 1.5, nan=1.0) * 255)
    np.testing.assert_array_equal(error, expected.astype(np.uint8))
    lengths = np.frombuffer(buffers["track_length"], np.uint8)
    np.testing.assert_array_equal(lengths, np.minimum(cloud.track_length[numbers], 255))
    normal = (np.frombuffer(buffers["normal"], np.uint8).reshape(-1, 3) - 127.0) / NO_NORMAL
    none = numbers == 5
    np.testing.assert_array_equal(normal[none], 0.0)
    assert np.abs(normal[~none] - normals[numbers[~none]]).max() < 0.005


def test_errors_that_nobody_knows_are_left_out() -> None:
    xyz = np.random.default_rng(6).normal(size=(50, 3))
    stream = stream_cloud(replace(cloud_of(xyz), error_px=np.full(50, np.nan)))
    header, numbers, _, _ = read(stream)
    told, buffers = unpack(stream.details)
    assert header["error_max_px"] is None and told["error_max_px"] is None
    assert sorted(buffers) == ["normal", "track_length"]
    np.testing.assert_array_equal(np.frombuffer(buffers["track_length"], np.uint8), numbers)


def test_a_flat_cloud_and_a_single_point() -> None:
    flat = np.random.default_rng(3).normal(size=(100, 3)) * [1.0, 0.0, 2.0]
    _, numbers, found, flags = read(stream_cloud(cloud_of(flat)))
    assert not flags.any() and np.abs(found - flat[numbers]).max() < 1e-3
    one = np.array([[3.0, -4.0, 5.0]])
    header, _, found, flags = read(stream_cloud(cloud_of(one)))
    np.testing.assert_allclose(found, one)
    assert not flags.any() and header["radius"] == 1.0
    box = robust_box(np.zeros((0, 3)))
    assert not box.low.any() and not box.high.any()


def test_steps_are_in_the_order_of_the_points() -> None:
    steps = np.arange(1000) % 40
    numbers = read(stream_cloud(cloud_of(np.zeros((1000, 3)))))[1]
    header, buffers = unpack(stream_steps(steps, 40))
    rows = np.frombuffer(buffers["step"], np.uint8)
    assert header["count"] == 1000 and rows.min() == 1 and rows.max() == 255
    np.testing.assert_array_equal(np.rint((rows - 1.0) / 254 * 39), steps[numbers])


def test_of_a_single_step_something_is_known() -> None:
    _, buffers = unpack(stream_steps(np.zeros(3, np.int64), 1))
    assert bytes(buffers["step"]) == b"\x01\x01\x01"
