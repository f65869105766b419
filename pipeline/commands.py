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
from pipeline.errors import PipelineError
from pipeline.event_log import EventLog
from pipeline.inputs import GivenPaths, find_files, read_inputs
from pipeline.manifest import Manifest
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.report import compose_report
from pipeline.runner import (
    ForegroundControl,
    Runner,
    StageOutcome,
    Subscriber,
    usable_cores,
)
from pipeline.settings import settings_as_toml
from pipeline.stages import METHOD, StageEntry, plan
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
        later = plan(poses_given=request.paths.poses is not None, until=None)[len(entries) :]
        for entry in later:
            done = still_valid(workspace.manifest, entry, request.config)
            if done is None:
                break
            outcomes.append(StageOutcome(entry.name, "skipped", done.seconds, done.report))
            entries = (*entries, entry)
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
    read or the run's model is older than what it was made from; a result without errors but with a
    reason where they cannot be aligned.
    """
    manifest = read_manifest(run_directory)
    for entry in METHOD:
        if entry.name in manifest.stages and not _is_current(manifest, entry):
            raise PipelineError(
                "The model is out of date",
                f"{run_directory}: what {entry.name} was made from has changed since",
                "Run the same command without --until.",
            )
    return compare_files(run_directory, reference, sorted(manifest.photos))


def still_valid(manifest: Manifest, entry: StageEntry, config: RunConfig) -> DoneEntry | None:
    """The record of a stage that was not asked for but need not run again; None if it must."""
    done = manifest.stages.get(entry.name)
    if done is None or not _is_current(manifest, entry):
        return None
    section = getattr(config, entry.name).model_dump(mode="json")
    return done if done.ingredients.config == section else None


def _is_current(manifest: Manifest, entry: StageEntry) -> bool:
    """Whether a recorded stage was made from the products that the run holds now."""
    made = {
        product: manifest.stages[maker.name].ingredients.fingerprint
        for maker in METHOD
        if maker.name in manifest.stages
        for product in maker.makes
    }
    needs = manifest.stages[entry.name].ingredients.needs
    return all(made.get(product) == fingerprint for product, fingerprint in needs.items())
