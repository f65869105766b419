"""`barfield run`: photographs to cameras, points and a radiance field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import NoPictures, Plain, confirmed, named_path
from tui.commands.starting import Detach, Headless, NoViewer, Port, StartOptions, Until
from tui.failures import WrongUsage

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.request import Change, GivenPaths
    from pipeline.stages import Route

HOLD = "Keep the intrinsics as they are given or guessed: sets all mapping.refine_* to off."
POSES = (
    "sfm: find the poses; FILE: COLMAP model, transforms.json, LLFF or a scene's ground truth; "
    "none: photographs that look one way, whose poses the radiance field finds."
)
DISCARD = "Go back from parameters that were changed while the run went on."


def run(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTOS",
            help="Folder of photographs, or a video, or photographs.",
            parser=named_path,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run directory; runs/NAME otherwise.", parser=named_path),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML configuration.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.FIELD=VALUE", help="Set one parameter; repeatable."),
    ] = None,
    until: Until = None,
    poses: Annotated[str, typer.Option(metavar="sfm|FILE|none", help=POSES)] = "sfm",
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
    headless: Headless = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    detach: Detach = None,
    no_viewer: NoViewer = False,
    port: Port = None,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask scheduler that shares the work.")
    ] = "",
    discard_changes: Annotated[bool, typer.Option("--discard-changes", help=DISCARD)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make cameras, points, meshes and a radiance field of PHOTOS.

    The run is a process of its own and goes on when the terminal closes. The same command goes on
    where a stopped or killed run was.
    """
    overrides: dict[str, dict[str, Any]] = {}
    if cameras is not None:
        overrides["ingest"] = {"cameras": cameras}
    if hold_intrinsics:
        from pipeline.settings import HELD_INTRINSICS

        overrides["mapping"] = dict(HELD_INTRINSICS)
    unposed = poses == "none"
    route: Route = "unposed" if unposed else "mapped"
    check_stage("--until", until, route)
    options = StartOptions(headless, plain, no_pictures, detach, no_viewer, port, as_json)

    from pipeline.request import RunRequest
    from pipeline.run_directory import default_run_directory
    from pipeline.settings import SettingsError, load_settings
    from tui.launch import make_room, refuse_other_photographs
    from tui.session import run_session

    try:
        settings = load_settings(config, assignments or (), overrides, route)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
    paths = _given_paths(photos, poses, intrinsics)
    root = (out or default_run_directory(paths.photos)).absolute()
    refuse_other_photographs(root, paths)
    make_room(root)
    changes = () if discard_changes else kept_changes(root, settings, as_json)
    request = RunRequest(
        paths=paths,
        out=root,
        kind="unposed" if unposed else "scene",
        config=settings,
        changes=changes,
        until=until,
        cluster=cluster,
    )
    run_session(request, options.manner())


def check_stage(option: str, stage: str | None, route: Route = "mapped") -> None:
    """Raises WrongUsage, naming the option, for a stage that is not one of the route; None is
    none."""
    import difflib

    from pipeline.stages import STAGE_NAMES, plan

    names = [entry.name for entry in plan(route=route)]
    if stage is not None and stage not in names:
        if stage in STAGE_NAMES:
            run = "a run without poses" if route == "unposed" else f"a {route} run"
            missing = f"{option}: {run} has no stage {stage}."
            raise WrongUsage("No such stage in this run", missing, f"Stages: {', '.join(names)}.")
        nearest = difflib.get_close_matches(stage, names, n=1, cutoff=0.4)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"Stages: {', '.join(names)}."
        raise WrongUsage("Unknown stage", f"{option}: there is no stage {stage}.", hint)


def route_of(root: Path) -> Route:
    """Which stages a run takes, by what was asked of it; all of mapping where nothing was."""
    from pipeline.run_directory import read_request

    request = read_request(root)
    return "mapped" if request is None else request.route


def _given_paths(photos: list[Path], poses: str, intrinsics: Path | None) -> GivenPaths:
    """The user's files as absolute paths: the engine has another current folder."""
    from pipeline.errors import PipelineError
    from pipeline.request import GivenPaths

    files = tuple(path.absolute() for path in photos) if len(photos) > 1 else ()
    poses_file = _poses_file(poses)
    for path in (*photos, poses_file, intrinsics):
        if path is not None and not path.exists():
            raise PipelineError("Not found", f"{path} does not exist.", "Check its spelling.")
    for file in files:
        if file.is_dir():
            hint = "Give one folder, or name the photographs themselves."
            raise WrongUsage("More than one folder", f"{file} is a folder.", hint)
    return GivenPaths(
        photos=files[0].parent if files else photos[0].absolute(),
        files=files,
        poses=None if poses_file is None else poses_file.absolute(),
        intrinsics=None if intrinsics is None else intrinsics.absolute(),
    )


def _poses_file(poses: str) -> Path | None:
    return None if poses in ("sfm", "none") else Path(poses)


def kept_changes(root: Path, settings: RunConfig, as_json: bool) -> tuple[Change, ...]:
    """What was changed while the run went on and is to hold; asks where there is a terminal."""
    import sys

    from pipeline.errors import PipelineError
    from pipeline.run_directory import read_request
    from tui.kept_changes import Doubt, reconcile

    def ask(doubt: Doubt) -> bool:
        asked = f"{doubt.parameter}: keep {doubt.kept!r} (set while it ran, by {doubt.by})"
        return confirmed(f"{asked}? n goes back to {doubt.asked!r}", default=True)

    def keep(doubt: Doubt) -> bool:
        typer.echo(
            f"{doubt.parameter} stays {doubt.kept!r}, set while it ran by {doubt.by}; "
            f"--discard-changes goes back to {doubt.asked!r}.",
            err=as_json,
        )
        return True

    try:
        before = read_request(root)
    except PipelineError as error:
        typer.echo(f"Changes that were made while it ran are lost: {error.message}", err=True)
        return ()
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    return reconcile(settings, before, ask if interactive else keep)
