"""`barfield attach`: the dashboard of a run, or its progress in lines, from any terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from tui.commands.options import AsJson, NoPictures, OptionalRun, Plain


def attach(
    run: OptionalRun = None,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Only watch: nothing can be changed by accident.")
    ] = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    as_json: AsJson = False,
) -> None:
    """Look at RUN, by default the newest one that is going on, in the dashboard.

    With --plain, --json or without a terminal: follow it in lines until it ends; Ctrl-C only
    leaves. Ends with 0 where the run was done, 1 where it failed, 130 otherwise.
    """
    import sys

    from pipeline.events import ENDED
    from tui.dashboard.start import can_show
    from tui.following import follow, raise_unless_done
    from tui.progress import progress_display
    from tui.runs import no_engine, resolve_run, status_of
    from tui.session import show_outcome, watch_in_dashboard
    from tui.signals import leaving_on_signals

    root = resolve_run(run)
    if can_show() and not (plain or as_json):
        watch_in_dashboard(root, readonly=readonly, pictures=not no_pictures)
        return
    status = status_of(root)
    view = status.view
    if status.engine is not None:
        stream = sys.stderr if as_json else sys.stdout
        try:
            with leaving_on_signals(), progress_display(stream) as display:
                view = follow(status.engine, display)
        except KeyboardInterrupt:
            typer.echo(
                f"{status.name} goes on. `barfield attach {status.name}` comes back, `barfield "
                f"stop {status.name}` ends it.",
                err=as_json,
            )
            raise
    elif status.state not in ENDED:
        raise no_engine(status)
    if view is not None:
        raise_unless_done(view)
    show_outcome(status.root, as_json)
