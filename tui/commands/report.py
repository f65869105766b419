"""`barfield report`: what came out of a run, and why what did not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tui.commands.options import Run


def report(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what came out of RUN, what became of every photograph, and what to try."""
    from pipeline.run_directory import read_report
    from pipeline.scene_index import cloud_reports
    from tui.report_view import show_report
    from tui.runs import resolve_run
    from tui.words import near

    folder = resolve_run(run)
    content = {**read_report(folder), "clouds": cloud_reports(folder)}
    if as_json:
        typer.echo(json.dumps(content, indent=1))
    else:
        show_report(content, near(folder))
