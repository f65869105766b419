"""The command as a process: exit codes, messages, signals; and the display of progress."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.events import Progress, StageChanged, Warned
from tests.fake_stages import DELAY_VARIABLE
from tui.failures import WrongUsage, show_crash, show_failure
from tui.progress import PlainLines, Rate, progress_display, progress_in_words

ROOT = Path(__file__).resolve().parents[1]
REAL, FAKE = "tui.cli", "tests.fake_cli"


def start(
    module: str, *arguments: str, folder: Path, seconds_per_item: float = 0.0, most_bytes: int = 0
) -> subprocess.Popen[str]:
    """Start the command in a folder; most_bytes: the longest file that it may write."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), DELAY_VARIABLE: str(seconds_per_item)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit if most_bytes else None,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def call(module: str, *arguments: str, folder: Path) -> tuple[int, str, str]:
    """Run the command to its end."""
    return finish(start(module, *arguments, folder=folder))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five files that the fake ingest takes for photographs."""
    folder = tmp_path / "scene" / "images"
    folder.mkdir(parents=True)
    for name in "abcde":
        (folder / f"{name}.jpg").write_text(name)
    return folder


def test_a_run_a_report_and_a_comparison(photos: Path, tmp_path: Path) -> None:
    code, out, err = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert (code, err) == (0, "")
    assert "mapping      done in" in out and "4 of 5 photographs registered in 1 model" in out
    code, out, _ = call(FAKE, "report", "scene", folder=tmp_path)
    assert code == 0 and "3 matches, 15 needed" in out and "What to try" in out
    code, out, _ = call(FAKE, "report", "scene", "--json", folder=tmp_path)
    report = json.loads(out)
    assert {
        "images", "registered", "models", "points", "observations", "reprojection_error_px",
        "seconds", "peak_rss_mb", "verdicts",
    } <= report.keys()  # fmt: skip
    code, out, _ = call(FAKE, "compare", "scene", "runs/scene", "--json", folder=tmp_path)
    comparison = json.loads(out)
    assert code == 1 and comparison["registered"] == 4 and comparison["position_mean"] is None


def test_stopping_early_keeps_a_report_that_still_holds(photos: Path, tmp_path: Path) -> None:
    call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    code, out, _ = call(
        FAKE, "run", str(photos), "--headless", "--until", "features", folder=tmp_path
    )
    assert code == 0 and "4 of 5 photographs registered" in out
    changed = ("--until", "features", "--set", "features.max_keypoints=500")
    code, out, _ = call(FAKE, "run", str(photos), "--headless", *changed, folder=tmp_path)
    assert code == 0 and "run it again without --until" in out
    code, _, err = call(FAKE, "compare", "scene", "runs/scene", folder=tmp_path)
    assert code == 1 and "The model is out of date" in err


def test_a_lost_point_cloud_is_written_again(photos: Path, tmp_path: Path) -> None:
    call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    cloud = tmp_path / "runs" / "scene" / "points.ply"
    cloud.unlink()
    code, _, _ = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert code == 0 and cloud.exists()


def test_what_is_ignored_stays_ignored(photos: Path, tmp_path: Path) -> None:
    """Under nohup the terminal's end is no reason to stop."""
    import tui.foreground as foreground

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with foreground._stopping_on_signals(threading.Event()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "nowhere"), 1, "nowhere"),
        (("run", "scene", "--set", "matching.rato=1"), 2, "Did you mean matching.ratio?"),
        (("run", "scene", "--set", "mapping.max_resection_error_px=inf"), 2, "finite"),
        (("run", "scene", "--until", "matchin"), 2, "Did you mean matching?"),
        (("run", "scene", "--poses", "none"), 2, "comes later"),
        (("run", "scene", "--out", "full"), 1, "Not a run directory"),
        (("run", "scene", "--prot", "1"), 2, "--port"),
        (("report", "nothing"), 1, "No such run"),
        (("fly",), 2, "fly"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_what_is_wrong_is_said_without_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("")
    found, _, err = call(REAL, *arguments, folder=tmp_path)
    assert (found, words in err, "Traceback" in err) == (code, True, False), err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, seconds_per_item=0.4)
    wait_for(tmp_path / "runs/scene/features")
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == 130
    assert "the same command continues" in err and "Traceback" not in err
    code, out, _ = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert code == 0 and "ingest       skipped: up to date" in out


def test_a_second_signal_leaves_at_once(photos: Path, tmp_path: Path) -> None:
    process = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, seconds_per_item=60)
    wait_for(tmp_path / "runs/scene/stages/ingest/report.json")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130


def test_a_full_disk_ends_the_run_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    # The limit on a file's size stands for the full disk; only the database is longer.
    limited = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, most_bytes=60_000)
    code, _, err = finish(limited)
    assert code == 1 and "database.db" in err and "Traceback" not in err
    code, out, _ = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert code == 0 and "ingest       skipped" in out
    assert not list((tmp_path / "runs/scene").glob(".database*"))
    assert (tmp_path / "runs/scene/database.db").exists()


def wait_for(path: Path) -> None:
    """Wait until a path exists; fails after half a minute."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_failures_have_exit_codes_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_failure(PipelineError("Title", "message [bold]", "hint")) == 1
    assert capsys.readouterr().err == "error: Title\n  message [bold]\n  hint\n"
    assert show_failure(WrongUsage("Title", "message")) == 2


def test_a_crash_names_its_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert show_crash(ZeroDivisionError("by nought")) == 1
    (log,) = tmp_path.iterdir()
    said = capsys.readouterr().err
    assert str(log) in said and "by nought" in said and said.count("\n") == 1
    assert "ZeroDivisionError" in log.read_text()


def test_plain_lines_are_one_line_each_and_bounded() -> None:
    stream = io.StringIO()
    with progress_display(stream) as display:
        assert isinstance(display, PlainLines)
        display("features", StageChanged("features", "started"))
        for done in range(1000):
            display("features", Progress(done, 1000, "photos", "a\nb.jpg"))
        display("features", Warned("few keypoints", "a\nb.jpg"))
        display("features", StageChanged("features", "done", 1.25))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["features", "started"]
    assert lines[-2:] == [
        "features     warning: a?b.jpg: few keypoints", "features     done in 1.2 s",
    ]  # fmt: skip
    assert len(lines) < 10


def test_rate_and_time_left() -> None:
    rate = Rate()
    assert rate.per_second is None
    rate.add(2, 10.0)
    rate.add(12, 15.0)
    words = progress_in_words(Progress(12, 22, "photos", "x.jpg"), rate)
    assert words == "12/22 photos  2.0/s  5 s left  x.jpg"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars_and_finished_stages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with progress_display(stream) as display:
        display("features", StageChanged("features", "started"))
        display("features", Progress(3, 10, "photos", "[bold]x\n.jpg"))
        display("features", Warned("few keypoints", "[red]y.jpg"))
        display("features", StageChanged("features", "done", 1.25))
        display("pairs", StageChanged("pairs", "skipped", why="up to date"))
    shown = stream.getvalue()
    for words in ("3/10 photos", "[red]y.jpg: few keypoints", "done in 1.2 s", "up to date"):
        assert words in shown


def test_a_failure_in_a_terminal_has_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert show_failure(PipelineError("Title", "message [bold]", "hint")) == 1
    assert "╭" in stream.getvalue() and "message [bold]" in stream.getvalue()
