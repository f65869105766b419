"""`barfield bench`: the published experiments on the public data sets."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tui.commands.options import AsJson
from tui.failures import INTERRUPTED, WrongUsage

if TYPE_CHECKING:
    from pipeline.radiance_config import RadianceConfig

_NOISE = "Sigma of the noise on the true poses; 0: none. Else 0.15, and for llff the identity."


def bench(
    kind: Annotated[
        Literal["blender", "llff", "posed"],
        typer.Argument(help="Layout; posed: transforms.json, or a COLMAP model with its images."),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A scene, or a folder of scenes.")],
    scenes: Annotated[
        list[str] | None, typer.Option("--scene", metavar="NAME", help="Only this; repeatable.")
    ] = None,
    noise: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=_NOISE)] = None,
    preset: Annotated[str | None, typer.Option(help="As radiance.preset.")] = None,
    size_px: Annotated[
        int | None, typer.Option("--size-px", help="Longer side of the views.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the training.")] = None,
    minutes: Annotated[float | None, typer.Option(help="The same, as a budget of time.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of noise and training.")] = 0,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="radiance.FIELD=VALUE", help="Any parameter; repeatable."),
    ] = None,
    tests: Annotated[
        int | None, typer.Option(min=0, help="Most held-out views of a Blender scene.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; runs/bench-KIND otherwise.")
    ] = None,
    for_seconds: Annotated[
        float | None,
        typer.Option(min=0.0, help="End after so long; the same command goes on from there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train on scenes with known cameras, from wrong ones, and measure what comes out.

    As published: cameras are aligned by a similarity, held-out views fitted before they are
    compared. The same command goes on where it was stopped, and reads what is finished.
    """
    from pipeline import commands
    from pipeline.bench_request import BenchRequest
    from pipeline.run_directory import RUNS
    from tui.quality_view import CurveLines, show_bench
    from tui.signals import stopping_on_interrupt

    given = {"preset": preset, "size_px": size_px, "steps": steps, "minutes": minutes, "seed": seed}
    config = _config(assignments or [], {k: v for k, v in given.items() if v is not None})
    request = BenchRequest(
        kind,
        path,
        (out or RUNS / f"bench-{kind}").absolute(),
        config,
        tuple(scenes or ()),
        noise,
        tests,
        for_seconds,
    )
    halt = threading.Event()
    with stopping_on_interrupt(halt.set, no_detach=True):
        found = commands.bench(request, halt, CurveLines(sys.stderr).show)
    if not as_json:
        show_bench(found)
    if halt.is_set():
        raise typer.Exit(INTERRUPTED)  # where JSON was asked for, the document says just that
    if as_json:
        typer.echo(json.dumps(found, indent=1))


def _config(assignments: list[str], options: dict[str, Any]) -> RadianceConfig:
    from pipeline.settings import SettingsError, load_settings

    try:
        return load_settings(None, assignments, {"radiance": options}).radiance
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
