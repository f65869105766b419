"""Opening the dashboard from the command line, and leaving it with a word about the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.messages import RunView
from pipeline.errors import PipelineError
from tui.words import one_line

if TYPE_CHECKING:
    from tui.dashboard.opening import Choice

_WITHOUT_CURSOR = ("", "dumb", "unknown")
_LONGEST_NAME = 80
# Read by Textual when it is imported. Over a slow link every frame and every byte counts.
_TEXTUAL = {
    "TEXTUAL_FPS": "15",
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_SMOOTH_SCROLL": "0",
}


def can_show(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process has a terminal that a dashboard can draw on."""
    drawable = environment.get("TERM", "") not in _WITHOUT_CURSOR
    return drawable and sys.stdin.isatty() and sys.stdout.isatty()


def show_run(root: Path, *, readonly: bool = False, pictures: bool = True) -> RunView | None:
    """Show a run until the user leaves; its state if it had come to its end by then, else None,
    after a word about how to come back.

    Raises PipelineError where the dashboard broke, after its traceback was printed.
    """
    _prepare()
    from tui.dashboard.app import DashboardApp
    from tui.dashboard.collector import IdleCollector
    from tui.dashboard.link import Link, Pace
    from tui.dashboard.look import environment_look
    from tui.dashboard.system import SystemReader

    look = environment_look()
    if not pictures:
        look = look.without_pictures()
    link = Link(root, pace=Pace(picture=look.picture_s), pictures=look.pictures)
    app = DashboardApp(
        link,
        look=look,
        readonly=readonly,
        sampler=SystemReader(root),
        collector=IdleCollector(),
    )
    outcome = app.run()
    name = one_line(root.name, _LONGEST_NAME)
    if app.return_code:  # Textual has printed the traceback
        raise PipelineError(
            "The dashboard broke down",
            f"A fault of the program. The run {name} does not know of it, and goes on.",
            f"`barfield attach {name} --plain` follows it without the dashboard.",
        )
    if outcome == "ended":
        return app.model.view
    print(
        f"{name} goes on. `barfield attach {name}` comes back, `barfield stop {name}` ends it."
        if app.model.connection.state in ("live", "silent")
        else f"`barfield attach {name}` comes back, `barfield resume {name}` goes on with it."
    )
    return None


def choose() -> Choice | None:
    """Let the user choose a run to look at or photographs to begin with; None: neither."""
    _prepare()
    from tui.dashboard.look import environment_look
    from tui.dashboard.opening import OpeningApp

    app = OpeningApp(environment_look())
    choice = app.run()
    if app.return_code:
        raise PipelineError("The dashboard broke down", "A fault of the program.", "")
    return choice


def _prepare() -> None:
    for name, value in _TEXTUAL.items():
        os.environ.setdefault(name, value)
