"""What the command line does, as plain functions: run, compare, export, render, eval, bench.

`run` is the whole method in one process; the command line runs it through an engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.bench_request import BenchRequest
from pipeline.codecs import MAPPED, REFINED, LostProduct, load_product
from pipeline.comparison import Comparison, compare_files
from pipeline.engine.event_log import EventLog
from pipeline.engine.executor import Executors
from pipeline.errors import PipelineError
from pipeline.events import Warned
from pipeline.export_request import ExportRequest
from pipeline.export_request import Listener as ExportListener
from pipeline.field_reading import read_newest_field
from pipeline.formats.reference import read_posed_photos
from pipeline.inputs import find_files, read_inputs
from pipeline.item_store import DiskStore
from pipeline.machine import peak_rss_mb, usable_cores
from pipeline.manifest import Manifest
from pipeline.products import NoField
from pipeline.render_request import Listener, RenderRequest
from pipeline.request import RunRequest
from pipeline.run_directory import read_manifest
from pipeline.run_report import Usage, is_current, write_report
from pipeline.runner import (
    ForegroundControl,
    Runner,
    Subscriber,
)
from pipeline.settings import settings_as_toml
from pipeline.stages import METHOD, STAGE_NAMES, plan
from pipeline.version import VERSION
from pipeline.workspace import Workspace

_UP_TO_MAPPING = STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1]


def run(
    request: RunRequest, subscribers: Sequence[Subscriber], stop: threading.Event
) -> dict[str, Any]:
    """Run the method in this process, or what of it is not done yet; the content of `report.json`.

    Subscribers are called with the stage's name and each of its records. Setting `stop` ends the
    run at the next step: raises Stopped. Raises PipelineError for what the user can mend.
    """
    begin = time.monotonic()
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
        outcomes = runner.run(plan(route=request.route, until=request.until))
        usage = Usage(time.monotonic() - begin, peak_rss_mb())
        entries = plan(route=request.route)
        return write_report(workspace, request.config, entries, outcomes, runner.product, usage)


def compare(
    run_directory: Path, reference: Path, model: Literal["best", "mapping", "refined"] = "best"
) -> Comparison:
    """Errors of a run's camera poses against a reference, after alignment by a similarity; of its
    depth maps and meshes, too, where the reference has true geometry (`geometry_comparison`).

    Of the reference only the run's photographs count. model: best takes the refined cameras where
    the stage `radiance` found them better, else those of mapping. Raises PipelineError where either
    cannot be read, the run's model is older than what it was made from, or there is no such model;
    a result without errors but with a reason where they cannot be aligned.
    """
    from pipeline.geometry_comparison import cameras_of, compare_surfaces

    manifest = read_manifest(run_directory)
    chosen = _chosen_model(run_directory, manifest, model)
    if not (run_directory / chosen).is_dir():
        chosen = ""  # whoever reads the run as a whole says what is missing
    names = sorted(manifest.photos)
    found = compare_files(run_directory / chosen, cameras_of(reference), names)
    mapped = run_directory / (MAPPED if (run_directory / MAPPED).is_dir() else chosen)
    made = manifest.stages.keys() - set(_stale_stages(manifest))
    surfaces = compare_surfaces(run_directory, mapped, reference, names, made)
    return replace(
        found, model=chosen, depth=surfaces.depth, mesh=surfaces.mesh, draft=surfaces.draft
    )


def export(run_directory: Path, request: ExportRequest, tell: ExportListener) -> dict[str, Any]:
    """Write a run's model or mesh, with its photographs, as another program reads them; what was
    written, as plain data.

    tell: called with how many photographs are done, of how many. Raises PipelineError where the run
    has no model yet, or is older than what it was made from, for a place that is taken, and for
    what the format cannot hold.
    """
    from pipeline.exports.making import make_export
    from pipeline.exports.reading import read_export

    manifest = read_manifest(run_directory)
    chosen = _chosen_model(run_directory, manifest, request.model)
    made = {"draft", "mesh"} & manifest.stages.keys() - set(_stale_stages(manifest))
    found = read_export(run_directory, chosen, frozenset(made), tell)
    return asdict(make_export(found, chosen, request))


def render(run_directory: Path, request: RenderRequest, tell: Listener) -> dict[str, Any]:
    """Render a run's newest radiance field along a path, also while the run goes on; what was
    made, as plain data.

    Raises PipelineError where there is no field yet, and for what the user can mend.
    """
    from pipeline.radiance.films import render_film

    found = read_newest_field(run_directory)
    folder = request.out or run_directory / "renders" / Path(request.path).stem
    made = render_film(found.arrays, found.fingerprint, request, folder, tell)
    return {**made, "step": found.step}


def evaluate(
    run_directory: Path, reference: Path | None = None, pictures: Path | None = None
) -> dict[str, Any]:
    """PSNR and SSIM of the photographs that a run's field was not trained on, what became of the
    cameras, and their errors against a reference, as plain data.

    pictures: folder for the held-out photographs beside their renderings. Raises PipelineError
    where the run has no trained field, or the reference cannot be read.
    """
    from pipeline.radiance.run_evaluation import RunProducts, evaluate_run

    manifest = _current_manifest(run_directory)
    if "radiance" not in manifest.stages:
        raise PipelineError(
            "No trained field yet",
            f"The stage radiance of {run_directory} has not come to its end.",
            "Run the same command again, without --until.",
        )
    true = None if reference is None else read_posed_photos(reference, sorted(manifest.photos))
    store = DiskStore(run_directory, writes=False)
    wanted = ["photos", "radiance", "refined"]
    if "mapping" in manifest.stages:
        wanted.append("reconstruction")
    try:
        found = {name: load_product(name, run_directory, store) for name in wanted}
    except LostProduct as error:
        raise PipelineError(
            "Damaged run",
            f"{run_directory}: {error}.",
            "Give the command of the run again: what is damaged is made anew.",
        ) from error
    field, refined = found["radiance"], found["refined"]
    if isinstance(field, NoField):
        raise PipelineError("No radiance field", f"{run_directory}: {field.reason}.")
    mapped = found["reconstruction"].models[0] if "reconstruction" in found else None
    products = RunProducts(found["photos"], field, mapped, refined.model)
    judged = evaluate_run(products, true, pictures)
    verdict = {"refined": refined.model is not None, "verdict": refined.verdict}
    return {"run": str(run_directory), **verdict, **judged}


def bench(
    request: BenchRequest,
    halt: threading.Event,
    told: Callable[[str, dict[str, Any]], None],
) -> dict[str, Any]:
    """Train on scenes of a public data set and judge the outcome: the results of the scenes
    (`rows`) and their means.

    halt: once it is set, training ends at the next step with a checkpoint. told: called with a
    scene's name and the newest point of its curve. The last row is not `done` where the time given
    for this call was over, or `halt` set. Raises PipelineError for what the user can mend.
    """
    from pipeline.radiance.benchmark import bench_of, means, run_bench

    rows = run_bench(
        bench_of(request),
        request.for_seconds,
        halt,
        lambda scene, figures, point: told(scene, point),
    )
    return {"rows": rows, "mean": means(rows)}


def _chosen_model(
    run_directory: Path, manifest: Manifest, model: Literal["best", "mapping", "refined"]
) -> str:
    """The model that is meant, as a folder of the run, whether it is there or not. Raises
    PipelineError where cameras are older than what they were made from, or none are refined."""
    stale = _stale_stages(manifest)
    has_refined = (run_directory / REFINED).is_dir() and "radiance" not in stale
    if model == "refined" and not has_refined:
        raise PipelineError(
            "No refined cameras",
            f"{run_directory} has none: the stage radiance is not done, or kept those of mapping.",
            "`barfield report RUN` says which.",
        )
    if before := [stage for stage in stale if stage in _UP_TO_MAPPING]:
        raise _out_of_date(run_directory, before[0])
    return REFINED if has_refined and model != "mapping" else MAPPED


def _current_manifest(run_directory: Path) -> Manifest:
    """The manifest of a run whose results are not older than what they were made from."""
    manifest = read_manifest(run_directory)
    if stale := _stale_stages(manifest):
        raise _out_of_date(run_directory, stale[0])
    return manifest


def _stale_stages(manifest: Manifest) -> list[str]:
    """The stages, in order, whose products are older than what they were made from."""
    return [
        entry.name
        for entry in METHOD
        if entry.name in manifest.stages and not is_current(manifest, entry)
    ]


def _out_of_date(run_directory: Path, stage: str) -> PipelineError:
    return PipelineError(
        "The model is out of date",
        f"{run_directory}: what {stage} was made from has changed since",
        "Run the same command without --until.",
    )
