"""The command `barfield`. Commands import what they need when they run, so that help is instant."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import cast

import typer

from pipeline.errors import PipelineError, Stopped
from tui.commands.attach import attach
from tui.commands.compare import compare
from tui.commands.demo import demo
from tui.commands.log import log
from tui.commands.report import report
from tui.commands.run import run
from tui.commands.runs import ls, status
from tui.commands.set import set_parameters
from tui.commands.steer import checkpoint, pause, resume, retry, run_until, stop
from tui.failures import (
    INTERRUPTED,
    INTERRUPTION,
    STOP,
    WrongUsage,
    mute,
    show_crash,
    show_failure,
    show_failure_as_json,
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    run, attach, ls, status, pause, resume, stop, retry, checkpoint, run_until, set_parameters,
    log, report, compare, demo,
)  # fmt: skip
_NAMES = {run_until: "run-until", set_parameters: "set"}
# The base of all errors of usage; Typer has click's or, in later versions, its own.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a closed pipe, a terminal that has gone


def _show_version(wanted: bool) -> None:
    if wanted:
        from pipeline.version import VERSION

        typer.echo(f"barfield {VERSION}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and end."
    ),
) -> None:
    """Photographs in; cameras and a sparse model out."""


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
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for command in _COMMANDS:
        app.command(_NAMES.get(command))(command)
    return app


def _call(app: typer.Typer, as_json: bool) -> None:
    """Call a command; ends with SystemExit. Where JSON was asked for, wrong usage is an error as
    any other, and so is an interruption: stdout gets one document whatever happens."""
    if not as_json:
        app()
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        raise WrongUsage("Wrong usage", error.format_message()) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
        raise KeyboardInterrupt
    sys.exit(code)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    _open_closed_streams()
    # No plugin of pydantic is used, and looking for them reads the list of all packages.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    as_json = "--json" in sys.argv[1:]
    try:
        _call(build_app(), as_json)
    except PipelineError as error:
        sys.exit(show_failure_as_json(error) if as_json else show_failure(error))
    except (Stopped, KeyboardInterrupt) as end:
        if as_json:
            show_failure_as_json(STOP if isinstance(end, Stopped) else INTERRUPTION)
        sys.exit(INTERRUPTED)
    except Exception as error:  # the last resort: no traceback in the user's face
        if isinstance(error, OSError) and error.errno in _NOBODY_READS:
            mute()
            sys.exit(INTERRUPTED)
        sys.exit(show_crash(error))


if __name__ == "__main__":
    main()
