"""Real runs of which stages run again from their beginning, with an engine and without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.checkpoint_file import checkpoint_path
from pipeline.run_directory import read_report
from tests.engine import fake_worker
from tests.engine_runs import (
    Host,
    engine_of,
    kill,
    progress_of,
    states_in_log,
    until,
    view_in,
)
from tui.client import EngineClient

STEPS = 200
NAME = "mapping.max_reprojection_error_px"


def of_mapping(run: Path) -> dict[str, Any]:
    """What mapping reports of its steps."""
    told: dict[str, Any] = read_report(run)["stages"]["mapping"]
    return told


def test_a_stage_that_runs_begins_anew_with_the_parameters_of_now(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, str(STEPS))
    run = tmp_path / "run"
    engine = host.begin(photographs, run)
    client = EngineClient(engine.socket)
    until(lambda: progress_of(run, "mapping") > 0)
    assert client.command({"op": "pause"}).ok
    view_in(run, "paused")
    assert client.command({"op": "set", "changes": {NAME: 3.0}}).ok
    for stage, code in (("radiance", 1), ("matchin", 2)):
        assert host.call_here("retry", str(run), "--from", stage).code == code
    command = ("retry", str(run), "--from", "matching", "--json")
    asked = host.call_here(*command)
    assert asked.code == 2 and "--yes" in asked.err
    assert json.loads(asked.out)["reruns"] == ["matching", "verification", "mapping"]
    assert host.call_here(*command, "--yes").code == 0
    assert client.command({"op": "resume"}).ok
    view_in(run, "done")
    host.wait_until_empty()
    told = of_mapping(run)
    # All steps with the new value: it did not go on from its checkpoint.
    assert (told["first"], told["steps"], told["sum"]) == (0, STEPS, 3.0 * STEPS)
    assert states_in_log(run, "features") == ["waiting", "started", "done"]
    assert states_in_log(run, "matching") == [
        "waiting",
        "started",
        "done",
        "stale",
        "started",
        "done",
    ]


def test_a_run_at_rest_begins_anew_at_a_stage(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, str(STEPS))
    run = tmp_path / "run"
    host.begin(photographs, run)
    until(lambda: progress_of(run, "mapping") > 0)
    assert host.call_here("checkpoint", str(run)).code == 0
    until(lambda: checkpoint_path(run, "mapping").exists())
    kill(engine_of(run).identity.pid)
    host.wait_until_empty()
    refused = host.call_here("retry", str(run), "--from", "radiance")
    assert refused.code == 1 and "mapping comes before radiance" in refused.err
    command = ("retry", str(run), "--from", "verification")
    asked = host.call_here(*command)
    assert asked.code == 2 and "verification, mapping would run again" in asked.out
    assert checkpoint_path(run, "mapping").exists()
    assert host.call(*command, "--yes").code == 0
    host.wait_until_empty()
    assert of_mapping(run)["first"] == 0
    assert states_in_log(run, "matching")[-2:] == ["waiting", "skipped"]
    assert states_in_log(run, "verification")[-3:] == ["waiting", "started", "done"]
    # A run that is done, too.
    assert host.call("retry", str(run), "--from", "mapping", "--yes").code == 0
    host.wait_until_empty()
    assert states_in_log(run, "verification")[-2:] == ["waiting", "skipped"]
    assert states_in_log(run, "mapping")[-3:] == ["waiting", "started", "done"]
