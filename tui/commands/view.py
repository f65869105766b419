"""`barfield view`: look at a run in a browser, whatever its state."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.options import AsJson, Run
from tui.failures import WrongUsage

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engine.messages import PortAnswer
    from pipeline.engine.runtime import EngineFile

EXPOSE = "Let others on the network reach it: without encryption, and who has the token may steer."
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_EVERYWHERE = ("0.0.0.0", "::")
_WAIT_S = 10.0
_SECONDS_BETWEEN_TRIES = 0.5


def view(
    run: Run,
    host: Annotated[
        str, typer.Option(metavar="H", help="Address to listen on; others need --expose.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Usually the first free from 8123.")
    ] = None,
    expose: Annotated[bool, typer.Option("--expose", help=EXPOSE)] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once; `barfield stop RUN` ends it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show RUN in a browser: one that goes on, or was done, stopped or interrupted.

    Where an engine works on the run, it shows it. Otherwise one is started that runs no stage and
    changes nothing; it ends with Ctrl-C.
    """
    import json

    from tui.runs import resolve_run
    from tui.session import address_as_json
    from tui.signals import leaving_on_signals

    if host not in _LOOPBACK and not expose:
        raise WrongUsage(
            "Not without --expose",
            f"--host {host}: everybody who reaches that address could try to get in, and nothing "
            "on the way is encrypted.",
            "Leave --host out and use the ssh line that is printed, or add --expose.",
        )
    root = resolve_run(run)
    engine, is_ours = _engine_for(root, port, tied=not detach)
    at = _opened(engine, host, port)
    engine = engine.model_copy(update={"port": at.port})
    try:
        with leaving_on_signals():
            if as_json:
                typer.echo(json.dumps(address_as_json(engine), indent=1))
            else:
                _show(engine, at, is_ours, detach)
            if not detach:
                _stay(engine)
    except KeyboardInterrupt:
        if is_ours:
            _end(engine)
        elif not as_json:
            typer.echo(f"{engine.run} is still shown." if engine.only_view else "The run goes on.")


def _engine_for(root: Path, port: int | None, *, tied: bool) -> tuple[EngineFile, bool]:
    """The engine of a run, and whether it was started here."""
    from pipeline.engine.runtime import find_engine
    from pipeline.request import GivenPaths, RunRequest
    from pipeline.run_directory import read_request
    from tui.launch import start_engine
    from tui.runs import status_of

    known = find_engine(root)
    if known is not None:
        return known, False
    status = status_of(root)
    if status.elsewhere:
        sys.stderr.write(
            f"An engine on {status.host} holds this run: you see it as it is now, not live.\n"
        )
    request = read_request(root) or RunRequest(paths=GivenPaths(photos=root), out=root)
    request = request.model_copy(update={"out": root})  # it may have been moved
    return start_engine(request, tied=tied, port=port or 0, only_view=True).engine, True


def _opened(engine: EngineFile, host: str, port: int | None) -> PortAnswer:
    """Where the engine listens on a host. Raises PipelineError where it cannot."""
    from pipeline.engine.messages import PortAnswer
    from tui.client import EngineClient

    address = "127.0.0.1" if host == "localhost" else host
    if address == "127.0.0.1" and engine.port is not None and port in (None, engine.port):
        return PortAnswer(host=address, port=engine.port)
    # At another address the same number will do, if it is given: there it is another port.
    return EngineClient(engine.socket).open_port(address, port)


def _show(engine: EngineFile, at: PortAnswer, is_ours: bool, detach: bool) -> None:
    from tui.address import address_lines, url_of
    from tui.words import one_line

    name = one_line(engine.run, 80)
    if at.host in _LOOPBACK:
        lines = address_lines(engine, os.environ)
    else:
        import socket

        sys.stderr.write(
            f"Warning: port {at.port} is open to everybody who reaches {at.host}. What is sent is "
            "not encrypted, the token neither.\n"
        )
        host = socket.gethostname() if at.host in _EVERYWHERE else at.host
        shown = url_of(at.port, engine.token, host)
        lines = [shown if sys.stdout.isatty() else f"Port {at.port}, token in {engine.path}"]
    if engine.only_view and (detach or not is_ours):
        end = f"It stays until `barfield stop {name}`."
    elif detach:
        end = "It is shown as long as it goes on."
    else:
        end = "Ctrl-C ends this." if is_ours else "Ctrl-C leaves; the run goes on."
    typer.echo(f"Run {name}. {end}")
    for line in lines:
        typer.echo(line)


def _stay(engine: EngineFile) -> None:
    """Listen, so that the engine of a run that comes to its end stays, until it ends."""
    from tui.client import EngineClient, EngineGone, EngineSilent

    client, seq = EngineClient(engine.socket), 0
    while True:
        try:
            seq = client.events(engine.engine, seq, _WAIT_S).seq
        except EngineSilent:
            pass
        except EngineGone:
            typer.echo(f"{engine.run} is shown no longer: its engine has ended.", err=True)
            return
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _end(engine: EngineFile) -> None:
    """Have an engine that only shows end, and wait for that."""
    from tui.client import EngineClient, EngineGone

    try:
        EngineClient(engine.socket).command({"op": "stop"})
    except EngineGone:
        return
    end = time.monotonic() + _WAIT_S
    while engine.identity.alive() and time.monotonic() < end:
        time.sleep(0.02)
