"""How failures are shown: title, message and hint, never a traceback; and their exit codes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from pipeline.errors import PipelineError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


INTERRUPTION = PipelineError("Interrupted", "The command was interrupted.")
STOP = PipelineError(
    "Stopped",
    "The run was stopped; what was finished is kept.",
    "The same command continues.",
)


class WrongUsage(PipelineError):
    """The command line cannot be meant: shown as any failure, with the exit code of wrong usage."""


def show_failure(error: PipelineError) -> int:
    """Tell the user what is wrong and what to do, on stderr; the exit code."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.panel import Panel
        from rich.text import Text

        body = Text(error.message)
        if error.hint:
            body.append(f"\n\n{error.hint}", style="dim")
        panel = Panel(body, title=Text(error.title), title_align="left", border_style="red")
        Console(stderr=True).print(panel)
    else:
        lines = (f"error: {error.title}", error.message, error.hint)
        sys.stderr.write("\n  ".join(line for line in lines if line) + "\n")
    return exit_code(error)


def show_failure_as_json(error: PipelineError) -> int:
    """Tell what is wrong as a JSON document on stdout, for scripts; the exit code."""
    sys.stdout.write(failure_as_json(error))
    return exit_code(error)


def failure_as_json(error: PipelineError) -> str:
    """The document that stands for an error where JSON was asked for."""
    words = {"title": error.title, "message": error.message, "hint": error.hint}
    return json.dumps({"error": words}, indent=1) + "\n"


def exit_code(error: PipelineError) -> int:
    """The exit code that says what kind of error it is."""
    return WRONG_USAGE if isinstance(error, WrongUsage) else FAILED


def mute() -> None:
    """Let what is still said on stdout or stderr go nowhere: nobody is there to read it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def show_crash(error: BaseException) -> int:
    """Write the traceback to a file and name it in one line on stderr; the exit code."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="barfield-", suffix=".log", delete=False, errors="backslashreplace"
    ) as log:
        log.write(text)
    sys.stderr.write(
        f"error: {type(error).__name__}: {error}. A fault of the program; details in "
        f"{Path(log.name)}\n"
    )
    return FAILED
