"""`barfield demo`: the sample scene, end to end."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tui.commands.options import named_path

QUICK = (
    "features.max_keypoints=2048",
    "radiance.minutes=1",
    "depth.size_px=320",
    "mesh.texture_px=2048",
)
_NAME = "barfield"
_WIDTH = 21  # of what stands before the results, their errors and the commands
_RESULTS = (
    ("cameras and points", "sparse/0"),
    ("the same, corrected", "sparse/refined"),
    ("quick mesh", "draft/mesh.ply"),
    ("depth maps", "depth"),
    ("dense cloud", "mesh/fused.ply"),
    ("mesh", "mesh/mesh.ply"),
    ("mesh with a texture", "mesh/textured/mesh.obj"),
    ("radiance field", "radiance"),
)


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help=f"In a few minutes: {', '.join(QUICK)}.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run directory; runs/desk otherwise.", parser=named_path),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard and no viewer.")] = (
        False
    ),
) -> None:
    """Run the sample scene of the source checkout and compare it with its ground truth.

    On a terminal the dashboard stays until you press q; without one it prints plain lines. The
    viewer's server ends with it.
    """
    from pipeline import commands
    from pipeline.errors import PipelineError
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import default_run_directory
    from pipeline.settings import load_settings
    from tui.address import FREE_PORT
    from tui.dashboard.start import can_show
    from tui.launch import make_room, refuse_other_photographs
    from tui.report_view import errors_in_short
    from tui.session import Manner, run_session

    scene = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk"
    if not (scene / "images").is_dir():
        raise PipelineError(
            "No sample scene",
            f"{scene} holds no photographs.",
            "The sample scene is part of the source checkout: clone the repository.",
        )
    settings = load_settings(assignments=QUICK if quick else [])
    root = (out or default_run_directory(scene)).absolute()
    request = RunRequest(paths=GivenPaths(photos=scene), out=root, config=settings)
    refuse_other_photographs(root, request.paths)
    port = None if headless else FREE_PORT
    if not run_session(request, Manner(port=port, dashboard=can_show() and not headless)):
        return
    make_room(root)  # a browser that looks on would keep the engine
    _make_truth(scene)
    print("\nComparing the results with the ground truth.", flush=True)
    _show("Against the ground truth", errors_in_short(commands.compare(root, scene)))
    _show_ways_on(root)


def _make_truth(scene: Path) -> None:
    """The true geometry of the scene, where it was not made before.

    Raises PipelineError where it cannot be made.
    """
    from pipeline.errors import PipelineError

    photographs = len(list((scene / "images").iterdir()))
    if len(list((scene / "truth").glob("*_depth_m.npy"))) == photographs:
        return
    print("\nWorking out the true geometry of the scene, to compare with.", flush=True)
    order = [sys.executable, "-m", "sample_scenes.render", scene.name, "--truth-only"]
    made = subprocess.run(order, cwd=scene.parents[1], capture_output=True, text=True, check=False)
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise PipelineError(
            "No ground truth",
            f"The true geometry of {scene.name} could not be made: {last}.",
            "The run itself is done; `barfield compare` takes its cameras alone.",
        )


def _show_ways_on(out: Path) -> None:
    """Where the results are, and the commands to type next."""
    from tui.words import near

    run = near(out)
    made = [(what, str(run / path)) for what, path in _RESULTS if (out / path).exists()]
    _show("Results", made)
    program, name = _program(), shlex.quote(str(run))
    _show(
        "The viewer's server has stopped with the run. To look again, and to go on:",
        [
            ("in a browser", f"{program} view {name}"),
            ("in the terminal", f"{program} attach {name}"),
            ("in numbers", f"{program} report {name}"),
            ("in other programs", f"{program} export {name} --format colmap"),
            ("your photographs", f"{program} run FOLDER_OF_PHOTOGRAPHS"),
        ],
    )


def _show(title: str, rows: Sequence[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for what, words in rows:
        print(f"  {what:<{_WIDTH}}{words}")


def _program() -> str:
    """What to type for this program: its name where the shell finds it, else its path."""
    from tui.words import near

    own = Path(sys.executable).with_name(_NAME)
    found = shutil.which(_NAME)
    is_found = found is not None and Path(found).resolve() == own.resolve()
    return _NAME if is_found or not own.exists() else shlex.quote(str(near(own)))
