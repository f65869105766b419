"""`barfield eval`: how well a run's radiance field shows what it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tui.commands.compare import REFERENCE
from tui.commands.options import AsJson, Run


def evaluate(
    run: Run,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="FILE", help=f"True cameras: {REFERENCE}")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Folder for each held-out photograph beside its rendering."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge RUN's radiance field on the photographs that it was not trained on.

    PSNR and SSIM per photograph, once its pose is fitted; with --reference, how far the cameras are
    off before and after training.
    """
    from pipeline import commands
    from tui.quality_view import show_evaluation
    from tui.runs import resolve_run

    judged = commands.evaluate(resolve_run(run), reference, pictures)
    if as_json:
        typer.echo(json.dumps(judged, indent=1))
    else:
        show_evaluation(judged)
