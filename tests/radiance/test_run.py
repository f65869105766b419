"""The stage `radiance` in a run with a real engine: killed, paused, changed, and gone on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.array_files import read_arrays
from pipeline.engine.log_reader import LogReader
from pipeline.events import Checkpointed, ParameterChanged
from pipeline.formats.colmap_model import read_model
from pipeline.run_directory import read_manifest, read_report
from tests.contracts.conftest import write_pictures
from tests.engine_runs import (
    Host,
    engine_of,
    kill,
    own_host,
    progress_of,
    until,
    view_in,
    workers_of,
)

# Small steps; STEPS of them take seconds, so that a kill finds them at work on a fast machine too.
SETTINGS = {
    "preset": "barf-cpu", "size_px": 20, "rays": 16, "samples": 4, "holdout": 0.25,
    "device": "cpu",
}  # fmt: skip
STEPS = 400


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with one core: threads of torch that wait for each other are slow where others
    compute, too."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with own_host() as host:
            yield host
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_pictures(folder)
    return folder


def command(photographs: Path, run: Path, steps: int) -> list[str]:
    settings = {**SETTINGS, "steps": steps}
    options = [f"--set=radiance.{name}={value}" for name, value in settings.items()]
    return ["run", str(photographs), "--out", str(run), "--poses", "none", *options]


def training_worker(run: Path) -> int:
    """The worker that trains, once it has saved where it is."""

    def looked() -> int | None:
        saved = any(isinstance(e.record, Checkpointed) for e in LogReader(run / "events.jsonl"))
        workers = workers_of(engine_of(run).identity.pid)
        at_work = [pid for pid, stage in workers.items() if stage == "radiance"]
        return at_work[0] if saved and at_work else None

    return until(looked)


def field_of(run: Path) -> dict[str, bytes]:
    arrays = read_arrays(run / "radiance" / "field.arrays")
    return {name: array.tobytes() for name, array in arrays.items()}


def test_a_killed_training_ends_as_an_undisturbed_one(
    host: Host, photographs: Path, tmp_path: Path
) -> None:
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    called = host.call(*command(photographs, undisturbed, STEPS), "--headless")
    assert called.code == 0, called.err
    assert "poses were found by the radiance field alone" in called.out
    host.call(*command(photographs, run, STEPS), "--detach")
    until(lambda: progress_of(run, "radiance") >= 2)
    host.call("checkpoint", str(run))
    kill(training_worker(run))
    assert view_in(run, "failed", "done").state == "failed"
    assert host.call("retry", str(run)).code == 0
    until(lambda: (run / "report.json").exists())
    assert field_of(run) == field_of(undisturbed)
    model = read_model(run / "sparse" / "refined")
    assert len(model.images) == 3 and not (run / "sparse" / "0").exists()
    report = read_report(run)
    assert report["complete"] and report["registered"] == 3
    assert report["stages"]["radiance"]["held_out"] == 1


def test_a_training_is_paused_changed_and_stopped(
    host: Host, photographs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    host.call(*command(photographs, run, 1_000_000), "--detach")
    until(lambda: progress_of(run, "radiance") >= 2)
    host.call("pause", str(run))
    view_in(run, "paused")
    answer = host.call("set", str(run), "radiance.pose_rate=0.0025", "radiance.rays=32")
    assert answer.code == 0, answer.err
    refused = host.call("set", str(run), "radiance.samples=8")
    assert refused.code == 2 and "radiance would run again" in refused.out
    assert host.call("set", str(run), "radiance.pose_rate=7").code != 0
    host.call("resume", str(run))
    until(lambda: _applied(run) == {"radiance.pose_rate", "radiance.rays"})
    until(lambda: 0.0024 < _newest(run, "pose_rate") < 0.0026)
    called = host.call("stop", str(run))
    assert called.code == 0, called.err
    assert (run / "stages/radiance/checkpoint.arrays").exists()
    assert "radiance" not in read_manifest(run).stages
    assert json.loads((run / "request.json").read_text())["kind"] == "unposed"


def _applied(run: Path) -> set[str]:
    """Parameters whose change has taken effect at a step."""
    records = [event.record for event in LogReader(run / "events.jsonl")]
    changes: list[Any] = [r for r in records if isinstance(r, ParameterChanged)]
    return {change.parameter for change in changes if change.step is not None}


def _newest(run: Path, name: str) -> float:
    view = view_in(run, "running")
    found = [m.value for m in view.metrics if (m.stage, m.name) == ("radiance", name)]
    return found[0] or 0.0
