"""A run from its start to its outcome, as `barfield run` shows it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.engine.messages import RunView
from pipeline.engine.runtime import EngineFile
from pipeline.errors import PipelineError
from pipeline.request import RunRequest
from pipeline.run_directory import read_report
from tui.address import address_lines, url_of
from tui.client import EngineClient, EngineGone
from tui.failures import INTERRUPTION, failure_as_json, mute
from tui.following import follow, raise_unless_done
from tui.launch import Started, start_engine
from tui.progress import Silence, progress_display
from tui.signals import stopping_on_interrupt
from tui.words import near, one_line

# follow: watch a run that outlives the terminal; leave: only start it; hold: it ends with us.
Attachment = Literal["follow", "leave", "hold"]
_LONGEST_NAME = 80
_GREETINGS = {
    "follow": "It outlives this terminal (`barfield attach {run}` comes back); Ctrl-C stops it.",
    "leave": "It goes on in the background; watch it with `barfield attach {run}`.",
    "hold": "It ends with this command; Ctrl-C stops it.",
}


@dataclass(frozen=True)
class Manner:
    """How a run is started and watched. port: of its server on 127.0.0.1, FREE_PORT for the first
    free one, None for none.

    dashboard: follow it there instead of in plain lines. pictures: with small ones.
    """

    attachment: Attachment = "follow"
    port: int | None = None
    as_json: bool = False
    dashboard: bool = False
    pictures: bool = True


def attachment_of(detach: bool | None) -> Attachment:
    """What `--detach`, `--no-detach` or neither of them means."""
    return "follow" if detach is None else "leave" if detach else "hold"


def run_session(request: RunRequest, manner: Manner) -> bool:
    """Start a run, follow it unless it is to be left, and show what came out. Whether it has come
    to its end; otherwise it goes on.

    Raises PipelineError where it failed or no model came out, Stopped where it was stopped.
    """
    started = start_engine(request, tied=manner.attachment == "hold", port=manner.port)
    if manner.attachment == "leave":
        _introduce(started.engine, manner)
        return False
    if manner.dashboard and manner.attachment == "follow":
        return watch_in_dashboard(started.engine.root, pictures=manner.pictures)
    raise_unless_done(_watch(started, manner))
    show_outcome(started.engine.root, manner.as_json)
    return True


def watch_in_dashboard(root: Path, *, readonly: bool = False, pictures: bool = True) -> bool:
    """Show a run in the dashboard until the user leaves, and then what came out, if it had ended.
    Whether it had. Raises as `run_session`."""
    from tui.dashboard.start import show_run

    view = show_run(root, readonly=readonly, pictures=pictures)
    if view is None:
        return False
    raise_unless_done(view)
    show_outcome(root, as_json=False)
    return True


def show_outcome(root: Path, as_json: bool) -> None:
    """Show what came out of a run that has come to its end, in a few lines or as JSON.

    Raises PipelineError if that is no model.
    """
    report = read_report(root)
    if not as_json:
        from tui.report_view import show_summary

        show_summary(report, near(root))
    if report["complete"] and "mapping" in report["seconds"] and not report["models"]:
        raise PipelineError(
            "No model came out",
            f"none of the {report['images']} photographs could be registered",
            f"barfield report {near(root)} says why, photograph by photograph.",
        )
    if as_json:
        print(json.dumps(report, indent=1))


def _watch(started: Started, manner: Manner) -> RunView:
    """Follow a run that was just started; its last state."""
    engine, hold = started.engine, manner.attachment == "hold"
    client = EngineClient(engine.socket)
    last_words = failure_as_json(INTERRUPTION) if manner.as_json else ""
    with stopping_on_interrupt(lambda: _stop(client), no_detach=hold, last_words=last_words):
        try:
            if not manner.as_json:
                _introduce(engine, manner)
            elif manner.port and engine.port is not None:  # stdout is the report's
                sys.stderr.write(f"Port {engine.port}, its token is in {engine.path}\n")
            with progress_display(sys.stderr if manner.as_json else sys.stdout) as display:
                view = follow(engine, display)
        except OSError:
            if not hold:
                raise
            # The terminal or the reader is gone; the run ends with us, so we have to stay.
            mute()
            view = follow(engine, Silence())
        if hold:
            _stop(client)  # otherwise it stays for a while after a failure, for a retry
            started.process.wait()
    return view


def _introduce(engine: EngineFile, manner: Manner) -> None:
    """Say which run was started, and how to come back to it."""
    if manner.as_json:
        print(json.dumps(address_as_json(engine), indent=1))
        return
    name = one_line(engine.run, _LONGEST_NAME)
    greeting = _GREETINGS[manner.attachment].format(run=name)
    print(f"Run {name}, process {engine.identity.pid}. {greeting}", flush=True)
    for line in address_lines(engine, os.environ):
        print(line, flush=True)


def _stop(client: EngineClient) -> None:
    try:
        client.command({"op": "stop"})
    except EngineGone:
        return  # it has ended by itself
    except PipelineError as error:
        sys.stderr.write(f"{error.title}: {error.message}\n")


def address_as_json(engine: EngineFile) -> dict[str, Any]:
    """How scripts reach an engine."""
    return {
        "run": engine.run,
        "root": str(engine.root),
        "engine": engine.engine,
        "pid": engine.identity.pid,
        "host": engine.identity.host,
        "socket": str(engine.socket),
        "port": engine.port,
        "url": None if engine.port is None else url_of(engine.port, engine.token),
    }
