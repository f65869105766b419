"""`barfield compare`: errors of a run's cameras and surfaces against a reference."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from tui.commands.options import AsJson, Run

REFERENCE = "COLMAP model, transforms.json, poses_bounds.npy, ground_truth.json, or their folder."
SURFACE = "Or a PLY, a mesh or cloud, that lies beside one of them."
MODEL = "Cameras of mapping, those that radiance refined, or the refined ones if they are better."


class Model(Enum):
    """Which of the run's cameras."""

    best = "best"
    mapping = "mapping"
    refined = "refined"


def compare(
    run: Run,
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help=f"{REFERENCE} {SURFACE}")],
    model: Annotated[Model, typer.Option(help=MODEL)] = Model.best,
    as_json: AsJson = False,
) -> None:
    """Align RUN's cameras with those of REFERENCE by a similarity and show what differs.

    Depth maps and meshes are compared, too, where REFERENCE is a PLY, or a folder with true
    geometry: truth/NAME_depth_m.npy for photographs, truth/mesh.ply. Ends with 1 where the cameras
    cannot be aligned.
    """
    from pipeline import commands
    from tui.report_view import show_comparison
    from tui.runs import resolve_run

    comparison = commands.compare(resolve_run(run), reference, model.value)
    if as_json:
        typer.echo(json.dumps(asdict(comparison), indent=1))
    else:
        show_comparison(comparison)
    if comparison.position_mean is None:
        raise typer.Exit(1)
