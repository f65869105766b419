"""A real run that is steered by commands: live changes, undo, conflicts, what runs again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.run_directory import read_manifest, read_report
from tests.engine import fake_worker
from tests.engine_runs import Host, progress_of, stage_of, until, view_in
from tui.client import EngineClient

STEPS = 300
FIRST_PX, SECOND_PX = 3.0, 2.0
NAME = "mapping.max_reprojection_error_px"


def test_a_run_is_steered_by_commands(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*command: str, code: int = 0) -> dict[str, Any]:
        """What a command says as JSON."""
        called = host.call_here(*command[:1], str(run), *command[1:], "--json")
        assert called.code == code, called
        answer: dict[str, Any] = json.loads(called.out)
        return answer

    monkeypatch.setenv(fake_worker.STEPS, str(STEPS))
    run = tmp_path / "run"
    engine = host.begin(photographs, run)
    client = EngineClient(engine.socket)
    until(lambda: progress_of(run, "mapping") > 0)
    assert client.command({"op": "pause"}).ok
    view_in(run, "paused")
    at_first = client.config().parameters[NAME].value

    # Live: between two steps of the stage that runs.
    assert told("set", f"{NAME}={FIRST_PX}")["revision"] == 1
    for value, revision in ((SECOND_PX, 2), (FIRST_PX, 3), (FIRST_PX, 3)):  # undone; nothing new
        answer = client.command({"op": "set", "changes": {NAME: value}})
        assert (answer.ok, answer.revision) == (True, revision)
    # A second terminal, which saw revision 1.
    command = {"op": "set", "changes": {NAME: 9.0}, "base_revision": 1}
    late = client.command(command)
    assert (late.ok, late.revision) == (False, 3) and "revision 3" in late.message
    # What runs finished stages again is asked for.
    asked = told("set", "matching.ratio=0.7", code=2)
    assert asked["reruns"] == ["matching", "verification", "mapping"]
    assert client.config().parameters["matching.ratio"].value != 0.7
    assert "error" in told("set", f"{NAME}=-1", code=1)
    unknown = told("set", "mapping.max_reprojektion_error_px=1", code=1)
    assert unknown["error"]["hint"] == f"Did you mean {NAME}?"
    assert told("checkpoint")["ok"]
    assert told("resume")["ok"]
    view_in(run, "running")
    assert client.command({"op": "pause"}).ok
    view = view_in(run, "paused")
    step = stage_of(view, "mapping").checkpoint_step
    assert step is not None and 0 < step < STEPS
    # Now for real: the stages run again, and mapping forgets what it had done.
    confirmed = told("set", "matching.ratio=0.7", "--yes")
    assert confirmed["reruns"] == ["matching", "verification", "mapping"]
    assert client.command({"op": "resume"}).ok
    view = view_in(run, "done")
    assert (view.revision, view.pid) == (4, engine.identity.pid)

    report = read_report(run)
    assert report["stages"]["mapping"]["steps"] == STEPS
    assert report["stages"]["mapping"]["sum"] == pytest.approx(FIRST_PX * STEPS)
    assert at_first not in (FIRST_PX, SECOND_PX)
    recorded = read_manifest(run).stages
    assert not recorded["mapping"].ingredients.live
    assert recorded["matching"].ingredients.config["ratio"] == 0.7
    host.wait_until_empty()
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    states = [e["state"] for e in events if e["kind"] == "run" and "pausing" not in e["why"]]
    assert states == ["starting", *["running", "paused"] * 2, "running", "done"]
    changes = [event for event in events if event["kind"] == "parameter"]
    assert [c["revision"] for c in changes if c["step"] is None] == [1, 2, 3, 4]
    assert all(change["by"].startswith("terminal of ") for change in changes)
    assert {c["step"] for c in changes if c["step"] is not None}, "it took effect at a step"
