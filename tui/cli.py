"""The command `barfield`. Commands import what they need when they run, so that help is instant."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import cast

import typer

from pipeline.errors import PipelineError, Stopped
from tui.commands.attach import attach
from tui.commands.bench import bench
from tui.commands.compare import compare
from tui.commands.demo import demo
from tui.commands.eval import evaluate
from tui.commands.export import export
from tui.commands.log import log
from tui.commands.planar import planar
from tui.commands.render import render
from tui.commands.report import report
from tui.commands.run import run
from tui.commands.runs import ls, status
from tui.commands.set import set_parameters
from tui.commands.steer import checkpoint, pause, resume, retry, run_until, stop
from tui.commands.view import view
from tui.failures import (
    INTERRUPTED,
    INTERRUPTION,
    STOP,
    WRONG_USAGE,
    WrongUsage,
    is_of_output,
    show_crash,
    show_failure,
    show_failure_as_json,
    show_unwritten,
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    run, attach, view, ls, status, pause, resume, stop, retry, checkpoint, run_until,
    set_parameters, log, report, compare, evaluate, bench, render, export, planar,
    demo,
)  # fmt: skip
_NAMES = {run_until: "run-until", set_parameters: "set", evaluate: "eval"}
# The base of all errors of usage; Typer has click's or, in later versions, its own.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pipeline.version import VERSION

        typer.echo(f"barfield {VERSION}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and end."
    ),
) -> None:
    """Photographs in; cameras, points, meshes and a radiance field out."""
    if context.invoked_subcommand is not None:
        return
    from tui.commands.home import home
    from tui.dashboard.start import can_show

    if not can_show():
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)
    home()


def _open_closed_streams() -> None:
    """Let the standard streams that are closed (`>&-`) lead nowhere: the next files and pipes would
    get their numbers, and be taken for them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode))


def build_app() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="barfield",
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for command in _COMMANDS:
        app.command(_NAMES.get(command))(command)
    return app


def _call(app: typer.Typer, as_json: bool) -> int:
    """Call a command; its exit code. Where JSON was asked for, wrong usage is an error as any
    other, and so is an interruption: stdout gets one document whatever happens."""
    if not as_json:
        try:
            app()
        except SystemExit as end:
            return int(end.code or 0)
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        raise WrongUsage("Wrong usage", error.format_message()) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
        raise KeyboardInterrupt
    return int(code or 0)


def _call_and_tell(as_json: bool) -> int:
    """Call a command, and tell what is wrong if it fails; the exit code. Raises OSError where the
    standard streams take nothing."""
    try:
        return _call(build_app(), as_json)
    except PipelineError as error:
        return show_failure_as_json(error) if as_json else show_failure(error)
    except (Stopped, KeyboardInterrupt) as end:
        if as_json:
            show_failure_as_json(STOP if isinstance(end, Stopped) else INTERRUPTION)
        return INTERRUPTED
    except Exception as error:  # the last resort: no traceback in the user's face
        if is_of_output(error):
            raise
        return show_crash(error, as_json)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    _open_closed_streams()
    # No plugin of pydantic is used, and looking for them reads the list of all packages.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        code = _call_and_tell("--json" in sys.argv[1:])
        sys.stdout.flush()  # at the interpreter's own end nobody could tell what is wrong
    except OSError as error:
        code = show_unwritten(error)
    sys.exit(code)


if __name__ == "__main__":
    main()
