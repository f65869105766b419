"""How failures are shown: title, message and hint, never a traceback; and their exit codes."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

from pipeline.errors import PipelineError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a closed pipe, a terminal that has gone
_OF_OUTPUT = (*_NOBODY_READS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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


def is_of_output(error: Exception) -> bool:
    """Whether an error that nobody foresaw is one of the standard streams: their reader has gone,
    or they lead to a full disk. Those of other files name the file, or have words already."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _OF_OUTPUT


def show_unwritten(error: OSError) -> int:
    """Tell that the command's output could not be written, if that can be told; the exit code."""
    if error.errno in _NOBODY_READS:
        mute()
        return INTERRUPTED
    with suppress(OSError):
        sys.stderr.write(f"error: The output could not be written: {error.strerror or error}.\n")
        sys.stderr.flush()
    mute()  # what it could not write is not to be tried again at the end
    return FAILED


def show_crash(error: BaseException, as_json: bool = False) -> int:
    """Write the traceback to a file and name it in one line on stderr, or as any failure where JSON
    was asked for; the exit code."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="barfield-", suffix=".log", delete=False, errors="backslashreplace"
    ) as log:
        log.write(text)
    what, hint = f"{type(error).__name__}: {error}.", f"details in {Path(log.name)}"
    if as_json:
        return show_failure_as_json(PipelineError("A fault of the program", what, hint))
    sys.stderr.write(f"error: {what} A fault of the program; {hint}\n")
    return FAILED
