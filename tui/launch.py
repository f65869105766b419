"""Starts the engine of a run, and makes room for it where an old one lingers."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.engine.deaths import last_lines
from pipeline.engine.runtime import EngineFile, find_engine
from pipeline.errors import PipelineError
from pipeline.events import ENDED
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import read_manifest
from pipeline.scene_claim import check_scene
from tui.client import EngineClient, EngineGone

ENGINE_COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "tui.engine_process")
_SECONDS_TO_START = 90.0  # the workers of a killed engine may still be saving
_SECONDS_TO_GO = 60.0
_SECONDS_TO_TELL = 1.5
_SECONDS_TO_EXIT = 2.0
_LAST_WORDS = 8


@dataclass(frozen=True)
class Started:
    """An engine that was just started, and the process that it runs in."""

    engine: EngineFile
    process: subprocess.Popen[bytes]


def start_engine(
    request: RunRequest, *, tied: bool = False, port: int | None, only_view: bool = False
) -> Started:
    """Start the engine of a run and wait until it listens.

    It outlives the terminal and its session. tied: it does not outlive this process, whose main
    thread this has to be, and stays in its session, in a process group of its own, so that Ctrl-C
    reaches only this process. port: where it is to listen on 127.0.0.1, 0 for the first free one,
    None for nowhere. only_view: it shows the run, and runs nothing. Raises PipelineError with what
    the engine has against it, or where another engine is at work on the run.
    """
    make_room(request.out)
    heard, ready = os.pipe()
    extra = [] if port is None else ["--port", str(port)]
    if tied:
        extra += ["--tied", str(os.getpid())]
    if only_view:
        extra.append("--view")
    # Only the words of an interpreter that does not come far enough to open the engine's log.
    with os.fdopen(heard, "rb") as answer, tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                [*ENGINE_COMMAND, "--ready-fd", str(ready), *extra],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                cwd="/",
                pass_fds=(ready,),
                start_new_session=not tied,
                process_group=0 if tied else None,
            )
        finally:
            os.close(ready)
        try:
            _hand_over(process, request)
            told = _first_line(answer)
        except KeyboardInterrupt:
            process.terminate()
            _reap(process)
            raise
        if told is None:
            raise _never_ready(process, request.out, words)
    if "error" in told:
        _reap(process)
        raise PipelineError(**told["error"])
    engine = find_engine(request.out)
    if engine is None or engine.identity.pid != process.pid:
        _reap(process)
        raise EngineGone(
            "The engine is gone",
            f"Process {process.pid} ended as soon as it had begun.",
            f"{request.out / 'engine.log'} may say why.",
        )
    return Started(engine, process)


def refuse_other_photographs(root: Path, paths: GivenPaths) -> None:
    """See, before anything is done to it, that a run directory is free or of these photographs.

    Raises PipelineError where it holds the run of others.
    """
    try:
        known = read_manifest(root)
    except PipelineError:
        return  # no run, a damaged one or not for us: the engine tells
    check_scene(root, known, paths)


def make_room(root: Path) -> None:
    """See that no engine is at work on a run: one that has nothing more to do is sent away.

    Raises PipelineError where one is at work.
    """
    engine = find_engine(root)
    if engine is None:
        return
    client = EngineClient(engine.socket)
    try:
        state = client.state().state
        if state not in (*ENDED, "stopping"):
            raise PipelineError(
                "The run goes on already",
                f"Process {engine.identity.pid} works on it; it is {state}.",
                f"Watch it with `barfield attach {engine.run}`, or end it with "
                f"`barfield stop {engine.run}`.",
            )
        if state in ENDED:
            client.command({"op": "stop"})
    except EngineGone:
        pass  # on its way out already
    _wait_until_gone(engine)


def _wait_until_gone(engine: EngineFile) -> None:
    begin, told = time.monotonic(), False
    while engine.identity.alive():
        waited_s = time.monotonic() - begin
        if waited_s > _SECONDS_TO_TELL and not told:
            sys.stderr.write(f"Waiting for process {engine.identity.pid} to stop the last run.\n")
            told = True
        if waited_s > _SECONDS_TO_GO:
            raise PipelineError(
                "The last engine does not end",
                f"Process {engine.identity.pid} is still stopping its run.",
                f"Look at `barfield status {engine.run}`, or `kill -9 {engine.identity.pid}`: the "
                "run goes on from its last checkpoint.",
            )
        time.sleep(0.05)


def _hand_over(process: subprocess.Popen[bytes], request: RunRequest) -> None:
    """Write the request to the engine."""
    if process.stdin is None:
        raise TypeError("the engine was started without a pipe")
    # Not pydantic's own JSON: names of files may hold lone surrogates.
    text = json.dumps(request.model_dump(mode="json"))
    try:
        with process.stdin as pipe:
            pipe.write(text.encode())
    except BrokenPipeError:
        return  # it died before it read: what it said, or that it is gone, tells why


def _first_line(answer: IO[bytes]) -> dict[str, Any] | None:
    """What the engine tells, or None if it ended or hung without a word."""
    text = b""
    last = time.monotonic() + _SECONDS_TO_START
    while not text.endswith(b"\n"):
        readable, _, _ = select.select([answer], [], [], max(0.0, last - time.monotonic()))
        part = os.read(answer.fileno(), 2**16) if readable else b""
        if not part:
            return None
        text += part
    told: dict[str, Any] = json.loads(text)
    return told


def _never_ready(process: subprocess.Popen[bytes], root: Path, words: IO[bytes]) -> PipelineError:
    """The error for an engine that did not get ready; it is ended if it still runs."""
    code = _reap(process)
    if code is None:
        process.kill()
        process.wait()
    late = f"was not ready after {_SECONDS_TO_START:.0f} s"
    ended = late if code is None else f"ended with exit code {code}"
    log = root / "engine.log"
    words.seek(0)
    said = words.read().decode(errors="replace").splitlines() or last_lines(log, _LAST_WORDS)
    return PipelineError(
        "The engine did not start",
        "\n".join([f"It {ended}.", *said[-_LAST_WORDS:]]),
        f"More may be in {log}." if log.exists() else "",
    )


def _reap(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of an engine that is about to end; None if it does not."""
    try:
        return process.wait(_SECONDS_TO_EXIT)
    except subprocess.TimeoutExpired:
        return None
