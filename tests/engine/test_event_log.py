"""The event log: whatever is torn or garbled, complete lines are never lost and numbers grow."""

from __future__ import annotations

import math
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.event_log import EventLog
from pipeline.engine.log_reader import START, LogReader
from pipeline.events import (
    Checkpointed,
    Metric,
    Progress,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)
from tests.engine.logs import RECORDS, numbers, read, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_logged_is_read_again(path: Path) -> None:
    with EventLog(path) as log:
        for record in RECORDS:
            log.append("features", record)
    events, damages = read(path)
    assert [event.record for event in events] == list(RECORDS)
    assert {event.stage for event in events} == {"features"}
    assert numbers(events) == list(range(1, len(RECORDS) + 1))
    assert all(b.mono >= a.mono and b.time >= a.time > 1e9 for a, b in pairwise(events))
    assert damages == []


def test_numbers_go_on_where_the_last_writer_ended(path: Path) -> None:
    write(path, *RECORDS[:3])
    write(path, Warned("again"))
    assert numbers(read(path)[0]) == [1, 2, 3, 4]


def test_any_cut_loses_only_the_torn_line(path: Path) -> None:
    write(path, *RECORDS)
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    cuts = {end + shift for end in [0, *ends] for shift in (-1, 0, 1, 2, 50)}
    cuts |= set(range(ends[-2], ends[-1] + 1))
    for cut in sorted(cuts & set(range(len(whole) + 1))):
        path.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n")
        write(path, Warned("after"))
        events, damages = read(path)
        assert [event.record for event in events] == [*RECORDS[:complete], Warned("after")]
        assert numbers(events) == list(range(1, complete + 2))
        assert damages == []


@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_garbage_in_the_middle_is_told_and_the_rest_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    write(path, *RECORDS)
    lines = path.read_bytes().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    garbage = data.draw(
        st.binary(max_size=80).map(lambda text: text.replace(b"\n", b" "))
        | st.sampled_from([b"[" * 100_000, b"\x00" * 4096, b"{}", b"null", b'{"seq": 1e999}'])
    )
    lines[at] = garbage + b"\n"
    path.write_bytes(b"".join(lines))
    write(path, Warned("after"))
    events, damages = read(path)
    others = [record for i, record in enumerate(RECORDS) if i != at]
    assert [event.record for event in events] == [*others, Warned("after")]
    assert all(b > a for a, b in pairwise(numbers(events)))
    assert len(damages) == 1
    assert f"line {at + 1} " in damages[0]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data())
def test_flipped_bytes_never_stop_the_log(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    write(path, *RECORDS)
    text = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from(b'019-+.eE"{}[]:,nulltrue \n\x00\xff'))
    path.write_bytes(text)
    before = read(path)[0]
    write(path, RunChanged("done"))
    after = read(path)[0]
    assert after[:-1] == before
    assert after[-1].record == RunChanged("done")
    assert after[-1].seq > max(numbers(before), default=0)


@pytest.mark.parametrize(
    "line",
    [
        '{"seq": 9, "time": 1, "mono": 1, "stage": "a", "kind": "progress", "done": "many"}',
        '{"seq": 9, "time": 1, "mono": 1, "stage": "a", "kind": ["progress"]}',
        '{"seq": 9, "time": 1, "mono": NaN, "stage": "a", "kind": "warning", "message": "x"}',
        '{"seq": 9, "time": 1, "mono": 1e99, "stage": "a", "kind": "warning", "message": "x"}',
        '{"seq": -9, "time": 1, "mono": 1, "stage": "a", "kind": "warning", "message": "x"}',
        '{"seq": 1e300, "time": 1, "mono": 1, "stage": "a", "kind": "warning", "message": "x"}',
        '{"seq": 9, "time": 1, "mono": 1, "stage": "a", "kind": "run", "state": "dancing"}',
        '{"time": 1, "stage": "a", "kind": "warning", "message": "of an older version"}',
    ],
)
def test_an_impossible_event_is_a_damage(path: Path, line: str) -> None:
    path.write_text(line + "\n")
    write(path, Warned("after"))
    events, damages = read(path)
    assert [(event.seq, event.record) for event in events] == [(1, Warned("after"))]
    assert len(damages) == 1


def test_a_number_that_does_not_grow_is_told_once(path: Path) -> None:
    write(path, *RECORDS)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"seq": 3,', b'"seq": 3000,')
    path.write_bytes(b"".join(lines))
    write(path, Warned("after"))
    events, damages = read(path)
    assert numbers(events) == [1, 2, 3000, 4, 5, 6, 7, 8, 3001]
    assert damages == ["events.jsonl: line 4 has the number 4 after 3000"]


def test_many_damages_are_told_in_few_words(path: Path) -> None:
    path.write_bytes(b"?\n" * 1000)
    reader = LogReader(path)
    assert list(reader) == []
    assert 10 < len(reader.damages) < 30
    assert "980 more" in reader.damages[-1]


def test_reading_may_begin_at_a_place(path: Path) -> None:
    write(path, *RECORDS[:4])
    place = LogReader(path)
    assert len(list(place)) == 4
    write(path, *RECORDS[4:])
    rest = LogReader(path, place.place, place.seq)
    assert [event.record for event in rest] == list(RECORDS[4:])
    assert place.place.is_in(path) and rest.place.is_in(path) and START.is_in(path)
    path.write_bytes(path.read_bytes()[: place.place.offset])
    assert place.place.is_in(path) and not rest.place.is_in(path)
    path.write_bytes(b"x" * 5000)
    assert not place.place.is_in(path)


def test_metrics_are_not_logged_and_progress_once_a_second(path: Path) -> None:
    clock = count(100.0, 0.1)
    with EventLog(path, mono=lambda: next(clock)) as log:
        log.append("a", StageChanged("a", "started"))
        for done in range(40):  # two records each tenth of a second: eight seconds
            log.append("a", Progress(done, 40, "photos"))
            log.append("a", Metric("loss", 1.0, done))
        log.append("a", StageChanged("a", "done"))
    events, damages = read(path)
    progress = [event for event in events if isinstance(event.record, Progress)]
    assert not any(isinstance(event.record, Metric) for event in events)
    assert 8 <= len(progress) <= 10
    assert all(b.mono - a.mono >= 0.99 for a, b in pairwise(progress[:-1]))
    assert isinstance(events[-2].record, Progress) and events[-2].record.done == 39
    assert damages == []


def test_another_stages_change_does_not_wake_held_progress(path: Path) -> None:
    with EventLog(path, mono=lambda: 5.0) as log:
        for stage in "ab":
            log.append(stage, Progress(1, 9, "photos"))
            log.append(stage, Progress(2, 9, "photos"))
        log.append("a", Checkpointed(1))
        log.append("", RunChanged("paused"))
    told = [(event.stage, event.record) for event in read(path)[0]]
    assert told == [
        ("a", Progress(1, 9, "photos")),
        ("b", Progress(1, 9, "photos")),
        ("a", Progress(2, 9, "photos")),
        ("a", Checkpointed(1)),
        ("b", Progress(2, 9, "photos")),
        ("", RunChanged("paused")),
    ]


def test_what_json_cannot_say_is_made_plain(path: Path) -> None:
    with EventLog(path) as log:
        entry = log.enter("a", Report({"rate": math.nan, "of": {"x": [math.inf]}}))
        assert entry.data["data"] == {"rate": None, "of": {"x": [None]}}
        metric = log.enter("a", Metric("loss", math.nan, 3))
        assert metric.data["value"] is None
        assert isinstance(metric.event.record, Metric) and math.isnan(metric.event.record.value)
        log.append("a", Warned("strange name", "photo\udcff.jpg"))
    records = [event.record for event in read(path)[0]]
    assert records[0] == Report({"rate": None, "of": {"x": [None]}})
    assert records[1] == Warned("strange name", "photo\\udcff.jpg")
