"""`barfield pause`, `stop`, `checkpoint`, `run-until`, `resume` and `retry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import AsJson, Run
from tui.failures import WrongUsage

if TYPE_CHECKING:
    from pipeline.engine.messages import Answer
    from pipeline.request import RunRequest

Detach = Annotated[
    bool | None,
    typer.Option("--detach/--no-detach", help="Where a new engine has to be started: as for run."),
]


def pause(run: Run, as_json: AsJson = False) -> None:
    """Pause RUN after the step at hand."""
    _order(run, {"op": "pause"}, as_json)


def stop(run: Run, as_json: AsJson = False) -> None:
    """Stop RUN after the step at hand; what is finished is kept."""
    _order(run, {"op": "stop"}, as_json)


def checkpoint(run: Run, as_json: AsJson = False) -> None:
    """Save a checkpoint of RUN after the step at hand."""
    _order(run, {"op": "checkpoint"}, as_json)


def run_until(
    run: Run,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Last stage; all: every stage.")],
    as_json: AsJson = False,
) -> None:
    """Change which stage of RUN is the last."""
    from tui.commands.run import check_stage

    last = None if stage == "all" else stage
    check_stage("STAGE", last)
    _order(run, {"op": "run-until", "stage": last}, as_json)


def resume(
    run: Run,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="STAGE.FIELD=VALUE", help="Change a parameter of a run at rest."
        ),
    ] = None,
    detach: Detach = None,
    as_json: AsJson = False,
) -> None:
    """Go on with RUN: after a pause, or where it was when its engine ended."""
    _go_on(run, "resume", assignments or [], detach, as_json)


def retry(run: Run, detach: Detach = None, as_json: AsJson = False) -> None:
    """Try the failed stage of RUN again, from its checkpoint or its last item."""
    _go_on(run, "retry", [], detach, as_json)


def tell_answer(answer: Answer, as_json: bool) -> None:
    """Print what the engine did. Raises PipelineError with its words if it refused."""
    from pipeline.errors import PipelineError

    if not answer.ok:
        raise PipelineError("Not possible", answer.message, answer.hint)
    typer.echo(json.dumps(answer.model_dump(mode="json"), indent=1) if as_json else answer.message)


def _order(run: str, command: dict[str, Any], as_json: bool) -> None:
    """Give a command to the living engine of a run."""
    from tui.client import EngineClient
    from tui.runs import engine_of, resolve_run

    engine = engine_of(resolve_run(run))
    tell_answer(EngineClient(engine.socket).command(command), as_json)


def _go_on(run: str, op: str, assignments: list[str], detach: bool | None, as_json: bool) -> None:
    """Give the command to the living engine, or start a new one with what was asked before."""
    from tui.client import EngineClient
    from tui.runs import no_engine, resolve_run, status_of
    from tui.session import Manner, attachment_of, run_session

    status = status_of(resolve_run(run))
    if status.engine is None:
        if status.elsewhere or status.state == "silent":
            raise no_engine(status)
        request = _recorded_request(status.root, assignments, is_done=status.state == "done")
        run_session(request, Manner(attachment_of(detach), as_json=as_json))
        return
    if assignments:
        raise WrongUsage(
            "--set is for a run at rest",
            f"{status.name} has a living engine; it is {status.state}.",
            f"barfield set {status.name} {' '.join(assignments)}",
        )
    tell_answer(EngineClient(status.engine.socket).command({"op": op}), as_json)


def _recorded_request(root: Path, assignments: list[str], *, is_done: bool) -> RunRequest:
    """What a run was asked to do, with some parameters changed."""
    from pipeline.errors import PipelineError
    from pipeline.run_directory import read_request
    from pipeline.settings import SettingsError
    from tui.kept_changes import with_assignments

    request = read_request(root)
    if request is None:
        raise PipelineError(
            "Nothing to go on with",
            f"{root} does not say what was asked of the run.",
            f"Start it with `barfield run PHOTOS --out {root}`; what is done is kept.",
        )
    if is_done and not assignments:
        raise PipelineError(
            "The run is done",
            f"{root} has all that was asked for.",
            "Change a parameter with --set, or see what came out with `barfield report`.",
        )
    try:
        # The folder may have been moved since.
        return with_assignments(request.model_copy(update={"out": root}), assignments)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
