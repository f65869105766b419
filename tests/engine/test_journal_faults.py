"""The journal on a disk that hangs or is full, and after the kill of its engine."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import line_writer
from pipeline.engine.event_log import EVENTS
from pipeline.engine.log_reader import LogReader, Place
from pipeline.engine.state import (
    JournalIdentity,
    read_view,
    write_snapshot,
)
from pipeline.errors import PipelineError
from pipeline.events import (
    Checkpointed,
    Metric,
    Warned,
)
from tests.engine.journals import STARTED, STARTING, logged, open_journal


def test_a_snapshot_never_runs_ahead_of_what_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / EVENTS
    synced_bytes: list[int] = []
    snapshots: list[int] = []
    sync, write = os.fsync, write_snapshot

    def fsync(handle: int) -> None:
        sync(handle)
        if os.path.sameopenfile(handle, same_log):
            synced_bytes.append(os.fstat(handle).st_size)

    def snapshot(root: Path, who: JournalIdentity, place: Place, state: dict[str, Any]) -> None:
        assert 0 < place.offset <= synced_bytes[-1]
        snapshots.append(place.offset)
        write(root, who, place, state)

    log.touch()
    same_log = os.open(log, os.O_RDONLY)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("pipeline.engine.journal.write_snapshot", snapshot)

    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            for step in range(30):
                journal.tell("mapping", Warned(f"{step}"))
                journal.tell("mapping", Checkpointed(step))
                await asyncio.sleep(0.002)
            journal.tell("mapping", Warned("last"))
            await journal.durable()
            assert synced_bytes[-1] == log.stat().st_size

    asyncio.run(main())
    os.close(same_log)
    assert len(snapshots) >= 2


class StuckDisk:
    """A disk that hangs or refuses when asked to; `lines` only concerns `events.jsonl`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.refuses = False
        self._write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self._pwrite)
        monkeypatch.setattr(line_writer, "FIRST_RETRY_S", 0.01)
        monkeypatch.setattr(line_writer, "LAST_RETRY_S", 0.02)

    def _pwrite(self, handle: int, data: memoryview, offset: int) -> int:
        self.goes_on.wait(60)
        if self.refuses:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(handle, data, offset)


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = StuckDisk(monkeypatch)

    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            disk.goes_on.clear()
            journal.tell("", STARTING)
            durable = asyncio.create_task(journal.durable())
            for step in range(200):
                journal.tell("mapping", Checkpointed(step))
                journal.tell("mapping", Metric("loss", 1.0, step))
                await asyncio.sleep(0.005)
            assert journal.view().seq >= 201
            assert not durable.done()
            disk.goes_on.set()
            await durable

    asyncio.run(main())
    steps = [record.step for record in logged(tmp_path) if isinstance(record, Checkpointed)]
    assert steps == list(range(200))


def test_a_full_disk_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = StuckDisk(monkeypatch)

    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            await journal.durable()
            disk.refuses = True
            journal.tell("mapping", STARTED)
            journal.tell("mapping", Metric("loss", 1.0, 1))
            while journal.trouble is None:
                await asyncio.sleep(0.01)
            assert "No space left" in journal.trouble
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await journal.durable()
            disk.refuses = False
            await journal.durable()
            assert journal.trouble is None

    asyncio.run(main())
    assert logged(tmp_path) == [STARTING, STARTED]
    view = read_view(tmp_path)
    assert view is not None and [metric.value for metric in view.metrics] == [1.0]


def test_a_disk_full_to_the_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = StuckDisk(monkeypatch)
    monkeypatch.setattr("pipeline.engine.event_log.SECONDS_TO_CLOSE", 0.1)

    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            disk.refuses = True
            journal.tell("", STARTING)

    with pytest.raises(PipelineError, match=r"events\.jsonl"):
        asyncio.run(main())
    assert logged(tmp_path) == []


ENGINE = """
import asyncio, sys
from pathlib import Path
from pipeline.engine.journal import Journal, JournalIdentity
from pipeline.events import *

async def main():
    journal = Journal(Path(sys.argv[1]), JournalIdentity(sys.argv[2], "castle", "box", 1, 1e9))
    await journal.open()
    journal.tell("", RunChanged("starting"))
    journal.tell("mapping", StageChanged("mapping", "started"))
    for step in range(10**9):
        records = [Metric("loss", float(n), 100 * step + n) for n in range(100)]
        journal.tell_many("mapping", [*records, Progress(step, None, "steps"), Warned("x")])
        if step % 7 == 0:
            journal.tell("mapping", Checkpointed(step))
            await journal.durable()
            print(step, flush=True)
        await asyncio.sleep(0)

asyncio.run(main())
"""


def test_a_killed_engine_leaves_a_journal_that_goes_on(tmp_path: Path) -> None:
    seq = 0
    for round_ in range(3):
        command = [sys.executable, "-c", ENGINE, str(tmp_path), f"e{round_}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            durable = [int(process.stdout.readline()) for _ in range(10 * (round_ + 1))][-1]
            process.kill()
        view = read_view(tmp_path)
        assert view is not None
        assert view.seq > seq
        (stage,) = view.stages
        assert stage.state == "started"
        assert stage.checkpoint_step is not None and stage.checkpoint_step >= durable
        whole = LogReader(tmp_path / EVENTS)
        numbers = [event.seq for event in whole]
        assert whole.damages == []
        assert numbers == sorted(set(numbers))
        seq = view.seq
