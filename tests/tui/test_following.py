"""A run and its terminal: what ends with it and what does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.messages import RunView
from pipeline.engine.runtime import find_engine
from pipeline.errors import PipelineError
from tests.tui.conftest import Barfield
from tests.tui.fake_engine import Play
from tests.tui.terminals import engine_of, start, steps_of, terminal, until
from tests.tui.test_runtime import engine_file
from tui.following import raise_unless_done
from tui.runs import status_of
from tui.session import Manner, _introduce

LONG = Play(steps=100_000)


@pytest.fixture
def root(photos_of_a_run: Path) -> Path:
    """The run directory of the photographs `garden`."""
    return photos_of_a_run


def goes_on(root: Path) -> bool:
    """Whether the run of that directory still makes steps."""
    before = steps_of(root)
    until(lambda: steps_of(root) > before + 3)
    return find_engine(root) is not None


def test_a_run_is_shown_to_its_end(root: Path) -> None:
    with terminal("run", "garden", "--headless", play=Play(steps=60)) as shown:
        assert shown.end() == 0
    for words in ("Run garden, process", "features", "/60 photos", "done in", "5 of 5 photographs"):
        assert words in shown.shown
    assert "\x1b[?25h" in shown.shown.rpartition("\x1b[?25l")[2]  # the cursor is back


def test_without_a_terminal_there_are_plain_lines(root: Path, barfield: Barfield) -> None:
    code, out, err = barfield(
        "run", "garden", "--headless", play=Play(warnings=1, warning="a\x1bb")
    )
    assert (code, err) == (0, "") and "\x1b" not in out
    lines = out.splitlines()
    assert "features     started" in lines and "features     done in 0.5 s" in lines
    assert any(line.endswith("warning: a?b") for line in lines)


def test_ctrl_c_stops_the_run_and_says_so(root: Path) -> None:
    with terminal("run", "garden", "--headless", play=LONG) as shown:
        shown.read_until("100000 photos")
        shown.type("\x03")
        assert shown.end() == 130
    assert "Stopping after the step at hand" in shown.shown
    assert "the same command continues" in shown.shown and "Traceback" not in shown.shown
    until(lambda: find_engine(root) is None)


def test_ctrl_c_twice_leaves_at_once_and_the_run_goes_on_stopping(root: Path) -> None:
    play = Play(steps=100_000, stop_s=3.0)
    with terminal("run", "garden", "--headless", play=play) as shown:
        shown.read_until("100000 photos")
        engine = engine_of(root)
        shown.type("\x03")
        shown.read_until("Stopping after the step at hand")
        shown.type("\x03")
        assert shown.end() == 130
        assert engine.identity.alive()
    assert "goes on stopping" in shown.shown
    until(lambda: not engine.identity.alive())
    assert json.loads((root / "state.json").read_text())["state"]["state"] == "stopped"


def test_a_closed_terminal_ends_only_the_client(root: Path) -> None:
    with terminal("run", "garden", "--headless", play=LONG) as shown:
        shown.read_until("photos")
        shown.hang_up()
        assert shown.process.wait(20) != 0
        assert goes_on(root)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_client_ends_only_the_client(root: Path, number: signal.Signals) -> None:
    with terminal("run", "garden", "--headless", play=LONG) as shown:
        shown.read_until("100000 photos")
        shown.process.send_signal(number)
        assert shown.end() == -number
        assert shown.shown.endswith("\x1b[?25h")
        assert goes_on(root)


def test_a_stalled_terminal_holds_up_only_the_client(root: Path) -> None:
    play = Play(steps=100, warnings=500, warning="w" * 400)
    with terminal("run", "garden", "--headless", play=play) as shown:
        # Nobody reads: 200 kB of warnings do not fit, and the client is held up in writing them.
        until(lambda: steps_of(root) == 100)
        until(lambda: find_engine(root) is None)
        time.sleep(0.5)
        assert shown.process.poll() is None
        assert json.loads((root / "state.json").read_text())["state"]["state"] == "done"
        assert shown.end() == 0


def test_a_reader_that_leaves_ends_only_the_client(root: Path) -> None:
    process = start("run", "garden", "--headless", play=Play(steps=100_000, warnings=50))
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 1
    with process.stderr:
        assert process.stderr.read() == ""
    assert goes_on(root)


def test_closed_streams_are_no_fault(root: Path) -> None:
    process = start(
        "run", "garden", "--headless", play=Play(steps=3),
        preexec_fn=lambda: os.closerange(0, 3),
    )  # fmt: skip
    assert process.wait(20) == 0
    assert steps_of(root) == 3
    process.communicate()


def test_an_engine_that_is_killed_is_said_to_be_dead(root: Path) -> None:
    process = start("run", "garden", "--headless", play=LONG)
    until(lambda: steps_of(root) > 3)
    os.kill(engine_of(root).identity.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "The engine died" in err and "the same command continues" in err
    assert status_of(root).state == "interrupted"


def test_a_stage_that_fails_fails_the_command(root: Path, barfield: Barfield) -> None:
    code, out, err = barfield("run", "garden", "--headless", play=Play(steps=3, end="failed"))
    assert code == 1
    assert "features     failed: boom" in out and "| last words" in out
    assert "features: boom" in err and "try less. `barfield retry garden` tries" in err
    command = ("run", "garden", "--headless", "--json")
    code, out, err = barfield(*command, play=Play(steps=3, end="failed"))
    assert (code, json.loads(out)["error"]["message"]) == (1, "features: boom.")


def test_a_run_without_a_model_fails_in_words(root: Path, barfield: Barfield) -> None:
    code, out, err = barfield("run", "garden", "--headless", play=Play(end="no model"))
    assert code == 1 and "No model came out" in err and "0 of 5 photographs" in out


def test_the_report_as_json(root: Path, barfield: Barfield) -> None:
    code, out, err = barfield("run", "garden", "--json", play=Play(steps=3))
    assert code == 0 and json.loads(out)["registered"] == 5
    assert "features     done" in err


def test_a_detached_run_is_only_started_and_attached_to_later(
    root: Path, barfield: Barfield
) -> None:
    code, out, err = barfield("run", "garden", "--detach", play=LONG)
    assert (code, err) == (0, "") and "barfield attach garden" in out
    assert len(out.splitlines()) == 1
    assert goes_on(root)
    code, out, err = barfield("run", "garden", "--detach", play=LONG)
    assert code == 1 and "goes on already" in err and "barfield attach garden" in err
    with terminal("attach", "--plain", play=LONG) as shown:
        shown.read_until("100000 photos")
        shown.type("\x03")
        assert shown.end() == 130
    assert "garden goes on" in shown.shown and "barfield stop garden" in shown.shown
    assert goes_on(root)
    attached = start("attach", "garden")
    assert attached.stdout is not None
    assert attached.stdout.readline() == "features     started\n"
    assert barfield("stop", "garden")[:2] == (0, "Done so.\n")
    out, err = attached.communicate(timeout=20)
    assert attached.returncode == 130 and "the same command continues" in err
    assert "features     stopped" in out


def test_a_detached_run_as_json(root: Path, barfield: Barfield) -> None:
    code, out, _ = barfield("run", "garden", "--detach", "--json", play=LONG)
    told = json.loads(out)
    assert code == 0 and told["root"] == str(root) and told["url"] is None
    assert told["pid"] == engine_of(root).identity.pid


def test_the_token_is_not_written_where_nobody_reads_along(
    capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    file = engine_file(root)
    for as_json in (False, True):
        _introduce(file, Manner("leave", 8080, as_json))
        out = capsys.readouterr().out
        if as_json:
            assert json.loads(out)["url"] == f"http://127.0.0.1:8080/?token={file.token}"
        else:
            assert file.token not in out and str(file.path) in out and ":8080/" in out


def test_a_hint_that_names_a_command_stands_alone() -> None:
    view = RunView(
        engine="one", run="garden", root="/garden", host="here", pid=1, started=1.0,
        state="failed", why="boom", hint="Use `barfield run PHOTOS`",
    )  # fmt: skip
    with pytest.raises(PipelineError) as error:
        raise_unless_done(view)
    assert (error.value.message, error.value.hint) == ("boom.", "Use `barfield run PHOTOS`.")


def test_a_stop_and_an_interruption_are_json_where_json_was_asked_for(
    root: Path, barfield: Barfield
) -> None:
    running = start("run", "garden", "--json", play=LONG)
    until(lambda: steps_of(root) > 3)
    attached = start("attach", "garden", "--json")
    assert attached.stderr is not None
    attached.stderr.readline()
    attached.send_signal(signal.SIGINT)
    out, _ = attached.communicate(timeout=20)
    assert (attached.returncode, json.loads(out)["error"]["title"]) == (130, "Interrupted")
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=20)
    assert (running.returncode, json.loads(out)["error"]["title"]) == (130, "Stopped")
    code, out, _ = barfield("attach", "garden", "--json")
    assert (code, json.loads(out)["error"]["title"]) == (130, "Stopped")
    slow = Play(steps=100_000, stop_s=3)
    running = start("run", "garden", "--json", play=slow)
    until(lambda: find_engine(root) is not None)
    assert running.stderr is not None
    running.stderr.readline()
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        time.sleep(0.5)
    out, _ = running.communicate(timeout=20)
    assert (running.returncode, json.loads(out)["error"]["title"]) == (130, "Interrupted")


def test_attaching_to_a_run_that_has_ended_shows_how(root: Path, barfield: Barfield) -> None:
    barfield("run", "garden", "--headless", play=Play(steps=3, quiet_s=0.0))
    until(lambda: find_engine(root) is None)
    code, out, _ = barfield("attach", "garden")
    assert code == 0 and "5 of 5 photographs" in out
    code, out, _ = barfield("attach", "garden", "--json")
    assert code == 0 and json.loads(out)["registered"] == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_held_run_s_command_stops_the_run(root: Path, number: signal.Signals) -> None:
    process = start("run", "garden", "--headless", "--no-detach", play=LONG)
    until(lambda: steps_of(root) > 3)
    engine = engine_of(root)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "the same command continues" in err
    assert not engine.identity.alive()


def test_a_held_run_s_command_waits_though_nobody_reads(root: Path) -> None:
    play = Play(steps=80, warnings=50)
    process = start("run", "garden", "--headless", "--no-detach", play=play)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(20) == 0
    assert steps_of(root) == 80 and find_engine(root) is None


def test_a_held_run_that_fails_ends_at_once(root: Path, barfield: Barfield) -> None:
    play = Play(steps=3, end="failed", quiet_s=600)
    code, _, err = barfield("run", "garden", "--headless", "--no-detach", play=play)
    assert code == 1 and "boom" in err
    assert find_engine(root) is None


def test_an_engine_that_stops_answering_is_waited_for(root: Path) -> None:
    process = start("run", "garden", "--headless", play=Play(steps=60))
    until(lambda: steps_of(root) > 3)
    pid = engine_of(root).identity.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "5 of 5 photographs" in out


def test_under_nohup_the_end_of_the_terminal_is_no_end(root: Path) -> None:
    process = start(
        "run", "garden", "--headless", play=Play(steps=60),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    until(lambda: steps_of(root) > 3)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "5 of 5 photographs" in out


def test_a_stopped_client_holds_up_nothing(root: Path) -> None:
    process = start("run", "garden", "--headless", play=Play(steps=60))
    until(lambda: steps_of(root) > 3)
    process.send_signal(signal.SIGSTOP)
    until(lambda: steps_of(root) == 60)
    until(lambda: find_engine(root) is None)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=20)
    # What it missed is told by what the engine left behind.
    assert process.returncode == 0 and "5 of 5 photographs" in out


def test_an_engine_that_exits_in_the_middle_is_not_taken_for_done(
    root: Path, barfield: Barfield
) -> None:
    for end in ("exit", "kill"):
        code, out, err = barfield("run", "garden", "--headless", play=Play(steps=5, end=end))
        assert code == 1 and "The engine died" in err, (end, out)


def test_help_and_status_start_quickly_because_they_import_little(root: Path) -> None:
    heavy = {"numpy", "scipy", "numba", "cv2", "torch", "open3d", "aiohttp", "textual", "rich"}
    for command in (["--help"], ["status", "garden"], ["ls"], ["pause", "garden"]):
        code = (
            f"import sys; sys.argv[1:] = {command}\n"
            "try:\n    import tui.cli; tui.cli.main()\n"
            "finally:\n    print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        allowed = {"rich"} if command == ["--help"] else set()
        assert set(done.stderr.split()) & heavy <= allowed, command
