"""Snapshots only save time: with, without and with a wrong one, a run looks the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeline.engine.event_log import EVENTS, EventLog
from pipeline.engine.fold import RunState
from pipeline.engine.journal import JournalIdentity
from pipeline.engine.log_reader import LogReader, Place
from pipeline.engine.onlooking import view_at_rest
from pipeline.engine.state import STATE, read_snapshot, read_view, write_snapshot
from pipeline.errors import PipelineError
from pipeline.events import Progress, Record, RunChanged, StageChanged, Warned
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.engine.journals import identity

RECORDS: tuple[Record, ...] = (
    RunChanged("starting"),
    StageChanged("features", "started"),
    Progress(3, 8, "photos"),
    Warned("odd"),
    StageChanged("features", "failed", 2.0, "killed", "try again", ("x",)),
    RunChanged("failed", "features: killed"),
)


def write_run(root: Path, snapshot_after: int | None) -> None:
    """A log, and a snapshot of its first events."""
    clock = iter(range(1000))
    state = RunState()

    def write_state(place: Place) -> None:
        write_snapshot(root, identity(), place, state.model_dump(mode="json"))

    with EventLog(root / EVENTS, wall=lambda: 1e9, mono=lambda: float(next(clock))) as log:
        for number, record in enumerate(RECORDS):
            if number == snapshot_after:
                log.after(write_state, durable=True).result(timeout=20)
            state.apply(log.enter("features", record).event)


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.iterdir()}


@pytest.mark.parametrize("snapshot_after", range(len(RECORDS)))
def test_a_snapshot_and_the_tail_are_the_whole_log(tmp_path: Path, snapshot_after: int) -> None:
    write_run(tmp_path, snapshot_after)
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None and snapshot.state.seq == snapshot_after
    before = files(tmp_path)
    view = read_view(tmp_path)
    assert view is not None
    assert (view.engine, view.host, view.pid, view.started) == ("e1", "box", 12, 1e9)
    assert (view.state, view.why, view.seq, view.seconds) == ("failed", "features: killed", 6, 5.0)
    (stage,) = view.stages
    assert (stage.done, stage.why, stage.log, stage.warnings) == (3, "killed", ("x",), 1)
    assert files(tmp_path) == before
    (tmp_path / STATE).unlink()
    alone = read_view(tmp_path)
    assert alone is not None
    assert (
        alone.model_copy(update={"engine": "e1", "host": "box", "pid": 12, "run": "castle"}) == view
    )


def test_a_running_view_stands_still_at_its_last_event(tmp_path: Path) -> None:
    with EventLog(tmp_path / EVENTS, mono=iter([5.0, 6.0, 9.0]).__next__) as log:
        for record in RECORDS[:3]:
            log.append("features", record)
    view = read_view(tmp_path)
    assert view is not None
    assert (view.seconds, view.stages[0].seconds, view.stages[0].state) == (4.0, 3.0, "started")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff" * 100, b"[]", b'{"format": 2}', b'{"format": 1, "state": null}'],
)
def test_a_damaged_snapshot_is_ignored(tmp_path: Path, text: bytes) -> None:
    write_run(tmp_path, 4)
    whole = read_view(tmp_path)
    (tmp_path / STATE).write_bytes(text)
    assert read_snapshot(tmp_path) is None
    view = read_view(tmp_path)
    assert view is not None and whole is not None
    assert view.stages == whole.stages


def test_a_snapshot_of_another_log_is_ignored(tmp_path: Path) -> None:
    write_run(tmp_path, 6 - 1)
    log = tmp_path / EVENTS
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]))  # cut before the snapshot's place
    view = read_view(tmp_path)
    assert view is not None and (view.seq, view.state) == (3, "starting")
    log.write_bytes(b"".join([*lines[:4], lines[4].replace(b"killed", b"frozen"), *lines[5:]]))
    view = read_view(tmp_path)
    assert view is not None and view.stages[0].why == "frozen"
    log.unlink()
    assert read_view(tmp_path) is None


def test_a_torn_line_is_not_read_and_not_mended(tmp_path: Path) -> None:
    write_run(tmp_path, 2)
    log = tmp_path / EVENTS
    log.write_bytes(log.read_bytes()[:-5])
    before = files(tmp_path)
    view = read_view(tmp_path)
    assert view is not None and view.seq == 5
    assert files(tmp_path) == before


def test_a_folder_without_a_journal_has_no_view(tmp_path: Path) -> None:
    assert read_view(tmp_path) is None
    assert read_view(tmp_path / "missing") is None
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_log_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / EVENTS).mkdir()
    with pytest.raises(PipelineError, match=EVENTS):
        read_view(tmp_path)


def test_a_moved_run_keeps_its_view(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_run(tmp_path / "a", 3)
    first = read_view(tmp_path / "a")
    shutil.move(tmp_path / "a", tmp_path / "b")
    second = read_view(tmp_path / "b")
    assert first is not None and second is not None
    assert second.root == os.fspath(tmp_path / "b")
    assert second.model_copy(update={"root": first.root}) == first
    assert LogReader(tmp_path / "b" / EVENTS).place.offset == 0


def test_a_copy_is_shown_under_its_own_name(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    with Workspace(root, VERSION):
        write_run(root, 3)
    view = view_at_rest(root, JournalIdentity("e2", "copy", "box", 13, 2e9))
    assert (view.run, view.state) == ("copy", "failed")
