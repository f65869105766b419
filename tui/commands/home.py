"""`barfield` alone: recent runs and a folder picker."""

from __future__ import annotations


def home() -> None:
    """Let the user choose a run or photographs, and show the run in the dashboard.

    Raises as `barfield attach` and `barfield run` do.
    """
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import default_run_directory
    from tui.address import FREE_PORT
    from tui.dashboard.start import choose
    from tui.session import Manner, run_session, watch_in_dashboard

    choice = choose()
    if choice is None:
        return
    if choice.run is not None:
        watch_in_dashboard(choice.run)
    elif choice.photos is not None:
        photos = choice.photos.absolute()
        out = default_run_directory(photos).absolute()
        request = RunRequest(paths=GivenPaths(photos=photos), out=out)
        run_session(request, Manner(port=FREE_PORT, dashboard=True))
