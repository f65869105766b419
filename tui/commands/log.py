"""`barfield log`: what the stages and the engine of a run print."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from tui.commands.options import AsJson, Run
from tui.failures import WrongUsage

ENGINE = "engine"
_SECONDS_BETWEEN_LOOKS = 0.25


def log(
    run: Run,
    stage: Annotated[
        str | None,
        typer.Argument(
            metavar="[STAGE]", help=f"Whose log, or {ENGINE}; by default the stage at hand."
        ),
    ] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=1000, help="How many.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the last lines that a stage of RUN printed."""
    from pipeline.engine.deaths import last_lines
    from pipeline.run_directory import stage_log
    from tui.commands.run import check_stage, route_of
    from tui.runs import resolve_run, stage_at_hand, status_of

    if follow and as_json:
        raise WrongUsage("Not together", "--follow and --json: JSON is one document.", "")
    root = resolve_run(run)
    if stage != ENGINE:
        check_stage("STAGE", stage, route_of(root))
    name = stage or stage_at_hand(status_of(root).view) or ENGINE
    path = root / "engine.log" if name == ENGINE else stage_log(root, name)
    if follow:
        _follow(root, path, lines)
        return
    told = last_lines(path, lines)
    if as_json:
        typer.echo(json.dumps({"stage": name, "lines": told}, indent=1))
    else:
        typer.echo("\n".join(told) or f"{path} is empty or not there yet.", err=not told)


def _follow(root: Path, path: Path, lines: int) -> None:
    """Print the last lines, then what is added, until the engine has ended or Ctrl-C."""
    from pipeline.engine.runtime import find_engine
    from tui.log_tail import LogTail

    tail = LogTail(path)
    told = tail.new_lines()[-lines:]
    try:
        while True:
            for line in told:
                typer.echo(line)
            alive = find_engine(root) is not None
            told = tail.new_lines()
            if not (alive or told):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        return
