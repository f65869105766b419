"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_RUN = "Run directory, its name in runs/, or the name of a run on this host."

Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN)]
OptionalRun = Annotated[str | None, typer.Argument(metavar="[RUN]", help=_RUN)]
Plain = Annotated[
    bool, typer.Option("--plain", help="Progress in plain lines, also in a terminal.")
]
NoPictures = Annotated[bool, typer.Option("--no-pictures", help="No pictures in the dashboard.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def named_path(text: str) -> Path:
    """A path that the user names. What is empty comes from a shell variable that is not set, and
    would be the current folder."""
    if not text:
        raise typer.BadParameter("it is empty.")
    return Path(text)


def confirmed(question: str, *, default: bool) -> bool:
    """Ask the user; Ctrl-C is an interruption as anywhere else."""
    try:
        return typer.confirm(question, default=default)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
