"""The report of a run, and a comparison, as people read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.report import advice

if TYPE_CHECKING:
    from pipeline.comparison import Comparison
    from pipeline.depth_errors import DepthErrors
    from pipeline.mesh_errors import MeshErrors

_WIDTH_WITHOUT_TERMINAL = 120
_TOO_EARLY = "The run ended before its cameras were found."


def console() -> Console:
    """A console on stdout, wide enough for tables where there is no terminal."""
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(width=width, highlight=False, soft_wrap=False)


def show_summary(report: Mapping[str, Any], run: Path) -> None:
    """The outcome in a few lines, after a run."""
    out = console()
    if report["complete"]:
        for line in outcome(report):
            out.print(Text(line, style="bold"))
    out.print(Text(f"in {report['wall_s']:.1f} s, at most {report['peak_rss_mb']:.0f} MB: {run}"))
    for tip in advice(report):
        out.print(Text(tip, style="yellow"))


def show_report(report: Mapping[str, Any], run: Path) -> None:
    """The whole report: outcome, stages, photographs that are in no model, what to try."""
    out = console()
    out.print(Text(str(run), style="bold"))
    for line in outcome(report) if report["complete"] else [_TOO_EARLY]:
        out.print(Text(line))
    out.print(stage_table(report))
    for line in cloud_lines(report.get("clouds", ())):
        out.print(Text(line))
    missing = [verdict for verdict in report["verdicts"] if not verdict["registered"]]
    if missing:
        table = Table(title="Photographs in no model", title_justify="left")
        table.add_column("photograph", overflow="fold")
        table.add_column("why", overflow="fold")
        for verdict in missing:
            table.add_row(Text(verdict["image"]), Text(verdict["reason"]))
        out.print(table)
    tips = advice(report)
    if tips:
        out.print(Text("What to try", style="bold"))
        for tip in tips:
            out.print(Text(f"- {tip}"))


def show_comparison(comparison: Comparison) -> None:
    """Errors against a reference: the means and maxima, then each photograph, then those of depth
    maps and meshes."""
    out = console()
    which = f" in {comparison.model}" if comparison.model else ""
    words = f"{comparison.registered} of {comparison.of} reference photographs have a pose{which}"
    out.print(Text(words))
    errors = comparison.position_mean, comparison.position_max, comparison.position_mean_relative
    angles = comparison.rotation_mean_deg, comparison.rotation_max_deg
    if None in errors or None in angles:
        out.print(Text(f"No errors: {comparison.reason}", style="red"))
        return
    table = Table("", "mean", "largest", "mean / scene size")
    table.add_row("position", *(f"{error:.6g}" for error in errors))
    table.add_row("rotation, deg", *(f"{angle:.4f}" for angle in angles), "")
    out.print(table)
    photos = Table("photograph", "position", "rotation, deg")
    for photo in comparison.photos:
        photos.add_row(Text(photo.name), f"{photo.position:.6g}", f"{photo.rotation_deg:.4f}")
    out.print(photos)
    for line in _surface_lines(comparison):
        out.print(Text(line))


def errors_in_short(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared with a reference, and how far off it is in a few words."""
    mean, largest = comparison.position_mean, comparison.position_max
    relative = comparison.position_mean_relative
    angles = comparison.rotation_mean_deg, comparison.rotation_max_deg
    if mean is None or largest is None or relative is None or None in angles:
        return [("cameras", f"not compared: {comparison.reason}")]
    most = relative * largest / mean if mean else 0.0
    rows = [
        ("positions", f"{relative:.3%} of the scene size off, at most {most:.3%}"),
        ("rotations", "{:.3f} degrees off, at most {:.3f}".format(*angles)),
    ]
    if comparison.depth is not None:
        rows.append(("depth maps", _depth_in_short(comparison.depth)))
    meshes = (("mesh", comparison.mesh), ("quick mesh", comparison.draft))
    return rows + [(name, _mesh_in_short(found)) for name, found in meshes if found]


def _depth_in_short(found: DepthErrors) -> str:
    median, right = found.median_relative_of_known, found.within_1_percent
    if median is None or right is None:
        return found.reason or "nothing is known"
    return f"{median:.2%} of the depth off (median), {right:.0%} of pixels within 1 %"


def _mesh_in_short(found: MeshErrors) -> str:
    mean, right = found.mean_relative, found.within_1_percent
    if mean is None or right is None:
        return found.reason
    return f"{mean:.2%} of the scene size off, {right:.0%} of the surface within 1 %"


def _surface_lines(comparison: Comparison) -> list[str]:
    """Errors of depth maps and meshes, a line each."""
    lines = [] if comparison.depth is None else [f"depth: {_depth_words(comparison.depth)}"]
    meshes = (("mesh", comparison.mesh), ("draft", comparison.draft))
    return lines + [f"{name}: {_mesh_words(found)}" for name, found in meshes if found]


def _depth_words(found: DepthErrors) -> str:
    if found.within_1_percent is None or found.missing is None:
        return found.reason
    known, everywhere = found.median_relative_of_known, found.median_relative
    median = "" if known is None else f"median error {known:.3%} of the true depth where known, "
    whole = "more than half unknown" if everywhere is None else f"{everywhere:.3%} of all pixels"
    return (
        f"{found.photographs} of {found.of} photographs; {median}{whole}; "
        f"{found.within_1_percent:.1%} of the pixels right within 1 %, {found.missing:.1%} unknown"
    )


def _mesh_words(found: MeshErrors) -> str:
    if found.mean_relative is None:
        return found.reason
    return (
        f"{found.mean_distance:.4g} from the true surface on average, {found.mean_relative:.3%} of "
        f"the scene size (median {found.median_relative:.3%}); {found.within_1_percent:.1%} of the "
        "true surface found within 1 %, as far as two photographs see it"
    )


def outcome(report: Mapping[str, Any]) -> list[str]:
    """What came out: of mapping, and of the radiance field, in a line each."""
    lines = [_mapped(report)] if "mapping" in report["seconds"] else []
    if "radiance" in report["seconds"]:
        lines += _learned(report["stages"]["radiance"])
    if "planar" in report["seconds"]:
        lines += _aligned(report["stages"]["planar"])
    for stage, words in (("depth", _depth_found), ("mesh", _mesh_found)):
        if stage in report["seconds"]:
            lines.append(words(report["stages"][stage]))
    return lines


def _depth_found(stage: Mapping[str, Any]) -> str:
    """What the stage `depth` says of itself."""
    if "reason" in stage:
        return f"no depth maps: {stage['reason']}"
    share = stage["share_with_depth"]
    return f"depth maps of {stage['photographs']} photographs, {share:.0%} of their pixels"


def _mesh_found(stage: Mapping[str, Any]) -> str:
    """What the stage `mesh` says of itself."""
    if "reason" in stage:
        return f"no mesh: {stage['reason']}"
    return f"mesh of {stage['triangles']} triangles, from a cloud of {stage['points']} points"


def _learned(stage: Mapping[str, Any]) -> list[str]:
    """What the stage `radiance` says of itself."""
    psnr, count = stage.get("held_out_psnr"), stage.get("held_out", 0)
    quality = "" if psnr is None else f"radiance field: {psnr:.1f} dB on {count} held-out views; "
    rescued = [entry for entry in stage.get("rescued", ()) if entry["found"]]
    found = [f"{len(rescued)} more photographs were found by the field"] if rescued else []
    return [f"{quality}{stage['verdict']}", *found]


def _aligned(stage: Mapping[str, Any]) -> list[str]:
    """What the stage `planar` says of each of its methods."""
    return [
        f"{method:<12} {told['verdict']:<12} warp error {told['warp_error']:.4f}, "
        f"{told['psnr']:.1f} dB, {told['steps']} steps in {told['seconds']:.0f} s"
        for method, told in stage["methods"].items()
    ]


def _mapped(report: Mapping[str, Any]) -> str:
    models = f"{report['models']} model" + ("s" if report["models"] != 1 else "")
    if report["models"] > 1:
        models += f" ({', '.join(map(str, report['model_images']))} photographs)"
    return (
        f"{report['registered']} of {report['images']} photographs registered in {models}; "
        f"{report['points']} points, {report['observations']} observations, reprojection error "
        f"{report['reprojection_error_px']:.3f} px"
    )


def cloud_lines(clouds: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was done to the clouds that the viewer shows, a line each."""
    lines = []
    for cloud in clouds:
        seconds = cloud["seconds"]
        took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
        note = f"; {cloud['note']}" if cloud["note"] else ""
        strays = f", {cloud['after']} without {cloud['strays']} strays" if cloud["strays"] else ""
        lines.append(f"cloud {cloud['name']}: {cloud['before']} points{strays}{took}{note}")
    return lines


def stage_table(report: Mapping[str, Any]) -> Table:
    """The stages with their seconds and what each found, a row each."""
    table = Table("stage", "seconds", "found")
    for name, seconds in report["seconds"].items():
        facts = {key: value for key, value in report["stages"][name].items() if key != "state"}
        table.add_row(name, f"{seconds:.1f}", Text(", ".join(_facts(facts))))
    return table


def _facts(facts: Mapping[str, Any]) -> list[str]:
    """The entries that fit in a line: numbers, words where there are some, and truth values."""
    found = []
    for key, value in facts.items():
        if isinstance(value, float):
            found.append(f"{key} {value:.4g}")
        elif isinstance(value, int) or (isinstance(value, str) and value):
            text = json.dumps(value) if isinstance(value, bool) else str(value)
            found.append(f"{key} {text}")
    return found
