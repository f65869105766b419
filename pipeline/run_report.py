"""Writes the report of a run, also of what an earlier run has made and is still valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import RunConfig
from pipeline.manifest import Manifest
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.report import compose_report
from pipeline.runner import StageOutcome, failures_in_words
from pipeline.stages import ENTRIES, StageEntry
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Usage:
    """What a run has taken: seconds from its start, and the most memory that one of its processes
    has used."""

    wall_s: float
    peak_rss_mb: float


def write_report(
    workspace: Workspace,
    config: RunConfig,
    entries: Sequence[StageEntry],
    outcomes: Sequence[StageOutcome],
    product: Callable[[str], Any],
    usage: Usage,
) -> dict[str, Any]:
    """Write `report.json`; its content.

    entries: all stages of the method. outcomes: of those that were asked for; later stages that
    are still valid are reported, too. product: gives a product by its name. Raises PipelineError
    where a product is not whole or the report cannot be written.
    """
    reported = list(outcomes)
    for entry in entries[len(outcomes) :]:
        done = still_valid(workspace.manifest, entry, config)
        if done is None:
            break
        reported.append(StageOutcome(entry.name, "skipped", done.seconds, done.report))
    made = {name for entry in entries[: len(reported)] for name in entry.makes}
    with failures_in_words("report", workspace):
        report = compose_report(
            reported,
            config,
            product("photos") if "photos" in made else None,
            product("reconstruction") if "reconstruction" in made else None,
            complete="reconstruction" in made or len(reported) == len(entries),
        )
    report["peak_rss_mb"] = round(usage.peak_rss_mb, 1)
    report["wall_s"] = round(usage.wall_s, 3)
    workspace.write_report(report)
    return report


def still_valid(manifest: Manifest, entry: StageEntry, config: RunConfig) -> DoneEntry | None:
    """The record of a stage that was not asked for but need not run again; None if it must."""
    done = manifest.stages.get(entry.name)
    if done is None or not is_current(manifest, entry):
        return None
    section = getattr(config, entry.name).model_dump(mode="json")
    return done if done.ingredients.config == section else None


def is_current(manifest: Manifest, entry: StageEntry) -> bool:
    """Whether a recorded stage was made from the products that the run holds now."""
    made = {
        product: manifest.stages[maker.name].ingredients.fingerprint
        for maker in ENTRIES
        if maker.name in manifest.stages
        for product in maker.makes
    }
    needs = manifest.stages[entry.name].ingredients.needs
    return all(made.get(product) == fingerprint for product, fingerprint in needs.items())
