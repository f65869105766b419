"""`barfield attach`: follow a run from any terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from tui.commands.options import AsJson, OptionalRun


def attach(
    run: OptionalRun = None,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Only watch, as plain progress always does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Follow RUN, by default the newest one that is going on, until it ends.

    Ctrl-C only leaves. Ends with 0 where the run was done, 1 where it failed, 130 otherwise.
    """
    import sys

    from pipeline.events import ENDED
    from tui.following import follow, raise_unless_done
    from tui.progress import progress_display
    from tui.runs import no_engine, resolve_run, status_of
    from tui.session import show_outcome
    from tui.signals import leaving_on_signals

    status = status_of(resolve_run(run))
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
