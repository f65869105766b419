"""`barfield report`: what came out of a run, and why what did not."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or its name in runs/.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Show what came out of RUN, what became of every photograph, and what to try."""
    from pipeline.workspace import find_run, read_report
    from tui.report_view import show_report

    folder = find_run(run)
    content = read_report(folder)
    if as_json:
        typer.echo(json.dumps(content, indent=1))
    else:
        show_report(content, folder)
