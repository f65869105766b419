"""Pair selection: every method, from the products of the stages before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import PairsConfig
from pipeline.events import Progress, Record, Report, Warned
from pipeline.geometry.arrays import Int64s, UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.matching.pairs import (
    SelectPairs,
    chosen_method,
    exhaustive_pairs,
    natural_order,
    sequential_pairs,
)
from pipeline.products import MemoryStore, Pairs, Photo, PhotoIndex
from pipeline.runner import ForegroundControl
from tests.matching.walks import feature_set, make_walk

PROPERTIES = settings(derandomize=True, deadline=None, max_examples=40)


class OpenControl(ForegroundControl):
    """A control that never stops the stage and always wants a record."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(MemoryStore(), executor, 2, threading.Event())

    def due(self) -> bool:
        return True


@pytest.fixture
def control() -> Iterator[OpenControl]:
    with ThreadPoolExecutor(2) as executor:
        yield OpenControl(executor)


def select(
    walk: list[UInt8s], control: OpenControl, names: list[str] | None = None, **fields: Any
) -> tuple[Pairs, list[Record]]:
    names = names or [f"{i}.jpg" for i in range(len(walk))]
    camera = Camera("SIMPLE_PINHOLE", 64, 64, np.array([64.0, 32.0, 32.0]))
    photos = PhotoIndex(tuple(Photo(n, Path(n), 0, 64, 64, n) for n in names), (camera,))
    inputs = {"photos": photos, "features": feature_set(walk)}
    work = SelectPairs().run(inputs, PairsConfig(**fields), control)
    records: list[Record] = []
    while True:
        try:
            records.append(next(work))
        except StopIteration as finished:
            return finished.value["pairs"], records


def empty(images: int) -> list[UInt8s]:
    return [np.zeros((0, 128), np.uint8)] * images


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    found = {(int(a), int(b)) for a, b in pairs.indices}
    assert len(found) == len(pairs.indices) and sorted(found) == list(map(tuple, pairs.indices))
    return found


def apart(pairs: Pairs, images: int) -> Int64s:
    steps = pairs.indices[:, 1] - pairs.indices[:, 0]
    return np.asarray(np.minimum(steps, images - steps))


@pytest.mark.parametrize("images", [0, 1, 2, 3, 10])
def test_exhaustive_is_every_pair_once(images: int) -> None:
    pairs = exhaustive_pairs(images)
    assert pairs.shape == (images * (images - 1) // 2, 2)
    Pairs(pairs, "exhaustive")


def test_auto_goes_by_the_number_of_photographs() -> None:
    config = PairsConfig(exhaustive_limit=50)
    assert chosen_method(config, 50) == "exhaustive"
    assert chosen_method(config, 51) == "retrieval"
    assert chosen_method(PairsConfig(method="sequential"), 5000) == "sequential"


def test_auto_compares_all_of_a_few_without_looking_at_them(control: OpenControl) -> None:
    pairs, records = select(empty(6), control)
    assert pairs.method == "exhaustive" and len(pairs.indices) == 15
    assert not [record for record in records if isinstance(record, Progress)]


def test_numbers_in_names_count_as_numbers() -> None:
    names = [
        "f10.jpg",
        "f9.jpg",
        "f009b.jpg",
        "a/f1.jpg",
        "F2.jpg",
        "10",
        "9x",
        "f9.png",
        "f09.png",
    ]
    assert [names[i] for i in natural_order(names)] == [
        "F2.jpg", "a/f1.jpg", "f9.jpg", "f09.png", "f9.png", "f009b.jpg", "f10.jpg", "9x", "10",
    ]  # fmt: skip


@PROPERTIES
@given(st.integers(1, 40), st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_sequence_has_its_neighbours_and_powers_of_two(
    images: int, overlap: int, random: Any
) -> None:
    order = list(range(images))
    random.shuffle(order)
    pairs = sequential_pairs(np.array(order, np.int64), overlap)
    wanted = {*range(1, overlap + 1), *(2**k for k in range(overlap))}
    expected = {
        (min(order[a], order[b]), max(order[a], order[b]))
        for a in range(images)
        for b in range(a + 1, images)
        if b - a in wanted
    }
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)


def test_a_sequence_follows_the_numbers_in_the_names(control: OpenControl) -> None:
    names = ["f1.jpg", "f10.jpg", "f11.jpg", "f2.jpg"]
    pairs, _ = select(empty(4), control, names, method="sequential", overlap=1, loop_closure=False)
    assert as_set(pairs) == {(0, 3), (1, 3), (1, 2)}


def test_a_loop_is_closed_by_looks(control: OpenControl) -> None:
    """On a circular walk the last photographs see what the first ones saw."""
    walk = make_walk(images=60, features=240, step=40, noise=8.0, seed=1)
    fields: dict[str, Any] = {"method": "sequential", "overlap": 3, "words": 16, "neighbours": 4}
    open_pairs, _ = select(walk, control, loop_closure=False, **fields)
    closed, _ = select(walk, control, loop_closure=True, **fields)
    assert as_set(open_pairs) < as_set(closed)
    assert not any(b - a > 30 for a, b in as_set(open_pairs))
    assert {(a, b) for a, b in as_set(closed) if b - a > 56} >= {(0, 59), (0, 58)}
    assert len(closed.indices) - len(open_pairs.indices) <= 20 * 4


def test_retrieval_finds_the_neighbours_in_a_bounded_number_of_pairs(control: OpenControl) -> None:
    walk = make_walk(images=60, features=240, step=40, noise=8.0, seed=1)
    pairs, records = select(walk, control, method="retrieval", neighbours=8, words=16)
    assert pairs.method == "retrieval"
    true = np.count_nonzero(apart(pairs, 60) <= 3) / (60 * 3)
    assert 0.97 <= true <= 1.0
    assert 60 * 4 <= len(pairs.indices) <= 60 * 8
    (report,) = [record for record in records if isinstance(record, Report)]
    assert report.data["pairs"] == len(pairs.indices) and report.data["of"] == 60 * 59 // 2
    assert [record.done for record in records if isinstance(record, Progress)][-1] == 60


def test_the_seed_decides(control: OpenControl) -> None:
    walk = make_walk(images=30, features=120, step=40, noise=20.0, seed=2)
    fields: dict[str, Any] = {"method": "retrieval", "neighbours": 3, "words": 16}
    first, _ = select(walk, control, seed=5, **fields)
    again, _ = select(walk, control, seed=5, **fields)
    other, _ = select(walk, control, seed=6, **fields)
    assert np.array_equal(first.indices, again.indices)
    assert not np.array_equal(first.indices, other.indices)


def test_photographs_without_features_are_named_and_left_alone(control: OpenControl) -> None:
    walk = make_walk(images=20, features=120, step=40, noise=8.0, seed=3)
    walk[4] = walk[11] = np.zeros((0, 128), np.uint8)
    pairs, records = select(walk, control, method="retrieval", neighbours=5, words=8)
    assert not {4, 11} & set(pairs.indices.ravel().tolist())
    assert set(range(20)) - {4, 11} == set(pairs.indices.ravel().tolist())
    warned = [record.subject for record in records if isinstance(record, Warned)]
    assert warned == ["4.jpg", "11.jpg"]


def test_no_features_at_all_gives_no_pairs(control: OpenControl) -> None:
    for method in ("retrieval", "sequential"):
        pairs, records = select(empty(5), control, method=method, overlap=1)
        report = records[-1]
        assert isinstance(report, Report)
        assert report.data["without_features"] == [f"{i}.jpg" for i in range(5)]
        assert len(pairs.indices) == (0 if method == "retrieval" else 4)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_fewer_photographs_than_neighbours_gives_all_pairs(
    images: int, control: OpenControl
) -> None:
    walk = make_walk(images=images, features=50, step=10, noise=5.0, seed=4)
    pairs, _ = select(walk, control, method="retrieval", neighbours=40)
    assert np.array_equal(pairs.indices, exhaustive_pairs(images))
