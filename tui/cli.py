"""The command `barfield`. Commands import what they need when they run, so that help is instant."""

from __future__ import annotations

import os
import sys

import typer

from pipeline.errors import PipelineError, Stopped
from tui.commands.compare import compare
from tui.commands.demo import demo
from tui.commands.report import report
from tui.commands.run import run
from tui.failures import INTERRUPTED, show_crash, show_failure


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


def build_app() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="barfield",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for command in (run, report, compare, demo):
        app.command()(command)
    return app


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    # The stages run items side by side and their kernels on all cores: threads of the BLAS would
    # fight them for the cores. OpenBLAS reads this once, when numpy is first imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        build_app()()
    except PipelineError as error:
        sys.exit(show_failure(error))
    except (Stopped, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:  # the last resort: no traceback in the user's face
        sys.exit(show_crash(error))


if __name__ == "__main__":
    main()
