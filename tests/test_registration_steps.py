"""When points came, by the order in which their photographs were registered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import Points, RegisteredImage, SparseModel, Verdict
from pipeline.registration_steps import steps_of

NAMES = {1: "a", 2: "b", 3: "c", 5: "e"}


def model_of(tracks: Sequence[Sequence[int]]) -> SparseModel:
    """A model of four images whose points are seen by these."""
    camera = Camera("SIMPLE_PINHOLE", 4, 3, np.array([3.0, 2.0, 1.5]))
    nothing = np.zeros((0, 2)), np.zeros(0, np.int64)
    images = {i: RegisteredImage(n, 1, Pose.identity(), *nothing) for i, n in NAMES.items()}
    lengths = [len(track) for track in tracks]
    seen = np.array([i for track in tracks for i in track], np.int64)
    count = len(tracks)
    points = Points(
        np.arange(1, count + 1), np.zeros((count, 3)), np.zeros((count, 3), np.uint8),
        np.zeros(count), np.cumsum([0, *lengths]), seen, np.zeros_like(seen),
    )  # fmt: skip
    return SparseModel({1: camera}, images, points)


def verdicts_of(**places: int | None) -> list[Verdict]:
    return [Verdict(name, True, "registered", 0, place) for name, place in places.items()]


def test_a_point_came_with_the_second_photograph_of_its_track() -> None:
    model = model_of([(1, 2), (3, 1), (1, 2, 3, 5), (5, 3), (2, 5, 1)])
    steps = steps_of(model, verdicts_of(a=3, b=0, c=1, e=2))
    assert steps is not None and steps.tolist() == [3, 3, 1, 2, 2]


def test_photographs_that_joined_later_come_last() -> None:
    model = model_of([(1, 2), (2, 3), (1, 3)])
    other = [Verdict("c", True, "registered", 1, 0), Verdict("e", False, "too few")]
    steps = steps_of(model, [*verdicts_of(a=0, b=1), *other])
    assert steps is not None and steps.tolist() == [1, 3, 3]


def test_without_an_order_nothing_is_known() -> None:
    assert steps_of(model_of([(1, 2)]), verdicts_of(a=None, b=None)) is None
    assert steps_of(model_of([(1, 2)]), []) is None
    steps = steps_of(model_of([]), verdicts_of(a=0, b=1))
    assert steps is not None and steps.tolist() == []
