"""The dashboard on real terminals: opened by commands, left, killed, refused, broken."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine import runtime
from tests.tui.fake_engine import Play
from tests.tui.terminals import Terminal, engine_of, start, steps_of, terminal, until
from tui.client import EngineClient

LONG = Play(steps=100_000, step_s=0.02)


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs of the test's own, and a terminal that takes all characters."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garden").mkdir()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The run directory of `barfield run garden`; its engine is ended with the test."""
    root = tmp_path / "runs" / "garden"
    yield root
    engine = runtime.find_engine(root)
    if engine is not None:
        os.kill(engine.identity.pid, signal.SIGKILL)
        until(lambda: not engine.identity.alive())


def resized(shown: Terminal, width: int, height: int) -> Terminal:
    """Give the terminal a size."""
    fcntl.ioctl(shown.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    return shown


def goes_on(root: Path) -> bool:
    """Whether the run makes steps."""
    before = steps_of(root)
    until(lambda: steps_of(root) > before)
    return True


def test_run_opens_it_and_q_leaves_the_run_alone(root: Path) -> None:
    with terminal("run", "garden", play=LONG) as shown:
        resized(shown, 80, 24).read_until("Detach")
        shown.read_until("100000")
        shown.type("q")
        assert shown.end() == 0
    assert "garden goes on. `barfield attach garden` comes back" in shown.shown
    assert goes_on(root)
    with terminal("attach", "garden", "--readonly") as shown:
        resized(shown, 80, 24).read_until("read only")
        shown.type("s")
        resized(shown, 40, 10).read_until("too small")
        resized(shown, 80, 24).read_until("features")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.end() == 0
    assert shown.shown.rstrip().endswith("`barfield stop garden` ends it.")
    assert goes_on(root)


def test_a_hung_up_terminal_leaves_the_run_alone(root: Path) -> None:
    with terminal("run", "garden", play=LONG) as shown:
        resized(shown, 80, 24).read_until("100000")
        shown.hang_up()
        assert shown.process.wait(30) != 0
    assert goes_on(root)


def test_an_ended_run_shows_what_came_out_when_left(root: Path) -> None:
    with terminal("run", "garden", play=Play(steps=5, quiet_s=20)) as shown:
        resized(shown, 80, 24).read_until("done")
        until(lambda: (root / "report.json").exists())
        shown.read_until("5/5 photos")
        shown.type("q")
        assert shown.end() == 0
    assert "5 of 5 photographs registered" in shown.shown


def test_a_fault_is_printed_and_the_run_goes_on(root: Path) -> None:
    with terminal("run", "garden", play=LONG, module="tests.dashboard.crashing_cli") as shown:
        resized(shown, 100, 40)
        assert shown.end() == 1
    assert "ZeroDivisionError" in shown.shown and "by nought" in shown.shown
    assert "The dashboard broke down" in shown.shown
    assert goes_on(root)


def test_a_terminal_without_a_cursor_gets_lines(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal("run", "garden", play=Play(steps=5)) as shown:  # TERM is xterm here
        resized(shown, 80, 24).read_until("Detach")
        shown.type("q")
        shown.end()
    process = start("attach", "garden")
    assert process.communicate(timeout=30)[0] != ""
    monkeypatch.setattr("tests.tui.terminals.environment", _dumb)
    with terminal("run", "garden", play=Play(steps=5)) as shown:
        assert shown.end() == 0
    assert "\x1b[?1049h" not in shown.shown and "features" in shown.shown


def _dumb(play: Play) -> dict[str, str]:
    checkout = Path(__file__).resolve().parents[2]
    return {**os.environ, "PYTHONPATH": str(checkout), "TERM": "dumb", **play.as_variable()}


def test_barfield_alone_offers_runs_and_folders(root: Path) -> None:
    with terminal("run", "garden", "--plain", play=LONG) as shown:
        shown.read_until("features")
        shown.hang_up()
        shown.process.wait(30)
    with terminal() as shown:
        resized(shown, 100, 40).read_until("Enter opens one")
        shown.read_until("garden")
        shown.type("\r")
        shown.read_until("100000")
        shown.type("q")
        assert shown.end() == 0
    assert EngineClient(engine_of(root).socket).state().state == "running"
