"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

_RUN = "Run directory, its name in runs/, or the name of a run on this host."

Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN)]
OptionalRun = Annotated[str | None, typer.Argument(metavar="[RUN]", help=_RUN)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
