"""`barfield compare`: errors of a run's cameras against a reference."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

REFERENCE = "COLMAP model, transforms.json, poses_bounds.npy, ground_truth.json, or their folder."


def compare(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or its name in runs/.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help=REFERENCE)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Align RUN's cameras with those of REFERENCE by a similarity and show what differs.

    Ends with 1 where they cannot be aligned.
    """
    from pipeline import commands
    from pipeline.workspace import find_run
    from tui.report_view import show_comparison

    comparison = commands.compare(find_run(run), reference)
    if as_json:
        typer.echo(json.dumps(asdict(comparison), indent=1))
    else:
        show_comparison(comparison)
    if comparison.position_mean is None:
        raise typer.Exit(1)
