"""What the command line does, as plain functions: run and compare.

`run` is the whole method in one process; the command line runs it through an engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.comparison import Comparison, compare_files
from pipeline.engine.event_log import EventLog
from pipeline.engine.executor import Executors
from pipeline.errors import PipelineError
from pipeline.events import Warned
from pipeline.inputs import find_files, read_inputs
from pipeline.machine import peak_rss_mb, usable_cores
from pipeline.request import RunRequest
from pipeline.run_directory import read_manifest
from pipeline.run_report import Usage, is_current, write_report
from pipeline.runner import (
    ForegroundControl,
    Runner,
    Subscriber,
)
from pipeline.settings import settings_as_toml
from pipeline.stages import METHOD, plan
from pipeline.version import VERSION
from pipeline.workspace import Workspace


def run(
    request: RunRequest, subscribers: Sequence[Subscriber], stop: threading.Event
) -> dict[str, Any]:
    """Run the method in this process, or what of it is not done yet; the content of `report.json`.

    Subscribers are called with the stage's name and each of its records. Setting `stop` ends the
    run at the next step: raises Stopped. Raises PipelineError for what the user can mend.
    """
    begin = time.monotonic()
    poses_given = request.paths.poses is not None
    found = find_files(request.paths, request.config, request.out)
    workers = usable_cores()
    with (
        Workspace(request.out, VERSION) as workspace,
        ThreadPoolExecutor(workers, "hash") as threads,
        Executors(workspace.root, workers, request.cluster) as executors,
        EventLog(workspace.root / "events.jsonl") as log,
    ):
        given = read_inputs(request.paths, found, workspace, threads)
        workspace.claim(given.scene, given.photos)
        workspace.write_config(settings_as_toml(request.config))
        control = ForegroundControl(workspace.store, threads, workers, stop)
        listeners = (log.append, *subscribers)
        for damage in workspace.damages:
            for tell in listeners:
                tell("", Warned(f"damaged: {damage}"))
        runner = Runner(workspace, request.config, given, control, listeners, executors)
        outcomes = runner.run(plan(poses_given=poses_given, until=request.until))
        usage = Usage(time.monotonic() - begin, peak_rss_mb())
        entries = plan(poses_given=poses_given, until=None)
        return write_report(workspace, request.config, entries, outcomes, runner.product, usage)


def compare(run_directory: Path, reference: Path) -> Comparison:
    """Errors of a run's camera poses against a reference, after alignment by a similarity.

    Of the reference only the run's photographs count. Raises PipelineError where either cannot be
    read or the run's model is older than what it was made from; a result without errors but with a
    reason where they cannot be aligned.
    """
    manifest = read_manifest(run_directory)
    for entry in METHOD:
        if entry.name in manifest.stages and not is_current(manifest, entry):
            raise PipelineError(
                "The model is out of date",
                f"{run_directory}: what {entry.name} was made from has changed since",
                "Run the same command without --until.",
            )
    return compare_files(run_directory, reference, sorted(manifest.photos))
