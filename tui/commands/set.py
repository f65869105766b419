"""`barfield set`: change parameters while the run goes on."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from tui.commands.options import AsJson, Run, confirmed
from tui.failures import WRONG_USAGE, WrongUsage


def set_parameters(
    run: Run,
    assignments: Annotated[
        list[str], typer.Argument(metavar="STAGE.FIELD=VALUE...", help="The new values.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also where finished stages have to run again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change parameters of RUN while it goes on.

    What can be applied between two steps is; otherwise the stage runs again, and all after it.
    """
    from pipeline.settings import SettingsError
    from tui.client import EngineClient, EngineGone
    from tui.commands.steer import tell_answer
    from tui.kept_changes import assigned
    from tui.runs import engine_of, no_engine, resolve_run, status_of

    try:
        changes = assigned(assignments)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
    root = resolve_run(run)
    client = EngineClient(engine_of(root).socket)
    command: dict[str, Any] = {"op": "set", "changes": changes}
    answer = client.command({**command, "confirm": yes})
    if answer.reruns and not answer.ok:
        if not _confirmed(answer.message, as_json):
            told = answer.model_dump(mode="json")
            typer.echo(json.dumps(told, indent=1) if as_json else answer.message)
            typer.echo("Nothing was changed; --yes does it.", err=True)
            raise typer.Exit(WRONG_USAGE)
        # Only if nobody else has changed anything since the question.
        repeated = {**command, "confirm": True, "base_revision": answer.revision}
        try:
            answer = client.command(repeated)
        except EngineGone as error:  # a run that is done does not wait for answers
            raise no_engine(status_of(root)) from error
    tell_answer(answer, as_json)


def _confirmed(question: str, as_json: bool) -> bool:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return confirmed(f"{question} Go on?", default=False)
