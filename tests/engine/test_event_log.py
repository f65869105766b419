"""The event log: whatever is torn or garbled, complete lines are never lost and numbers grow."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from threading import Event as Flag

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import line_writer
from pipeline.engine.event_log import EventLog
from pipeline.engine.log_reader import START, LogReader
from pipeline.errors import PipelineError
from pipeline.events import (
    Checkpointed,
    Event,
    Metric,
    ParameterChanged,
    Progress,
    Record,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)

RECORDS: tuple[Record, ...] = (
    RunChanged("starting"),
    StageChanged("features", "started"),
    Progress(3, 8, "photos", "a.jpg"),
    Warned("few keypoints", "b.jpg"),
    Report({"mean": 0.5, "names": ["ä", None]}),
    ParameterChanged("features.max", 1, [2.5, True], "me", 1, 7),
    Checkpointed(12),
    StageChanged("features", "failed", 2.5, "broken", "mend it", ("last", "words")),
)


def write(path: Path, *records: Record) -> None:
    with EventLog(path, wall=lambda: 1e9, mono=lambda: 5.0) as log:
        for record in records:
            log.append("features", record)


def read(path: Path) -> tuple[list[Event], list[str]]:
    reader = LogReader(path)
    return list(reader), reader.damages


def numbers(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


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


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=80, deadline=None)
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


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Counts the syncs of a file."""
    synced: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda path: synced.count(path.stat().st_ino)


def wait(log: EventLog, *, durable: bool = False) -> None:
    log.after(lambda place: None, durable=durable).result(timeout=20)


def test_only_changes_of_state_are_synced(path: Path, syncs: Callable[[Path], int]) -> None:
    with EventLog(path) as log:
        unsynced: tuple[Record, ...] = (Progress(1, 2, "photos"), Warned("x"), Report({}))
        for record in unsynced:
            log.append("a", record)
            wait(log)
        assert syncs(path) == 0
        for number, record in enumerate(
            (
                StageChanged("a", "done"),
                RunChanged("done"),
                ParameterChanged("a.b", 1, 2, "me", 1),
                Checkpointed(3),
            ),
            start=1,
        ):
            log.append("a", record)
            wait(log)
            assert syncs(path) == number
        wait(log, durable=True)
        assert syncs(path) == 4  # nothing was left to sync
        log.append("a", Warned("y"))
        wait(log, durable=True)
        assert syncs(path) == 5


class Disk:
    """A disk that can be full: then it takes the first half of what is written, like real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refused = Flag()
        self._write, self._sync = os.pwrite, os.fsync
        monkeypatch.setattr(os, "pwrite", self._pwrite)
        monkeypatch.setattr(os, "fsync", self._fsync)
        monkeypatch.setattr(line_writer, "FIRST_RETRY_S", 0.01)
        monkeypatch.setattr(line_writer, "LAST_RETRY_S", 0.02)
        monkeypatch.setattr("pipeline.engine.event_log.SECONDS_TO_CLOSE", 0.2)
        self.refuses_sync = False

    def _pwrite(self, handle: int, data: memoryview, offset: int) -> int:
        if not self.full:
            return self._write(handle, data, offset)
        if len(data) > 10:
            return self._write(handle, data[: len(data) // 2], offset)
        self.refused.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _fsync(self, handle: int) -> None:
        if self.refuses_sync:
            self.refused.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._sync(handle)

    def fill(self) -> None:
        self.full = True
        self.refused.clear()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def wait_for_trouble(log: EventLog) -> str:
    while (words := log.trouble) is None:
        time.sleep(0.001)
    return words


def test_lines_wait_while_the_disk_is_full(path: Path, disk: Disk) -> None:
    with EventLog(path) as log:
        log.append("a", StageChanged("a", "started"))
        wait(log)
        before = path.read_bytes()
        disk.fill()
        log.append("a", Checkpointed(1))
        assert disk.refused.wait(20)
        durable = log.after(lambda place: None, durable=True)
        log.append("a", Checkpointed(2))
        words = wait_for_trouble(log)
        assert "events.jsonl" in words and "No space left" in words
        assert not durable.done()
        disk.full = False
        durable.result(timeout=20)
        wait(log)
        assert log.trouble is None
    assert path.read_bytes().startswith(before)
    events, damages = read(path)
    assert [event.record for event in events[1:]] == [Checkpointed(1), Checkpointed(2)]
    assert damages == []


def test_a_refused_sync_is_tried_again(path: Path, disk: Disk) -> None:
    with EventLog(path) as log:
        disk.refuses_sync = True
        log.append("a", Checkpointed(1))
        assert disk.refused.wait(20)
        disk.refuses_sync = False
        wait(log)
    assert [event.record for event in read(path)[0]] == [Checkpointed(1)]


def test_a_full_disk_at_the_end_is_told(path: Path, disk: Disk) -> None:
    def fill_up(error: Exception | None = None) -> None:
        with EventLog(path) as log:
            log.append("a", StageChanged("a", "started"))
            wait(log)
            disk.fill()
            log.append("a", Checkpointed(1))
            if error is not None:
                raise error

    with pytest.raises(PipelineError, match=r"events\.jsonl"):
        fill_up()
    disk.full = False
    events, damages = read(path)
    assert len(events) == 1 and damages == []
    with pytest.raises(ZeroDivisionError):  # what ended the block says more
        fill_up(ZeroDivisionError())


def test_memory_is_bounded_and_the_least_important_goes_first(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "MOST_WAITING_BYTES", 100_000)
    clock = count(0.0, 2.0)  # no progress is thinned
    with EventLog(path, mono=lambda: next(clock)) as log:
        disk.fill()
        log.append("a", Warned("first"))
        assert disk.refused.wait(20)
        for number in range(1000):
            log.append("a", Progress(number, None, "photos"))
            if number % 4 == 0:
                log.append("a", Warned(f"{number}"))
            if number % 8 == 0:
                log.append("a", Checkpointed(number))
        assert log._writer._waiting_bytes <= 100_000
        disk.full = False
        wait(log)
        log.append("a", Warned("last"))
    events, damages = read(path)
    records = [event.record for event in events]
    assert [r.step for r in records if isinstance(r, Checkpointed)] == list(range(0, 1000, 8))
    warnings = [r for r in records if isinstance(r, Warned) and r.subject == ""]
    assert [r.message for r in warnings] == [
        "first",
        *map(str, range(0, 1000, 4)),
        "last",
    ]
    progress = [r.done for r in records if isinstance(r, Progress)]
    assert 0 < len(progress) < 900
    assert progress[-1] == 999
    assert records[-1] == Warned(
        f"{1000 - len(progress)} lines are missing here: the disk refused them for too long",
        "events.jsonl",
    )
    assert damages == []


FULL_FILE = """
import resource, sys, time
from pathlib import Path
from pipeline.engine import line_writer
from pipeline.engine.event_log import EventLog
from pipeline.events import Checkpointed

line_writer.FIRST_RETRY_S = 0.01
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
with EventLog(Path(sys.argv[1])) as log:
    for step in range(100):
        log.append("a", Checkpointed(step))
    while log.trouble is None:
        time.sleep(0.001)
    print(log.trouble, Path(sys.argv[1]).stat().st_size, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
"""


def test_a_real_limit_on_the_files_size(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_FILE, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    words, _, size = done.stdout.strip().rpartition(" ")
    assert "File too large" in words
    assert 0 <= int(size) <= 1000
    events, damages = read(path)
    assert [event.record for event in events] == [Checkpointed(step) for step in range(100)]
    assert damages == []


KILLED = """
import sys
from pathlib import Path
from pipeline.engine.event_log import EventLog
from pipeline.events import Checkpointed, Warned

with EventLog(Path(sys.argv[1])) as log:
    for step in range(10**9):
        log.append("a", Checkpointed(step))
        log.append("a", Warned("x" * 3000))
        if step % 5 == 0:
            log.after(lambda place: None, durable=True).result()
            print(step, flush=True)
"""


@pytest.mark.parametrize("rounds", [2])
def test_a_killed_writer_loses_nothing_that_it_called_durable(path: Path, rounds: int) -> None:
    last_seq = 0
    for _ in range(rounds):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(6)]
            process.kill()
        write(path, RunChanged("stopped"))
        events, damages = read(path)
        this = [event for event in events if event.seq > last_seq]
        steps = [event.record.step for event in this if isinstance(event.record, Checkpointed)]
        assert steps == list(range(len(steps))) and len(steps) > told[-1]
        assert damages == []
        assert json.loads(path.read_bytes().splitlines()[-1])["seq"] == events[-1].seq
        last_seq = events[-1].seq
