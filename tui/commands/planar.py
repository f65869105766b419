"""`barfield planar`: the smallest demonstration of why coarse to fine works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.run import DISCARD, kept_changes
from tui.commands.starting import Detach
from tui.failures import WrongUsage

if TYPE_CHECKING:
    from pipeline.request import GivenPaths


def planar(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run directory; runs/planar-NAME otherwise.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="smooth-grid|barf|full|none",
            help="Only this method; repeatable. Otherwise all four.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the warps.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each network.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length of the whole, in place of --steps.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML configuration.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.FIELD=VALUE", help="Set one parameter; repeatable."),
    ] = None,
    detach: Detach = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Serve on 127.0.0.1 too.")
    ] = None,
    discard_changes: Annotated[bool, typer.Option("--discard-changes", help=DISCARD)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Align five patches of IMAGE while the image is learned, by several methods side by side.

    Each patch was moved by a homography that no method knows. Writes curves.json, curves.png and
    animation.gif to the run directory. The run is a process of its own and goes on when the
    terminal closes; the same command goes on where a stopped one was.
    """
    check_methods(methods or [])
    given = {"methods": methods or None, "seed": seed, "steps": steps, "minutes": minutes}
    overrides: dict[str, dict[str, Any]] = {
        "planar": {name: value for name, value in given.items() if value is not None}
    }

    from pipeline.errors import PipelineError
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import RUNS
    from pipeline.settings import SettingsError, load_settings
    from tui.launch import make_room, refuse_other_photographs
    from tui.session import Manner, attachment_of, run_session

    try:
        settings = load_settings(config, assignments or (), overrides)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
    if not image.is_file():
        found = "is a folder" if image.is_dir() else "does not exist"
        raise PipelineError("No image", f"{image} {found}.", "Give the path of one picture.")
    file = image.absolute()
    paths = GivenPaths(photos=file.parent, files=(file,))
    root = (out or RUNS / f"planar-{file.stem}").absolute()
    check_name(image, paths, root)
    refuse_other_photographs(root, paths)
    make_room(root)
    changes = () if discard_changes else kept_changes(root, settings, as_json)
    request = RunRequest(
        paths=paths,
        out=root,
        kind="planar",
        config=settings,
        changes=changes,
    )
    run_session(request, Manner(attachment_of(detach), port, as_json))


def check_name(image: Path, paths: GivenPaths, root: Path) -> None:
    """Raises PipelineError, before there is a run of it, for a file that is no picture by its
    name."""
    from pipeline.config import RunConfig
    from pipeline.errors import PipelineError
    from pipeline.inputs import find_files

    try:
        find_files(paths, RunConfig(), root)
    except PipelineError as error:
        raise PipelineError(
            "No image",
            f"{image} is no picture by its name: it ends in {image.suffix or 'no suffix'}.",
            "Give the path of one JPEG, PNG, TIFF or WebP picture, such as cat.jpg.",
        ) from error


def check_methods(methods: list[str]) -> None:
    """Raises WrongUsage, naming the nearest, for a method that there is not."""
    import difflib

    from pipeline.planar_config import PLANAR_METHODS

    for method in methods:
        if method not in PLANAR_METHODS:
            nearest = difflib.get_close_matches(method, PLANAR_METHODS, n=1, cutoff=0.4)
            known = f"Methods: {', '.join(PLANAR_METHODS)}."
            hint = f"Did you mean {nearest[0]}?" if nearest else known
            raise WrongUsage("Unknown method", f"--method: there is no method {method}.", hint)
