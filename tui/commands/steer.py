"""`barfield pause`, `stop`, `checkpoint`, `run-until`, `resume` and `retry`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import AsJson, NoPictures, Plain, Run, confirmed
from tui.commands.starting import Detach, Headless, NoViewer, Port, StartOptions, Until
from tui.failures import WRONG_USAGE, WrongUsage

if TYPE_CHECKING:
    from pipeline.engine.messages import Answer
    from pipeline.request import RunRequest
    from tui.runs import RunStatus

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Also where finished stages have to run again.")
]


def pause(run: Run, as_json: AsJson = False) -> None:
    """Pause RUN after the step at hand."""
    _order(run, {"op": "pause"}, as_json)


def stop(run: Run, as_json: AsJson = False) -> None:
    """Stop RUN after the step at hand; what is finished is kept."""
    from pipeline.events import ENDED
    from tui.client import EngineClient, EngineGone
    from tui.runs import no_engine, resolve_run, status_of

    status = status_of(resolve_run(run))
    if status.engine is None:
        raise no_engine(status)
    client = EngineClient(status.engine.socket)
    if status.engine.only_view:
        tell_answer(client.command({"op": "stop"}), as_json)
        return
    if status.state in ENDED:
        with suppress(EngineGone):
            client.command({"op": "stop"})  # it only stayed in case somebody wants to try again
        raise no_engine(status)
    tell_answer(client.command({"op": "stop"}), as_json)


def checkpoint(run: Run, as_json: AsJson = False) -> None:
    """Save a checkpoint of RUN after the step at hand."""
    _order(run, {"op": "checkpoint"}, as_json)


def run_until(
    run: Run,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Last stage; all: every stage.")],
    headless: Headless = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    detach: Detach = None,
    no_viewer: NoViewer = False,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Change which stage of RUN is the last; a run at rest goes on to that stage, and is followed
    as by `run`."""
    from tui.commands.run import check_stage, route_of
    from tui.runs import resolve_run, status_of

    options = StartOptions(headless, plain, no_pictures, detach, no_viewer, port, as_json)
    last = None if stage == "all" else stage
    root = resolve_run(run)
    check_stage("STAGE", last, route_of(root))
    status = status_of(root)
    if _is_at_rest(status):
        request = _recorded_request(status.root).model_copy(update={"until": last})
        _start(request, options)
    else:
        _tell(status, {"op": "run-until", "stage": last}, options)


def resume(
    run: Run,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="STAGE.FIELD=VALUE", help="Change a parameter of a run at rest."
        ),
    ] = None,
    until: Until = None,
    headless: Headless = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    detach: Detach = None,
    no_viewer: NoViewer = False,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Go on with RUN: after a pause, or where it was when its engine ended.

    A run at rest is followed as by `run`.
    """
    from tui.commands.run import check_stage, route_of
    from tui.runs import resolve_run, status_of

    options = StartOptions(headless, plain, no_pictures, detach, no_viewer, port, as_json)
    root = resolve_run(run)
    check_stage("--until", until, route_of(root))
    status = status_of(root)
    if _is_at_rest(status):
        _go_on(status, assignments or [], until, options)
        return
    if assignments:
        raise _at_work(status, "--set", f"set {status.name} {' '.join(assignments)}")
    if until is not None:
        raise _at_work(status, "--until", f"run-until {status.name} {until}")
    _tell(status, {"op": "resume"}, options)


def retry(
    run: Run,
    stage: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Run this stage and all after it again from the beginning, failed or not.",
        ),
    ] = None,
    yes: Yes = False,
    headless: Headless = False,
    plain: Plain = False,
    no_pictures: NoPictures = False,
    detach: Detach = None,
    no_viewer: NoViewer = False,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Try the failed stage of RUN again, from its checkpoint or its last item.

    A run at rest is followed as by `run`.
    """
    from tui.commands.run import check_stage, route_of
    from tui.runs import resolve_run, status_of

    options = StartOptions(headless, plain, no_pictures, detach, no_viewer, port, as_json)
    root = resolve_run(run)
    if stage is not None:
        check_stage("--from", stage, route_of(root))
        _retry_from(status_of(root), stage, yes, options)
        return
    status = status_of(root)
    if _is_at_rest(status):
        _go_on(status, [], None, options)
    else:
        _tell(status, {"op": "retry"}, options)


def tell_answer(answer: Answer, as_json: bool) -> None:
    """Print what the engine did. Raises PipelineError with its words if it refused."""
    from pipeline.errors import PipelineError

    if not answer.ok:
        raise PipelineError("Not possible", answer.message, answer.hint)
    typer.echo(json.dumps(answer.model_dump(mode="json"), indent=1) if as_json else answer.message)


def ask_for_reruns(answer: Answer, as_json: bool) -> None:
    """Ask whether the stages that an answer names shall run again. Ends the command where the user
    does not want it, or cannot be asked."""
    can_ask = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if can_ask and confirmed(f"{answer.message} Go on?", default=False):
        return
    told = answer.model_dump(mode="json")
    typer.echo(json.dumps(told, indent=1) if as_json else answer.message)
    typer.echo("Nothing was changed; --yes does it.", err=True)
    raise typer.Exit(WRONG_USAGE)


def _retry_from(status: RunStatus, stage: str, yes: bool, options: StartOptions) -> None:
    """Run a stage and all after it again, by the engine that is at work or by a new one."""
    from tui.client import EngineClient, EngineGone
    from tui.launch import make_room
    from tui.retry_at_rest import begin_anew, stages_to_repeat
    from tui.runs import no_engine, status_of

    if _is_at_rest(status):
        request = _recorded_request(status.root)
        answer = stages_to_repeat(request, stage)
        if not answer.reruns:
            tell_answer(answer, options.as_json)
        if not yes:
            ask_for_reruns(answer, options.as_json)
        make_room(status.root)
        begin_anew(status.root, request, stage)
        _start(request, options)
        return
    if status.engine is None:
        raise no_engine(status)
    _refuse_port(status, options)
    client = EngineClient(status.engine.socket)
    command = {"op": "retry", "stage": stage, "confirm": yes}
    answer = client.command(command)
    if answer.reruns and not answer.ok:
        ask_for_reruns(answer, options.as_json)
        try:
            answer = client.command({**command, "confirm": True})
        except EngineGone as error:  # a run that is done does not wait for answers
            raise no_engine(status_of(status.root)) from error
    tell_answer(answer, options.as_json)


def _order(run: str, command: dict[str, Any], as_json: bool) -> None:
    """Give a command to the living engine of a run."""
    from tui.client import EngineClient
    from tui.runs import engine_of, resolve_run

    engine = engine_of(resolve_run(run))
    tell_answer(EngineClient(engine.socket).command(command), as_json)


def _is_at_rest(status: RunStatus) -> bool:
    """Whether a new engine has to be started for a run; an engine that only stays for a while
    after the end of the run makes room for it.

    Raises PipelineError where an engine is at work that cannot be reached from here.
    """
    from pipeline.events import ENDED
    from tui.runs import no_engine

    if status.engine is not None:
        return status.state in ENDED
    if status.elsewhere or status.state == "silent":
        raise no_engine(status)
    return True


def _tell(status: RunStatus, command: dict[str, Any], options: StartOptions) -> None:
    """Give a command to the engine of a run, which has one."""
    from tui.client import EngineClient
    from tui.runs import no_engine

    if status.engine is None:
        raise no_engine(status)
    _refuse_port(status, options)
    tell_answer(EngineClient(status.engine.socket).command(command), options.as_json)


def _refuse_port(status: RunStatus, options: StartOptions) -> None:
    """Raises WrongUsage where a port is wanted of an engine that is there already."""
    if options.port is not None:
        raise _at_work(status, "--port", f"view {status.name} --port {options.port}")


def _at_work(status: RunStatus, option: str, instead: str) -> WrongUsage:
    """The error for an option that an engine at work has no use for, with the command that has."""
    return WrongUsage(
        f"{option} is for a run at rest",
        f"{status.name} has a living engine; it is {status.state}.",
        f"barfield {instead}",
    )


def _go_on(
    status: RunStatus, assignments: list[str], until: str | None, options: StartOptions
) -> None:
    """Start a new engine with what was asked of the run before, some parameters changed, and
    another last stage if there is one."""
    from pipeline.errors import PipelineError
    from pipeline.settings import SettingsError
    from tui.kept_changes import with_assignments

    request = _recorded_request(status.root)
    if until is not None:
        request = request.model_copy(update={"until": until})
    elif status.state == "done" and not assignments:
        raise PipelineError(
            "The run is done",
            f"{status.root} has all that was asked for.",
            f"Change a parameter with --set, go on with `barfield run-until {status.name} STAGE`, "
            "or see what came out with `barfield report`.",
        )
    try:
        logged = 0 if status.view is None else status.view.revision
        request = with_assignments(request, assignments, logged)
    except SettingsError as error:
        raise WrongUsage(error.title, error.message, error.hint) from error
    _start(request, options)


def _start(request: RunRequest, options: StartOptions) -> None:
    from tui.session import run_session

    run_session(request, options.manner())


def _recorded_request(root: Path) -> RunRequest:
    """What a run was asked to do. Raises PipelineError where that is not recorded."""
    from pipeline.errors import PipelineError
    from pipeline.run_directory import read_request

    request = read_request(root)
    if request is None:
        raise PipelineError(
            "Nothing to go on with",
            f"{root} does not say what was asked of the run.",
            f"Start it with `barfield run PHOTOS --out {root}`; what is done is kept.",
        )
    return request.model_copy(update={"out": root})  # the folder may have been moved since
