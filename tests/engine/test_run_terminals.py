"""What becomes of a real run when its terminals stall, hang up or are stopped: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.engine.runtime import EngineFile
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import read_report
from tests.engine import fake_worker
from tests.engine.conftest import PHOTOGRAPHS
from tests.engine.watched_loop import held
from tests.engine_runs import MOST_SECONDS, Host, engine_of, peak_rss_mb, view_in
from tests.fake_stages import DELAY_VARIABLE
from tests.tui.terminals import terminal
from tui.client import EngineClient

CLI = "tests.fake_cli"
STALL, GO_ON = "\x13", "\x11"  # Ctrl-S and Ctrl-Q
MOST_RSS_MB = 120.0
HASTY_ENGINE = (
    "import sys, tui.engine_process as engine; engine.SECONDS_FOR_ORPHANS = 0.5; "
    "sys.exit(engine.main())"
)


def test_terminals_come_to_grief_and_the_run_goes_on_to_its_end(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELAY_VARIABLE, "0.05")
    monkeypatch.setenv(fake_worker.STEPS, "200")
    run = tmp_path / "run"
    command = ("run", str(photographs), "--out", str(run), "--headless")
    with terminal(*command, module=CLI) as hung_up:
        hung_up.read_until("/24 photos")
        engine = engine_of(run)
        client = EngineClient(engine.socket)
        assert client.command({"op": "pause"}).ok
        view_in(run, "paused")
        attach = ("attach", str(run), "--plain")
        with (
            terminal(*attach, module=CLI) as killed,
            terminal(*attach, module=CLI) as stalled,
            terminal(*attach, module=CLI) as stopped,
        ):
            for shown in (killed, stalled, stopped):
                shown.read_until("features")
            hung_up.hang_up()  # the terminal that the run was started from
            killed.process.kill()  # as its fellows, it leads the session of its terminal
            stalled.type(STALL)
            stopped.process.send_signal(signal.SIGSTOP)
            assert hung_up.process.wait(MOST_SECONDS) != 0
            assert client.command({"op": "resume"}).ok
            most_rss_mb = peak_rss_until_it_ends(engine)
            assert read_report(run)["registered"] == PHOTOGRAPHS - 1
            assert 10.0 < most_rss_mb <= MOST_RSS_MB
            assert held(run / "engine.log") == []
            # Whoever was away is told in the end.
            assert (stalled.process.poll(), stopped.process.poll()) == (None, None)
            stopped.process.send_signal(signal.SIGCONT)
            stalled.type(GO_ON)
            for shown in (stalled, stopped):
                assert shown.end() == 0
                assert f"{PHOTOGRAPHS - 1} of {PHOTOGRAPHS} photographs" in shown.shown
    host.wait_until_empty()


def test_a_second_engine_on_the_same_run_is_refused_though_the_list_of_runs_cannot_be_written(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    monkeypatch.setenv(fake_worker.STEPS, "1000000")
    run, other = tmp_path / "run", tmp_path / "other name"
    engine = host.begin(photographs, run)
    other.symlink_to(run)
    for out in (run, other):
        code, _, err = host.call_here("run", str(photographs), "--out", str(out), "--headless")
        assert (code, "goes on already" in err) == (1, True), err
        told = told_by_hasty_engine(RunRequest(paths=GivenPaths(photos=photographs), out=out))
        assert told["error"]["title"] == "The run is in use"
        assert f"Process {engine.identity.pid}" in told["error"]["message"]
    view = view_in(run, "running")
    assert view.engine == engine.engine, "it is still the first one's"
    assert any("`barfield ls` will not know of this run" in text for text in view.warnings)
    host.call_here("stop", str(run))
    host.wait_until_empty()


def told_by_hasty_engine(request: RunRequest) -> dict[str, dict[str, str]]:
    """What an engine tells that is started past the command line and waits for no lock."""
    heard, ready = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", HASTY_ENGINE, "--ready-fd", str(ready)],
        stdin=subprocess.PIPE,
        pass_fds=(ready,),
        text=True,
    ) as process:
        os.close(ready)
        with os.fdopen(heard) as answer:
            process.communicate(json.dumps(request.model_dump(mode="json")), MOST_SECONDS)
            told: dict[str, dict[str, str]] = json.loads(answer.read())
    assert process.returncode == 1
    return told


def peak_rss_until_it_ends(engine: EngineFile) -> float:
    """The most memory in MB that an engine has used when it ends."""
    most = 0.0
    while engine.identity.alive():
        with suppress(OSError):  # it has ended meanwhile
            most = max(most, peak_rss_mb(engine.identity.pid))
        time.sleep(0.02)
    return most
