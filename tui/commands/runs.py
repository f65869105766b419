"""`barfield ls` and `barfield status`: how runs stand."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import typer

from tui.commands.options import AsJson, OptionalRun

if TYPE_CHECKING:
    from tui.runs import RunStatus

_NEWEST_WARNINGS = 5


def ls(as_json: AsJson = False) -> None:
    """List all runs of this host: state, stage, progress, age and folder."""
    from pipeline.engine.runtime import known_runs
    from tui.runs import status_in_list

    found = [status_in_list(run.root) for run in known_runs()]
    if as_json:
        typer.echo(json.dumps([status.to_json() for status in found], indent=1))
    elif not found:
        typer.echo("No run was started on this host. Start one: barfield run PHOTOS")
    else:
        from tui.words import as_columns

        head = ("run", "state", "stage", "progress", "started", "where")
        typer.echo("\n".join(as_columns([head, *map(_row, found)])))


def status(run: OptionalRun = None, as_json: AsJson = False) -> None:
    """Show how RUN, by default the newest one, stands: stages, progress, newest warnings."""
    from tui.runs import resolve_run, status_of

    found = status_of(resolve_run(run))
    if as_json:
        view = found.view.model_dump(mode="json") if found.view is not None else None
        typer.echo(json.dumps({**found.to_json(), "view": view}, indent=1))
    else:
        typer.echo("\n".join(_lines(found)))


def _row(status: RunStatus) -> tuple[str, ...]:
    from tui.runs import share_done, stage_at_hand
    from tui.words import duration_in_words, one_line

    view = status.view
    age = f"{duration_in_words(time.time() - view.started)} ago" if view is not None else ""
    where = f"{status.host}:{status.root}" if status.elsewhere else str(status.root)
    return (
        one_line(status.name, 40),
        status.state,
        stage_at_hand(view),
        f"{share_done(view):.0%}",
        age,
        one_line(where, 200),
    )


def _lines(status: RunStatus) -> list[str]:
    from pipeline.events import ENDED
    from tui.words import as_columns, duration_in_words, one_line, progress_in_words

    view, host = status.view, f" on {status.host}" if status.elsewhere else ""
    process = f", process {status.engine.identity.pid}" if status.engine is not None else ""
    lines = [one_line(f"{status.name}: {status.state}{host}{process}, {status.root}", 300)]
    if view is None:
        return lines
    lines += [f"  {one_line(text, 500)}" for text in (view.why, view.hint) if text]
    ran = "ran for" if status.engine is None or status.state in ENDED else "running for"
    lines.append(
        f"  {ran} {duration_in_words(view.seconds)}, parameters at revision {view.revision}"
    )
    rows = []
    for stage in view.stages:
        seconds = f"{stage.seconds:.1f} s" if stage.seconds else ""
        words = progress_in_words(stage) if stage.state == "started" else one_line(stage.why, 200)
        rows.append(("", stage.name, stage.state, seconds, words))
    lines += as_columns(rows) if rows else []
    lines += [f"  warning: {one_line(text, 300)}" for text in view.warnings[-_NEWEST_WARNINGS:]]
    return lines
