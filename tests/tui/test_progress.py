"""How a run is shown: plain lines, a bar in a terminal, and words for amounts and times."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from pipeline.engine.messages import RunView, StageView
from pipeline.errors import PipelineError
from pipeline.events import (
    Checkpointed,
    ParameterChanged,
    Progress,
    Record,
    RunChanged,
    StageChanged,
    Warned,
)
from tui.failures import show_failure
from tui.progress import PlainLines, lines_of, progress_display, records_of
from tui.words import as_columns, duration_in_words, one_line, progress_in_words


def view(*stages: StageView, **changes: Any) -> RunView:
    """A run in that state."""
    known: dict[str, Any] = {
        "engine": "e", "run": "garden", "root": "/runs/garden", "host": "h", "pid": 1,
        "started": 0.0, "state": "running", "stages": stages,
    }  # fmt: skip
    return RunView(**{**known, **changes})


def features(done: int, **changes: Any) -> StageView:
    """The stage `features` at work on a thousand photographs."""
    at_work = StageView(name="features", state="started", done=done, total=1000, unit="photos")
    return at_work.model_copy(update=changes)


def test_plain_lines_are_one_line_each_and_bounded() -> None:
    stream = io.StringIO()
    with progress_display(stream) as display:
        assert isinstance(display, PlainLines)
        display.tell("features", StageChanged("features", "started"))
        for done in range(1000):
            display.tell("features", Progress(done, 1000, "photos", "a\nb.jpg"))
            display.see(view(features(done, doing="a\nb.jpg")))
        display.tell("features", Warned("few keypoints", "a\nb.jpg"))
        display.tell("features", StageChanged("features", "done", 1.25))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["features", "started"]
    assert lines[-2:] == [
        "features     warning: a?b.jpg: few keypoints", "features     done in 1.2 s",
    ]  # fmt: skip
    assert len(lines) < 10


def test_plain_lines_tell_of_progress_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    stream = io.StringIO()
    lines = PlainLines(stream)
    for done, seconds in ((1, 0.0), (2, 1.0), (3, 1.5), (3, 5.0), (4, 0.5)):
        now += seconds
        lines.see(view(features(done, rate=2.0, left_s=65.0)))
    assert stream.getvalue().splitlines() == [
        "features     1/1000 photos  2.0/s  1 min 05 s left",
        "features     3/1000 photos  2.0/s  1 min 05 s left",
        "features     4/1000 photos  2.0/s  1 min 05 s left",
    ]


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        (StageChanged("features", "waiting"), []),
        (
            StageChanged("features", "skipped", why="up to date"),
            ["features", "skipped: up to date"],
        ),
        (StageChanged("features", "stale", why="x\ty"), ["features", "stale: x?y"]),
        (StageChanged("features", "done", 4000.0), ["features", "done in 1 h 06 min"]),
        (RunChanged("running"), []),
        (RunChanged("done"), []),
        (RunChanged("failed", "boom", "less"), []),
        (Checkpointed(3), []),
        (Progress(1, 2, "photos"), []),
        (
            RunChanged("paused", "no space left", "make room"),
            ["run", "paused: no space left", "", "make room"],
        ),
        (
            StageChanged("features", "failed", 1.0, "boom", "less", ("a\x1b[2J", "b")),
            ["features", "failed: boom", "", "| a?[2J", "", "| b"],
        ),
        (
            ParameterChanged("mapping.loss", "none", "huber", "terminal of eva", 2),
            ["features", "mapping.loss is 'huber', was 'none', by terminal of eva"],
        ),
        (
            ParameterChanged("mapping.loss", "none", "huber", "eva", 2, step=7),
            ["features", "mapping.loss is 'huber', was 'none' from step 7 on"],
        ),
    ],
)
def test_what_happens_in_lines(record: Record, lines: list[str]) -> None:
    pairs = zip(lines[::2], lines[1::2], strict=True)
    assert lines_of("features", record) == [f"{label:<13}{text}" for label, text in pairs]


def test_a_late_listener_is_told_what_was_before() -> None:
    done = StageView(name="ingest", state="done", seconds=2.0)
    waiting = StageView(name="pairs")
    now = view(done, features(3), waiting, state="paused", why="by eva", warnings=("careful",))
    assert list(records_of(now)) == [
        ("", Warned("careful")),
        ("ingest", StageChanged("ingest", "done", 2.0)),
        ("features", StageChanged("features", "started")),
        ("", RunChanged("paused", "by eva")),
    ]


def test_progress_in_words() -> None:
    stage = features(12, total=22, rate=2.0, left_s=5.0, doing="x.jpg", checkpoint_step=9)
    assert progress_in_words(stage) == "12/22 photos  2.0/s  5 s left  x.jpg  saved at 9"
    assert progress_in_words(features(12, total=None)) == "12 photos"
    assert progress_in_words(features(1, total=None)) == "1 photo"
    assert progress_in_words(features(1, total=1)) == "1/1 photo"
    assert progress_in_words(features(1, total=22)) == "1/22 photos"
    assert progress_in_words(StageView(name="x")) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"),
        (3600, "1 h 00 min"), (90061, "1 d 1 h"), (1e7, "115 d 17 h"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


def test_text_is_cut_to_one_line() -> None:
    assert one_line("a\nb\x1bc\udcffd", 10) == "a?b?c?d"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"


def test_columns_are_below_each_other() -> None:
    assert as_columns([("run", "state"), ("garden", "done")]) == ["run     state", "garden  done"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_what_happened_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with progress_display(stream) as display:
        display.tell("features", StageChanged("features", "started", why="max_keypoints changed"))
        display.see(view(features(3, doing="[bold]x\n.jpg", rate=2.0, left_s=65.0)))
        display.tell("features", Warned("few keypoints", "[red]y.jpg"))
        display.see(view(features(4), state="paused"))
        display.tell("features", StageChanged("features", "done", 1.25))
        display.see(view())
        display.tell("pairs", StageChanged("pairs", "skipped", why="up to date"))
    shown = stream.getvalue()
    for words in (
        "max_keypoints changed", "3/1000 photos", "2.0/s  1 min 05 s left", "[bold]x?.jpg",
        "[red]y.jpg: few keypoints", "paused", "done in 1.2 s", "up to date",
    ):  # fmt: skip
        assert words in shown, words
    assert "4/1000" not in shown.rpartition("done in")[2]


def test_a_failure_in_a_terminal_has_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert show_failure(PipelineError("Title", "message [bold]", "hint")) == 1
    assert "╭" in stream.getvalue() and "message [bold]" in stream.getvalue()
