"""Metrics: a curve is what a slow and obvious twin says, and files survive cuts."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import metrics
from pipeline.engine.curve import MOST_BUCKETS, Curve
from pipeline.engine.messages import Bucket, MetricAnswer
from pipeline.engine.metrics import RECORD, MetricStore, plain_metric
from pipeline.events import Metric

VALUES = st.floats(allow_nan=True, allow_infinity=True)


def curve_of(values: Sequence[float], first_step: int = 0) -> Curve:
    curve = Curve()
    for step, value in enumerate(values, start=first_step):
        curve.add(step, value)
    return curve


def number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def expected(bucket: Bucket, values: Sequence[float]) -> Bucket:
    """The bucket, as the values between its steps make it."""
    part = values[bucket.first_step : bucket.last_step + 1]
    finite = [value for value in part if math.isfinite(value)]
    return Bucket(
        first_step=bucket.first_step,
        last_step=bucket.last_step,
        low=min(finite, default=None),
        high=max(finite, default=None),
        last=number(part[-1]),
    )


@settings(derandomize=True, deadline=None, max_examples=50)
@given(values=st.lists(VALUES, max_size=60), most=st.integers(1, 70))
def test_buckets_are_what_lies_between_their_steps(values: list[float], most: int) -> None:
    buckets = curve_of(values).buckets(most)
    assert len(buckets) <= most
    steps = [step for b in buckets for step in range(b.first_step, b.last_step + 1)]
    assert steps == list(range(len(values)))
    assert list(buckets) == [expected(bucket, values) for bucket in buckets]
    if len(values) <= most:
        assert len(buckets) == len(values)


@pytest.mark.parametrize("length", [MOST_BUCKETS, MOST_BUCKETS + 1, 3 * MOST_BUCKETS, 50_001])
def test_a_long_curve_keeps_its_extremes_in_bounded_memory(length: int) -> None:
    values = [math.sin(0.37 * step) * step for step in range(length)]
    values[length // 3], values[length // 2] = 1e9, math.nan
    curve = curve_of(values)
    buckets = curve.buckets(10**9)
    assert MOST_BUCKETS // 2 <= len(buckets) <= MOST_BUCKETS
    assert list(buckets) == [expected(bucket, values) for bucket in buckets]
    assert (buckets[0].first_step, buckets[-1].last_step) == (0, length - 1)
    assert max(bucket.high or 0.0 for bucket in curve.buckets(100)) == 1e9
    assert 50 <= len(curve.buckets(100)) <= 100


@settings(derandomize=True, deadline=None, max_examples=50)
@given(before=st.integers(1, 40), back_to=st.integers(0, 40), after=st.integers(1, 40))
def test_a_stage_that_goes_back_overwrites(before: int, back_to: int, after: int) -> None:
    curve = curve_of([1.0] * before)
    for step in range(back_to, back_to + after):
        curve.add(step, 2.0)
    told = {b.first_step: b.last for b in curve.buckets(1000)}
    kept = range(min(before, back_to if back_to < before - 1 else before))
    again = range(back_to, back_to + after)
    if back_to == before - 1:  # the same step once more is no way back
        assert len(curve.buckets(1000)) == before + after
    else:
        assert told == {**dict.fromkeys(kept, 1.0), **dict.fromkeys(again, 2.0)}


def test_going_back_into_a_shared_bucket_keeps_its_begin() -> None:
    curve = curve_of([1.0] * (2 * MOST_BUCKETS + 1))  # four values share a bucket
    curve.add(6, 3.0)
    curve.add(7, 3.0)
    steps = [(b.first_step, b.last_step, b.high) for b in curve.buckets(100)]
    assert steps == [(0, 3, 1.0), (4, 5, 1.0), (6, 7, 3.0)]


def test_values_without_steps_stand_one_after_the_other() -> None:
    curve = Curve()
    for value in (3.0, 1.0, 2.0):
        curve.add(0, value)
    assert [bucket.last for bucket in curve.buckets(10)] == [3.0, 1.0, 2.0]


def open_store(folder: Path) -> MetricStore:
    store = MetricStore(folder)
    store.open()
    store.set_curves(store.read_curves())
    return store


def keep(store: MetricStore, *values: float, name: str = "loss", first_step: int = 0) -> None:
    for step, value in enumerate(values, start=first_step):
        assert store.add("mapping", Metric(name, value, step, "px"), 1e9 + step)
    store.write(store.take())


def lasts(store: MetricStore, name: str = "loss") -> list[float | None]:
    return [bucket.last for bucket in store.buckets("mapping", name, 1000)]


def test_metrics_are_there_again_after_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    keep(store, 3.0, math.nan, 2.0, math.inf, 1.0)
    store.close()
    again = open_store(tmp_path)
    assert lasts(again) == [3.0, None, 2.0, None, 1.0]
    assert list(again.newest()) == [("mapping", Metric("loss", 1.0, 4, "px"))]
    keep(again, 0.5, first_step=5)
    assert lasts(again) == lasts(open_store(tmp_path)) == [3.0, None, 2.0, None, 1.0, 0.5]
    buckets = again.buckets("mapping", "loss", 3)
    MetricAnswer(stage="mapping", name="loss", buckets=buckets).model_dump_json()
    with pytest.raises(KeyError):
        again.buckets("mapping", "gain", 3)


def test_values_that_come_before_the_curve_is_read_are_in_it(tmp_path: Path) -> None:
    keep(open_store(tmp_path), 1.0, 2.0)
    store = MetricStore(tmp_path)
    store.open()
    assert store.buckets("mapping", "loss", 10) == ()
    keep(store, 3.0, first_step=2)
    curves = store.read_curves()
    keep(store, 4.0, first_step=3)
    store.set_curves(curves)
    keep(store, 5.0, first_step=4)
    assert lasts(store) == lasts(open_store(tmp_path)) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_metric_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    keep(open_store(tmp_path), 1.0, 2.0)
    store = MetricStore(tmp_path)
    store.open()
    keep(store, 3.0, first_step=2)
    store.set_curves({})
    keep(store, 4.0, first_step=3)
    assert lasts(store) == [3.0, 4.0]
    assert lasts(open_store(tmp_path)) == [1.0, 2.0, 3.0, 4.0]


def test_any_cut_loses_only_the_torn_value(tmp_path: Path) -> None:
    keep(open_store(tmp_path), 1.0, 2.0, 3.0)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    header = len(whole) - 3 * RECORD.size
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        store = open_store(tmp_path)
        assert len(store.damages) == (cut < header)
        complete = max(0, cut - header) // RECORD.size
        keep(store, 9.0, first_step=complete)
        store.close()
        again = open_store(tmp_path)
        assert lasts(again) == [*[1.0, 2.0, 3.0][:complete], 9.0]
        assert again.damages == []


def test_zeros_after_a_power_cut_are_no_values(tmp_path: Path) -> None:
    keep(open_store(tmp_path), 1.0, 2.0)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + bytes(5 * RECORD.size + 7))
    keep(open_store(tmp_path), 3.0, first_step=2)
    assert lasts(open_store(tmp_path)) == [1.0, 2.0, 3.0]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(names=st.sets(st.text(max_size=200), min_size=1, max_size=4))
def test_any_name_has_a_file_of_its_own_inside_the_folder(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    root = tmp_path_factory.mktemp("run")
    names |= {"..", "/etc/passwd", "a/../b", "a.b", "A.b", "\udcff", "x" * 5000, "\0"}
    store = open_store(root / "metrics")
    for number, name in enumerate(sorted(names)):
        keep(store, float(number), name=name)
    store.close()
    assert [path.name for path in root.iterdir()] == ["metrics"]
    assert len(list((root / "metrics").iterdir())) == len(names)
    again = open_store(root / "metrics")
    for number, name in enumerate(sorted(names)):
        assert lasts(again, name) == [float(number)]


def test_there_is_an_end_to_the_number_of_metrics(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    taken = [store.add("a", Metric(f"m{i}", 1.0), 1e9) for i in range(metrics.MOST_SERIES + 5)]
    assert taken == [True] * metrics.MOST_SERIES + [False] * 5


@pytest.mark.parametrize("value", [None, 10**400, math.nan])
def test_what_is_no_number_leaves_a_gap(tmp_path: Path, value: object) -> None:
    store = open_store(tmp_path)
    metric = plain_metric(Metric("loss", value, 10**30))  # type: ignore[arg-type]
    assert store.add("mapping", metric, 1e9)
    store.write(store.take())
    assert lasts(store) == lasts(open_store(tmp_path)) == [None]


def test_a_refused_batch_is_written_once_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    keep(store, 1.0, name="a")
    keep(store, 1.0, name="b")
    real, calls = os.pwrite, 0

    def pwrite(handle: int, data: memoryview, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            return real(handle, data, offset)
        if calls == 2:
            return real(handle, data[:5], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in "ab":
        assert store.add("mapping", Metric(name, 2.0, 1), 1e9)
    batch = store.take()
    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="space"):
        store.write(batch)
    assert len(batch) == 1
    monkeypatch.setattr(os, "pwrite", real)
    store.write(batch)
    assert batch == {}
    again = open_store(tmp_path)
    assert lasts(again, "a") == lasts(again, "b") == [1.0, 2.0]


def test_values_that_nobody_takes_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_WAITING_BYTES", 50 * RECORD.size)
    store = open_store(tmp_path)
    for step in range(80):
        assert store.add("mapping", Metric("loss", 1.0, step), 1e9)
    assert (store.take_lost(), store.take_lost()) == (30, 0)
    store.write(store.take())
    assert len(lasts(store)) == 80  # the curve has them all
    assert len(lasts(open_store(tmp_path))) == 50
