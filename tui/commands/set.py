"""`barfield set`: change parameters while the run goes on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tui.commands.options import AsJson, Run
from tui.commands.steer import Yes, ask_for_reruns, tell_answer
from tui.failures import WrongUsage


def set_parameters(
    run: Run,
    assignments: Annotated[
        list[str], typer.Argument(metavar="STAGE.FIELD=VALUE...", help="The new values.")
    ],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Change parameters of RUN while it goes on.

    What can be applied between two steps is; otherwise the stage runs again, and all after it.
    """
    from pipeline.settings import SettingsError
    from tui.client import EngineClient, EngineGone
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
        ask_for_reruns(answer, as_json)
        # Only if nobody else has changed anything since the question.
        repeated = {**command, "confirm": True, "base_revision": answer.revision}
        try:
            answer = client.command(repeated)
        except EngineGone as error:  # a run that is done does not wait for answers
            raise no_engine(status_of(root)) from error
    tell_answer(answer, as_json)
