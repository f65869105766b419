"""`barfield demo`: the sample scene, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

QUICK = ("features.max_keypoints=2048", "radiance.minutes=1")


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help=f"In little time: {', '.join(QUICK)}.")
    ] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard and no viewer.")] = (
        False
    ),
) -> None:
    """Run the sample scene of the source checkout and compare it with its ground truth."""
    from pipeline import commands
    from pipeline.errors import PipelineError
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import default_run_directory, read_report
    from pipeline.settings import load_settings
    from tui.address import FREE_PORT
    from tui.dashboard.start import can_show
    from tui.report_view import show_comparison, show_report
    from tui.session import Manner, run_session

    scene = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk"
    if not (scene / "images").is_dir():
        raise PipelineError(
            "No sample scene",
            f"{scene} holds no photographs.",
            "The sample scene is part of the source checkout: clone the repository.",
        )
    settings = load_settings(assignments=QUICK if quick else [])
    out = default_run_directory(scene)
    paths = GivenPaths(photos=scene)
    request = RunRequest(paths=paths, out=out.absolute(), config=settings)
    if run_session(
        request, Manner(port=None if headless else FREE_PORT, dashboard=can_show() and not headless)
    ):
        show_report(read_report(out), out)
        show_comparison(commands.compare(out, scene))
