"""The event log on a disk that is slow to sync, full or limited, and after a kill."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Event as Flag

import pytest

from pipeline.engine import line_writer
from pipeline.engine.event_log import EventLog
from pipeline.errors import PipelineError
from pipeline.events import (
    Checkpointed,
    ParameterChanged,
    Progress,
    Record,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)
from tests.engine.logs import read, wait, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


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
