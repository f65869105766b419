"""Runtime and state folders of their own for each test; a fake engine on demand."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import runtime
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.tui.fake_cli import FAKE_ENGINE
from tests.tui.fake_engine import FakeEngine, Play
from tests.tui.terminals import CHECKOUT
from tui import launch
from tui.cli import main
from tui.launch import Started, start_engine


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The runtime folder's parent: short, as sockets need it; and a state folder."""
    with tempfile.TemporaryDirectory(prefix="bf-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.chdir(tmp_path)
        yield Path(short)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory without products."""
    return make_run(tmp_path / "runs" / "garden")


@pytest.fixture
def engine(root: Path) -> Iterator[FakeEngine]:
    """A fake engine that listens for that run, and is not yet to be found."""
    with FakeEngine(runtime.socket_path(root), root) as fake:
        yield fake


@pytest.fixture
def photos_of_a_run(tmp_path: Path) -> Iterator[Path]:
    """The photographs `garden` in the current folder; the run directory that `barfield run garden`
    will make. Its engine is ended with the test."""
    (tmp_path / "garden").mkdir()
    root = tmp_path / "runs" / "garden"
    yield root
    engine = runtime.find_engine(root)
    if engine is not None:
        os.kill(engine.identity.pid, signal.SIGKILL)


class Barfield:
    """The command line in this process, with fake engines in processes of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.started: list[Started] = []

    def __call__(self, *arguments: str, play: Play | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr. play: what an engine is to play that is started."""
        self._monkeypatch.setattr(sys, "argv", ["barfield", *arguments])
        for name, value in (play or Play()).as_variable().items():
            self._monkeypatch.setenv(name, value)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capsys.readouterr()
        return int(end.value.code or 0), out, err

    def start_engine(self, *arguments: Any, **options: Any) -> Started:
        """Start an engine that ends with the test."""
        self.started.append(start_engine(*arguments, **options))
        return self.started[-1]


@pytest.fixture
def barfield(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Barfield]:
    """The command line in this process."""
    command = Barfield(capsys, monkeypatch)
    monkeypatch.setattr(launch, "ENGINE_COMMAND", FAKE_ENGINE)
    monkeypatch.setattr("tui.session.start_engine", command.start_engine)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    yield command
    for started in command.started:
        started.process.kill()
        started.process.wait()


def make_run(root: Path) -> Path:
    """An empty run directory that this host knows."""
    with RunDirectory(root, VERSION):
        pass
    runtime.remember(root)
    return root
