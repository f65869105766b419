"""Words for the ends of processes, and the tails of logs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline.engine import deaths
from pipeline.engine.deaths import MemoryWatch, describe_death, last_lines


@pytest.mark.parametrize(
    ("returncode", "why"),
    [
        (0, "exit code 0 before the stage was done"),
        (3, "exit code 3"),
        (-signal.SIGSEGV, "segmentation fault"),
        (-signal.SIGBUS, "SIGBUS"),
        (-signal.SIGILL, "instruction"),
        (-signal.SIGTERM, "from outside"),
        (-signal.SIGXCPU, "processor time"),
        (-signal.SIGUSR1, "SIGUSR1"),
        (-(signal.SIGRTMIN + 1), "signal 35"),
        (-signal.SIGKILL, "by hand or by the system"),
    ],
)
def test_every_end_has_words_and_a_way_on(returncode: int, why: str) -> None:
    death = describe_death(returncode, 10.0, killed_for_memory=False)
    assert why in death.why
    assert "etry" in death.hint and "checkpoint" in death.hint


def test_want_of_memory_is_told_where_there_is_reason_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "_memory_limit_mb", lambda: 8000.0)
    for_sure = describe_death(-signal.SIGKILL, 500.0, killed_for_memory=True)
    probably = describe_death(-signal.SIGKILL, 7000.0, killed_for_memory=False)
    by_hand = describe_death(-signal.SIGKILL, 500.0, killed_for_memory=False)
    assert "want of memory; it used up to 500 of 8000 MB" in for_sure.why
    assert "probably for want of memory: it used up to 7000" in probably.why
    assert "by hand" in by_hand.why
    assert for_sure.hint == probably.hint != by_hand.hint
    training = describe_death(-signal.SIGKILL, 500.0, killed_for_memory=True, stage="radiance")
    assert "radiance.rays" in training.hint and "features" not in training.hint
    depth = describe_death(-signal.SIGKILL, 500.0, killed_for_memory=False, stage="depth")
    assert "lower depth.size_px." in depth.hint
    crash = describe_death(-signal.SIGSEGV, 7000.0, killed_for_memory=True)
    assert "memory" not in crash.why


def test_the_memory_watch_follows_the_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 3\n")
    monkeypatch.setattr(deaths, "_own_groups", lambda unified, separate: [events])
    watch = MemoryWatch()
    assert not watch.killed()
    events.write_text("low 0\noom 9\noom_kill 3\noom_group_kill 5\n")
    assert not watch.killed()
    events.write_text("low 0\noom 9\noom_kill 4\n")
    assert watch.killed()
    assert not MemoryWatch().killed()
    events.unlink()
    assert not watch.killed()


def test_the_limit_of_memory_is_plausible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = deaths._memory_limit_mb()
    assert 100 < host < 1e8
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    monkeypatch.setattr(deaths, "_own_groups", lambda unified, separate: [limit])
    assert deaths._memory_limit_mb() >= host
    limit.write_text(f"{64 * 2**20}\n")
    assert deaths._memory_limit_mb() == 64.0


def test_last_lines_are_plain_text(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(
        b"\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x1b\\\n"
        b" 10%|#\r 50%|#####\r100%|##########\n"
        b"bell\x07 \x00null \xff byte\t tab\r\n"
        b"\n   \n"
        b"no end of line"
    )
    assert last_lines(log, 10) == [
        "red and link",
        "100%|##########",
        "bell null \ufffd byte\t tab",
        "no end of line",
    ]
    assert last_lines(log, 2) == ["bell null \ufffd byte\t tab", "no end of line"]
    assert last_lines(log, 0) == []
    assert last_lines(tmp_path / "none", 5) == []


def test_last_lines_begin_where_asked_and_read_only_the_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    start = log.stat().st_size
    assert last_lines(log, 5, start) == []
    with log.open("a") as file:
        file.write("after\n")
    assert last_lines(log, 5, start) == ["after"]
    assert last_lines(log, 5) == ["before", "after"]
    assert last_lines(log, 5, start=10**6) == ["before", "after"]  # the log was cut meanwhile
    with log.open("ab") as file:
        file.truncate(2**40)  # nobody reads a terabyte of nothing
        file.write(b"\nx" * 10)
    assert last_lines(log, 3, start) == ["x"] * 3
    log.write_text("y" * 10**6)
    assert last_lines(log, 3) == ["y" * 400]
