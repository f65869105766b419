"""What the command line does, as plain functions: run and compare."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.comparison import Comparison, compare_files
from pipeline.config import RunConfig
from pipeline.event_log import EventLog
from pipeline.inputs import GivenPaths, find_files, read_inputs
from pipeline.report import compose_report
from pipeline.runner import ForegroundControl, Runner, Subscriber, usable_cores
from pipeline.settings import settings_as_toml
from pipeline.stages import plan
from pipeline.version import VERSION
from pipeline.workspace import Workspace, read_manifest


@dataclass(frozen=True)
class RunRequest:
    """What `run` is to do. out: the run directory. until: last stage, None for all."""

    paths: GivenPaths
    out: Path
    config: RunConfig
    until: str | None = None


def run(
    request: RunRequest, subscribers: Sequence[Subscriber], stop: threading.Event
) -> dict[str, Any]:
    """Run the method on photographs, or what of it is not done yet; the content of `report.json`.

    Subscribers are called with the stage's name and each of its records. Setting `stop` ends the
    run at the next step: raises Stopped. Raises PipelineError for what the user can mend.
    """
    begin = time.perf_counter()
    entries = plan(poses_given=request.paths.poses is not None, until=request.until)
    found = find_files(request.paths, request.config, request.out)
    workers = usable_cores()
    with (
        Workspace(request.out, VERSION) as workspace,
        ThreadPoolExecutor(workers, "item") as executor,
        EventLog(workspace.root / "events.jsonl") as log,
    ):
        given = read_inputs(request.paths, found, workspace, executor)
        workspace.claim(given.scene, given.photos)
        workspace.write_config(settings_as_toml(request.config))
        control = ForegroundControl(workspace.store, executor, workers, stop)
        runner = Runner(workspace, request.config, given, control, (log.append, *subscribers))
        outcomes = runner.run(entries)
        made = {product for entry in entries for product in entry.makes}
        report = compose_report(
            outcomes,
            request.config,
            runner.product("photos") if "photos" in made else None,
            runner.product("reconstruction") if "reconstruction" in made else None,
        )
        report["wall_s"] = round(time.perf_counter() - begin, 3)
        workspace.write_report(report)
    return report


def compare(run_directory: Path, reference: Path) -> Comparison:
    """Errors of a run's camera poses against a reference, after alignment by a similarity.

    Of the reference only the run's photographs count. Raises PipelineError where either cannot be
    read; a result without errors but with a reason where they cannot be aligned.
    """
    return compare_files(run_directory, reference, sorted(read_manifest(run_directory).photos))
