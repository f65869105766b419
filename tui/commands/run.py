"""`barfield run`: photographs to a sparse model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tui.failures import WrongUsage

HOLD = "Keep the intrinsics as they are given or guessed: sets all mapping.refine_* to off."
POSES = "sfm: find the poses; FILE: COLMAP model, transforms.json, LLFF or a scene's ground truth."


def run(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTOS...", help="Folder of photographs, or a video, or photographs."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run directory; runs/NAME otherwise.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML configuration.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.FIELD=VALUE", help="Set one parameter; repeatable."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Last stage to run, e.g. matching.")
    ] = None,
    poses: Annotated[str, typer.Option(metavar="sfm|FILE", help=POSES)] = "sfm",
    intrinsics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Given intrinsics; the same formats.")
    ] = None,
    hold_intrinsics: Annotated[bool, typer.Option("--hold-intrinsics", help=HOLD)] = False,
    cameras: Annotated[
        str | None,
        typer.Option(
            metavar="auto|single|per-folder|per-image", help="Photographs that share intrinsics."
        ),
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No dashboard and no viewer: progress lines only.")
    ] = False,
    detach: Annotated[
        bool, typer.Option(help="Let the run outlive the terminal (with the dashboard, later).")
    ] = False,
    no_viewer: Annotated[
        bool, typer.Option("--no-viewer", help="Do not serve the browser viewer (later).")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the viewer (later).")
    ] = None,
) -> None:
    """Find the cameras of PHOTOS and a sparse model of the scene.

    The same command goes on where a stopped or killed run was.
    """
    overrides: dict[str, dict[str, Any]] = {}
    if cameras is not None:
        overrides["ingest"] = {"cameras": cameras}
    if hold_intrinsics:
        from pipeline.settings import HELD_INTRINSICS

        overrides["mapping"] = dict(HELD_INTRINSICS)
    _check_stage(until)
    if not headless:
        typer.echo("The dashboard comes with a later version: running here, as with --headless.")

    from pipeline.commands import RunRequest
    from pipeline.inputs import GivenPaths
    from pipeline.settings import SettingsError, load_settings
    from pipeline.workspace import default_run_directory
    from tui.foreground import run_in_foreground

    try:
        settings = load_settings(config, assignments or (), overrides)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
    files = tuple(photos) if len(photos) > 1 else ()
    folder = photos[0].absolute().parent if files else photos[0]
    for file in files:
        if file.is_dir():
            hint = "Give one folder, or name the photographs themselves."
            raise WrongUsage("More than one folder", f"{file} is a folder.", hint)
    paths = GivenPaths(folder, files, _poses_file(poses), intrinsics)
    run_in_foreground(RunRequest(paths, out or default_run_directory(folder), settings, until))


def _check_stage(until: str | None) -> None:
    import difflib

    from pipeline.stages import STAGE_NAMES

    if until is not None and until not in STAGE_NAMES:
        nearest = difflib.get_close_matches(until, STAGE_NAMES, n=1, cutoff=0.4)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"Stages: {', '.join(STAGE_NAMES)}."
        raise WrongUsage("Unknown stage", f"--until: there is no stage {until}.", hint)


def _poses_file(poses: str) -> Path | None:
    if poses == "sfm":
        return None
    if poses == "none":
        raise WrongUsage(
            "Not in this version",
            "--poses none starts the radiance field from identity poses; that stage comes later.",
            "Use --poses sfm (the default) or --poses FILE.",
        )
    return Path(poses)
