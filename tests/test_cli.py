"""The command as a process, with a real engine: exit codes, messages, signals."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from tests.fake_stages import DELAY_VARIABLE
from tui import cli
from tui.failures import WrongUsage, show_crash, show_failure

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


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "nowhere"), 1, "nowhere"),
        (("run", "scene", "--set", "matching.rato=1"), 2, "Did you mean matching.ratio?"),
        (("run", "scene", "--set", "mapping.max_resection_error_px=inf"), 2, "finite"),
        (("run", "scene", "--until", "matchin"), 2, "Did you mean matching?"),
        (
            ("run", "scene", "--poses", "none", "--until", "mapping"),
            2,
            "a run without poses has no stage mapping",
        ),
        (
            ("run", "scene", "--poses", "none", "--set", "mesh.source=photographs"),
            2,
            "mesh.source = 'photographs' does nothing with --poses none",
        ),
        (("run", "scene", "--out", "full"), 1, "Not a run directory"),
        (("run", "scene", "--out", "/dev/null/run"), 1, "/dev/null is no folder"),
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


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--no-detach",))]
)
def test_a_signal_stops_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path, number: signal.Signals, options: tuple[str, ...]
) -> None:
    command = ("run", str(photos), "--headless", *options)
    process = start(FAKE, *command, folder=tmp_path, seconds_per_item=0.4)
    wait_for(tmp_path / "runs/scene/features")
    process.send_signal(number)
    code, out, err = finish(process)
    assert code == 130
    assert "features     stopped" in out
    assert "the same command continues" in err and "Traceback" not in err
    code, out, _ = call(FAKE, *command, folder=tmp_path)
    assert code == 0 and "ingest       skipped: up to date" in out


def test_a_held_run_ends_with_its_command_even_if_that_is_killed(
    photos: Path, tmp_path: Path
) -> None:
    command = ("run", str(photos), "--headless", "--no-detach")
    process = start(FAKE, *command, folder=tmp_path, seconds_per_item=0.4)
    wait_for(tmp_path / "runs/scene/features")
    process.kill()
    finish(process)
    for _ in range(100):
        _, out, _ = call(FAKE, "status", "scene", "--json", folder=tmp_path)
        if json.loads(out)["state"] == "stopped":
            break
    else:
        raise AssertionError(out)
    code, out, _ = call(FAKE, *command, folder=tmp_path)
    assert code == 0 and "ingest       skipped: up to date" in out


def test_a_start_that_is_refused_leaves_nothing_behind(photos: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = call(FAKE, "run", str(photos), "--port", port, folder=tmp_path)
    assert code == 1 and "Port taken" in err
    assert not (tmp_path / "runs").exists()


def test_a_second_signal_leaves_at_once(photos: Path, tmp_path: Path) -> None:
    process = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, seconds_per_item=3)
    wait_for(tmp_path / "runs/scene/features")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130 and "goes on stopping" in err
    # The same command waits until the engine of the last one has stopped.
    code, out, _ = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert code == 0 and "ingest       skipped: up to date" in out


def test_steering_a_run(photos: Path, tmp_path: Path) -> None:
    run = ("run", str(photos), "--detach")
    code, _, _ = finish(start(FAKE, *run, folder=tmp_path, seconds_per_item=1.0))
    assert code == 0
    wait_for(tmp_path / "runs/scene/features")
    assert call(FAKE, "pause", "scene", folder=tmp_path)[0] == 0
    for _ in range(100):
        _, out, _ = call(FAKE, "status", "scene", "--json", folder=tmp_path)
        if json.loads(out)["state"] == "paused":
            break
    else:
        raise AssertionError(out)
    assert call(FAKE, *run, folder=tmp_path)[0] == 1
    code, _, err = call(FAKE, "set", "scene", "ingest.default_focal=1.5", folder=tmp_path)
    assert code == 2 and "Nothing was changed" in err
    code, out, _ = call(FAKE, "set", "scene", "mapping.loss=huber", folder=tmp_path)
    assert code == 0 and "mapping.loss is 'huber', was 'cauchy'" in out
    code, out, _ = call(FAKE, "resume", "scene", "--json", folder=tmp_path)
    assert code == 0 and json.loads(out)["revision"] == 1
    code, out, _ = call(FAKE, "attach", "scene", folder=tmp_path)
    assert code == 0 and "4 of 5 photographs registered" in out
    assert 'loss = "huber"' in (tmp_path / "runs/scene/run.toml").read_text()
    # The same command again keeps what was changed, and says so.
    code, out, _ = call(FAKE, "run", str(photos), "--headless", folder=tmp_path)
    assert code == 0 and "mapping.loss stays 'huber'" in out
    assert "mapping      skipped: up to date" in out
    discard = ("run", str(photos), "--headless", "--discard-changes")
    code, out, _ = call(FAKE, *discard, folder=tmp_path)
    assert code == 0 and "mapping      started: mapping.loss is 'cauchy'" in out


def test_a_killed_engine_and_resume(photos: Path, tmp_path: Path) -> None:
    process = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, seconds_per_item=1.0)
    wait_for(tmp_path / "runs/scene/features")
    _, out, _ = call(FAKE, "status", "scene", "--json", folder=tmp_path)
    os.kill(json.loads(out)["view"]["pid"], signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 1 and "The engine died" in err
    _, out, _ = call(FAKE, "ls", "--json", folder=tmp_path)
    assert [row["state"] for row in json.loads(out) if row["root"].startswith(str(tmp_path))] == [
        "interrupted"
    ]
    code, _, err = call(FAKE, "pause", "scene", folder=tmp_path)
    assert code == 1 and "barfield resume scene" in err
    code, out, _ = call(FAKE, "resume", "scene", folder=tmp_path)
    assert code == 0 and "ingest       skipped: up to date" in out
    assert "4 of 5 photographs registered" in out


def test_a_database_that_cannot_be_written_is_written_by_the_next_run(
    photos: Path, tmp_path: Path
) -> None:
    # Only the database is longer than the limit.
    limited = start(FAKE, "run", str(photos), "--headless", folder=tmp_path, most_bytes=60_000)
    code, out, err = finish(limited)
    assert code == 0 and "database.db is not written" in out and "Traceback" not in err
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


def test_a_crash_is_a_document_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cli, "build_app", crash)
    monkeypatch.setattr(sys, "argv", ["barfield", "ls", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = json.loads(capsys.readouterr().out)["error"]
    (log,) = tmp_path.iterdir()
    assert (end.value.code, error["title"]) == (1, "A fault of the program")
    assert "by nought" in error["message"] and str(log) in error["hint"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_told(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        called = subprocess.run(
            [sys.executable, "-m", REAL, "ls", "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    words = "error: The output could not be written: No space left on device.\n"
    assert (called.returncode, called.stderr) == (1, words)
