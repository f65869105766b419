"""The engine process: `python -m tui.engine_process`, started by `barfield run`.

This is the one place where supervisor and server meet. The request comes through stdin; whether the
engine stands, or why not, goes as one line of JSON to the descriptor `--ready-fd`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.checkpoint_file import checkpoint_path
from pipeline.engine import filming, preparing, runtime
from pipeline.engine.audience import Audience, Patience
from pipeline.engine.interface import Engine
from pipeline.engine.journal import Journal, JournalIdentity
from pipeline.engine.parameters import Parameters
from pipeline.engine.service import Service
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.viewing import Viewing
from pipeline.engine.worker_process import (
    NICE,
    WORKER_COMMAND,
    Listeners,
    WorkerProcess,
    WorkerSpec,
)
from pipeline.engine.workers import Workers
from pipeline.errors import PipelineError
from pipeline.events import ENDED, Record, RunChanged, StageChanged, Warned
from pipeline.process_identity import ProcessIdentity
from pipeline.request import RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.scene_claim import check_scene
from pipeline.stages import VIEWED_STAGE
from pipeline.version import VERSION
from tui.view_engine import look_on
from viewer.access import Access

SECONDS_FOR_ORPHANS = 20.0  # an old engine's worker may still be saving its checkpoint
MOST_READ = 20  # photographs of a moved folder: whoever started the engine waits for it
SECONDS_BETWEEN_PUBLISHING = 3600.0
SECONDS_BETWEEN_LOOKS = 1.0  # at the run directory
SLOW_CALLBACK_S = 0.05
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
LOG = "engine.log"
_log = logging.getLogger("barfield.engine")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an engine to its end; 0, or 1 if it could not be started or broke."""
    options = _parse(arguments)
    if options.tied is not None:
        _end_with(options.tied)
    handshake = _Handshake(options.ready_fd)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the end of a terminal is not the end of a run
    _load_server()
    _allow_descriptors()
    try:
        request = RunRequest.model_validate(json.load(sys.stdin.buffer))
        _check_addresses(request.out, options.port)
        if options.view:
            serving = partial(_served, port=options.port, only_view=True)
            asyncio.run(look_on(request, serving, WORKER_COMMAND, handshake.ready))
            return 0
        with RunDirectory(request.out, VERSION, wait_s=SECONDS_FOR_ORPHANS) as directory:
            # Before the first byte: a start that is refused leaves the run as it was.
            check_scene(directory.root, directory.manifest, request.paths, MOST_READ)
            _log_into(directory.root / LOG)
            asyncio.run(_engine(directory, request, options, handshake))
    except PipelineError as error:
        _log.error("%s: %s", error.title, error.message)  # it may be long since anybody listened
        handshake.refuse(error)
        return 1
    except (ValidationError, ValueError) as error:
        handshake.refuse(PipelineError("Not a request", f"{error}."))
        return 1
    return 0


class _Handshake:
    """Tells whoever started the engine, once, whether it stands."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def ready(self, socket: Path) -> None:
        self._tell({"ok": True, "socket": str(socket)})

    def refuse(self, error: PipelineError) -> None:
        words = {"title": error.title, "message": error.message, "hint": error.hint}
        self._tell({"error": words})

    def _tell(self, answer: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        with os.fdopen(self._descriptor, "w") as pipe:
            self._descriptor = None
            try:
                pipe.write(json.dumps(answer) + "\n")
                pipe.flush()
            except BrokenPipeError:
                _log.warning("nobody waits for the engine to be ready any more")


def _end_with(parent: int) -> None:
    """Get SIGTERM, which stops the run with a checkpoint, when the process that started this one
    ends, however it ends.

    parent: its number; it may have ended already.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _allow_descriptors() -> None:
    """As many open files as the system lets this user have: each client is one, and must not take
    those of the run."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # then it is as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _check_addresses(root: Path, port: int | None) -> None:
    """See that the engine can be reached, before anything is done to the run directory.

    Raises PipelineError where it could not listen.
    """
    runtime.socket_path(root)
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            raise PipelineError(
                "Port taken",
                f"127.0.0.1:{port} cannot be listened on: {error.strerror}.",
                "Choose another one with --port.",
            ) from error


async def _engine(
    directory: RunDirectory,
    request: RunRequest,
    options: argparse.Namespace,
    handshake: _Handshake,
) -> None:
    """Compose the engine, serve it, and run its stages."""
    asyncio.get_running_loop().slow_callback_duration = SLOW_CALLBACK_S  # in asyncio's debug mode
    process = ProcessIdentity.current()
    identity = JournalIdentity(
        engine=secrets.token_hex(8),
        run=directory.root.name,
        host=process.host,
        pid=process.pid,
        started=time.time(),
    )
    async with AsyncExitStack() as stack:
        journal = Journal(directory.root, identity)
        await journal.open()
        stack.push_async_callback(journal.close)
        parameters = Parameters(directory, request, logged=journal.view().revision)
        await parameters.keep()
        supervisor: Supervisor
        viewing: Viewing
        listeners = Listeners(
            partial(_pass_on, journal),
            lambda paused: supervisor.paused_by_worker(paused),
            lambda frame: viewing.deliver(frame),
        )
        start_worker = partial(_start_worker, directory, request, listeners)
        checkpoint = checkpoint_path(directory.root, VIEWED_STAGE)

        def has_field() -> bool:
            return directory.entry(VIEWED_STAGE) is not None or checkpoint.exists()

        viewing = Viewing(start_worker, has_field)
        workers = Workers(start_worker)
        audience = Audience()
        patience = Patience(failed_s=options.patience_s)
        supervisor = Supervisor(
            directory, parameters, journal, workers, audience, patience, viewing
        )
        start_beside = partial(start_worker, threads=preparing.THREADS, nice=preparing.NICE)
        clouds = preparing.Preparing(directory.root, start_beside, journal.view, journal.tell)
        stack.push_async_callback(clouds.close)
        films = filming.Filming(
            directory.root,
            partial(start_worker, nice=filming.NICE),
            journal.tell,
            lambda: viewing.run_at_work or supervisor.state not in ENDED,
            has_field,
            audience.listening,
        )
        viewing.end_with_rest(films.end)
        stack.push_async_callback(films.end, "its engine ends")
        service = Service(
            directory, parameters, journal, supervisor, audience, viewing, clouds, films
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        published = await stack.enter_async_context(
            _served(directory.root, service, identity, process, options.port)
        )
        for warning in (*map(Warned, directory.damages), *_remember(directory.root)):
            # Only then does the run begin, which forgets the warnings of the last time.
            asyncio.get_running_loop().call_soon(journal.tell, "", warning)
        looking = asyncio.create_task(_give_up_without(directory, supervisor))
        stack.callback(looking.cancel)
        handshake.ready(published.socket)
        _log.info("engine %s of %s", identity.engine, directory.root)
        try:
            await supervisor.run()
        except Exception as error:
            _log.exception("the engine broke")
            journal.tell("", RunChanged("failed", f"a fault of the engine: {error!r}"))
            raise


@asynccontextmanager
async def _served(
    root: Path,
    service: Engine,
    identity: JournalIdentity,
    process: ProcessIdentity,
    port: int | None,
    only_view: bool = False,
) -> AsyncIterator[runtime.EngineFile]:
    """Listen for clients, and let them find the engine, as long as the block lasts.

    port: on 127.0.0.1; 0: the first free one, None: none before somebody asks for it.
    """
    from viewer.app import create_app, serve
    from viewer.ports import REACHED_AT_LOOPBACK, free_ports

    access = Access.fresh(identity.engine)
    ports = () if port is None else (port,) if port else free_ports()
    app = create_app(service, access, root=root)
    published: list[runtime.EngineFile] = []

    async def opened(host: str, port: int) -> None:
        if published[0].port is None and host in REACHED_AT_LOOPBACK:
            published[0] = published[0].model_copy(update={"port": port})
            await asyncio.to_thread(runtime.publish, published[0])

    async with serve(app, runtime.socket_path(root), ports=ports, opened=opened) as where:
        file = runtime.EngineFile(
            identity=process,
            engine=identity.engine,
            run=identity.run,
            root=root,
            socket=where.socket,
            port=where.port,
            token=access.control_token,
            view_token=access.view_token,
            version=VERSION,
            started=identity.started,
            only_view=only_view,
        )
        published.append(file)
        runtime.publish(file)
        publishing = asyncio.create_task(_publish_again(published))
        try:
            yield file
        finally:
            publishing.cancel()
            runtime.withdraw(file)


def _remember(root: Path) -> list[Warned]:
    """Note the run for `barfield ls`; a warning where that cannot be: no reason not to run."""
    try:
        runtime.remember(root)
    except PipelineError as error:
        return [Warned(f"`barfield ls` will not know of this run: {error.message} {error.hint}")]
    return []


async def _give_up_without(directory: RunDirectory, supervisor: Supervisor) -> None:
    """End the run when its directory is removed or moved: all that is written would be lost."""
    while await asyncio.to_thread(directory.is_in_place):
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
    why = f"{directory.root} was removed or moved away while the run went on."
    _log.error(why)
    supervisor.give_up(why, "A run that was moved goes on with `barfield run PHOTOS --out RUN`.")


async def _publish_again(published: Sequence[runtime.EngineFile]) -> None:
    """Some systems clear old files out of the runtime folder."""
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_PUBLISHING)
        try:
            await asyncio.to_thread(runtime.publish, published[0])
        except (PipelineError, OSError) as error:  # the next time there may be room again
            _log.warning("commands may not find this engine: %s", error)


async def _start_worker(
    directory: RunDirectory,
    request: RunRequest,
    listeners: Listeners,
    preload: tuple[str, ...],
    *,
    threads: int = 0,
    nice: int = NICE,
) -> WorkerProcess:
    """threads: how many the worker may use; 0: one for each core."""
    spec = WorkerSpec(
        root=directory.root,
        lock_fd=directory.lock_fd,
        paths=request.paths,
        log=directory.root / LOG,
        threads=threads or len(os.sched_getaffinity(0)),
        cluster=request.cluster,
        nice=nice,
        preload=preload,
        command=WORKER_COMMAND,
    )
    return await WorkerProcess.start(spec, listeners)


def _pass_on(journal: Journal, stage: str, records: Sequence[Record]) -> None:
    """Tell what a worker told. How a stage ended is told by the supervisor, who knows why."""
    ends = ("done", "skipped", "stopped", "failed")
    journal.tell_many(
        stage,
        [r for r in records if not (isinstance(r, StageChanged) and r.state in ends)],
    )


def _load_server() -> None:
    """Import the server now, but not what it has no use for.

    aiohttp reads the system's certificates when it is imported, in case that it is to be a client:
    a tenth of the time until the engine is ready.
    """
    name = "SSL_CERT_FILE"
    before = os.environ.get(name)
    os.environ[name] = os.devnull
    try:
        import_module("viewer.app")
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _log_into(path: Path) -> None:
    """Append the engine's own words, and whatever else is printed in it, to a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.INFO)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tui.engine_process")
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--view", action="store_true", help="show the run, and run nothing")
    parser.add_argument("--tied", type=int, metavar="PID", help="of the process to end with")
    parser.add_argument("--patience-s", type=float, default=Patience().failed_s)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
