"""How real runs end other than by themselves, and what an earlier one leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.engine.runtime import find_engine, socket_path
from pipeline.engine.state import read_view
from pipeline.run_directory import read_report
from tests import fake_engine_process
from tests.engine import fake_worker
from tests.engine.conftest import PHOTOGRAPHS
from tests.engine.watched_loop import held
from tests.engine_runs import (
    MOST_SECONDS,
    Host,
    progress_of,
    stage_of,
    until,
    workers_of,
)


def test_a_signal_to_the_engine_stops_with_a_checkpoint_and_files_of_a_reboot_do_not_matter(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "1000000")
    run = tmp_path / "run"
    engine = host.begin(photographs, run)
    until(lambda: progress_of(run, "mapping") > 0)
    os.kill(engine.identity.pid, signal.SIGTERM)
    host.wait_until_empty()
    assert find_engine(run) is None and not engine.socket.parent.exists()
    view = read_view(run)
    assert view is not None and view.state == "stopped"
    saved = stage_of(view, "mapping").checkpoint_step
    assert saved is not None and saved > 0

    # As after a reboot: the files of the last engine are there, and its number is another's.
    left = socket_path(run).parent / "engine.json"
    identity = engine.identity.model_copy(update={"pid": os.getpid(), "boot_id": "an earlier one"})
    file = engine.model_copy(update={"identity": identity}).model_dump(mode="json")
    left.write_text(json.dumps(file))
    (run / ".lock").write_text(identity.model_dump_json())
    monkeypatch.setenv(fake_worker.STEPS, str(saved + 20))
    code, out, err = host.call("run", str(photographs), "--out", str(run), "--headless")
    assert (code, err) == (0, "")
    assert "features     skipped" in out
    assert f"goes on from step {saved + 1}" in out
    report = read_report(run)
    assert report["registered"] == PHOTOGRAPHS - 1
    assert report["stages"]["mapping"]["steps"] == saved + 20
    host.wait_until_empty()


def test_a_stage_that_hears_nothing_is_stopped_by_force(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_engine_process.GRACE_S, "0.3")
    run, trouble = tmp_path / "run", tmp_path / "trouble"
    trouble.write_text("deaf 3")
    engine = host.begin(photographs, run)
    until(lambda: not trouble.exists())
    assert "features" in workers_of(engine.identity.pid).values()
    stopped = host.call_here("stop", str(run))
    assert (stopped.code, stopped.out) == (0, "The run stops after the step at hand.\n")
    host.wait_until_empty()
    view = read_view(run)
    assert view is not None and view.state == "stopped"
    features = stage_of(view, "features")
    assert features.state == "stopped"
    assert features.why.startswith("it had to be forced") and "SIGKILL" in features.why
    assert held(run / "engine.log") == []


@pytest.mark.parametrize("anew", [False, True])
def test_a_run_whose_directory_goes_away_ends(
    anew: bool, host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "1000000")
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    command = host.start("run", str(photographs), "--out", str(run), stderr=subprocess.PIPE)
    until(lambda: progress_of(run, "mapping") > 0)
    run.rename(elsewhere)
    if anew:
        run.mkdir()
        (run / "letter").write_text("mine")
    else:
        shutil.rmtree(elsewhere)
    _, err = command.communicate(timeout=MOST_SECONDS)
    assert command.returncode == 1
    assert f"{run} was removed or moved away" in err, err
    host.wait_until_empty()
    # The engine looks once a second: until then a worker may make folders anew.
    if anew:
        assert (run / "letter").read_text() == "mine"
        view = read_view(elsewhere)
        assert view is not None and view.state == "failed"
