"""`barfield` alone: recent runs and a folder picker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.request import RunRequest


def home() -> None:
    """Let the user choose a run or photographs, and show the run in the dashboard.

    Raises as `barfield attach` and `barfield run` do.
    """
    from tui.address import FREE_PORT
    from tui.dashboard.start import choose
    from tui.session import Manner, run_session, watch_in_dashboard

    choice = choose()
    if choice is None:
        return
    if choice.run is not None:
        watch_in_dashboard(choice.run)
    elif choice.photos is not None:
        run_session(request_for(choice.photos), Manner(port=FREE_PORT, dashboard=True))


def request_for(photos: Path) -> RunRequest:
    """What `barfield run PHOTOS` asks for: a run of these photographs before keeps what was changed
    while it went on. Raises PipelineError where that one goes on still, or is of others."""
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import default_run_directory
    from tui.commands.run import kept_changes
    from tui.launch import make_room, refuse_other_photographs

    photos = photos.absolute()
    request = RunRequest(
        paths=GivenPaths(photos=photos), out=default_run_directory(photos).absolute()
    )
    refuse_other_photographs(request.out, request.paths)
    make_room(request.out)
    changes = kept_changes(request.out, request.config, as_json=False)
    return request.model_copy(update={"changes": changes})
