"""The engine process that shows a run at rest: composed here, served by `tui.engine_process`."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from pipeline.checkpoint_file import checkpoint_path
from pipeline.engine import filming, preparing, runtime
from pipeline.engine.interface import Engine
from pipeline.engine.onlooking import Onlooker, view_at_rest
from pipeline.engine.parameters import parameters_at_rest
from pipeline.engine.state import JournalIdentity
from pipeline.engine.viewing import Viewing
from pipeline.engine.worker_process import Listeners, WorkerProcess, WorkerSpec
from pipeline.errors import PipelineError
from pipeline.process_identity import ProcessIdentity
from pipeline.request import RunRequest
from pipeline.run_directory import read_manifest
from pipeline.run_lock import LOCK
from pipeline.stages import VIEWED_STAGE

LOG = "view.log"


class Serving(Protocol):
    """Listens for clients of an engine as long as the block lasts."""

    def __call__(
        self, root: Path, service: Engine, identity: JournalIdentity, process: ProcessIdentity
    ) -> AbstractAsyncContextManager[runtime.EngineFile]: ...


async def look_on(
    request: RunRequest,
    serving: Serving,
    worker_command: tuple[str, ...],
    ready: Callable[[Path], None],
) -> None:
    """Show a run that nobody works on, until it is told to stop.

    request: what the run was asked to do. ready: is told of the socket. Raises PipelineError where
    there is no run, or somebody works on it.
    """
    root = request.out
    process = ProcessIdentity.current()
    identity = JournalIdentity(
        engine=secrets.token_hex(8),
        run=root.name,
        host=process.host,
        pid=process.pid,
        started=time.time(),
    )
    view = view_at_rest(root, identity)
    log = runtime.socket_path(root).parent / LOG
    with _beside_other_readers(root) as lock, _logging_into(log):
        async with AsyncExitStack() as stack:
            onlooker: Onlooker
            viewing: Viewing
            listeners = Listeners(
                lambda stage, records: None,
                lambda paused: None,
                lambda frame: viewing.deliver(frame),
            )
            spec = WorkerSpec(
                root=root,
                lock_fd=lock,
                paths=request.paths,
                log=log,
                threads=len(os.sched_getaffinity(0)),
                command=worker_command,
            )

            async def start(spec: WorkerSpec, preload: tuple[str, ...]) -> WorkerProcess:
                return await WorkerProcess.start(replace(spec, preload=preload), listeners)

            viewing = Viewing(partial(start, spec), partial(_has_field, root))
            stack.push_async_callback(viewing.run_begins)  # no worker any more
            slowly = replace(spec, threads=preparing.THREADS, nice=preparing.NICE)
            beside = partial(start, slowly)
            onlooker = Onlooker(
                root,
                view,
                parameters_at_rest(request),
                viewing,
                lambda tell: preparing.Preparing(root, beside, lambda: onlooker.view(), tell),
                lambda tell: filming.Filming(
                    root,
                    partial(start, replace(spec, nice=filming.NICE)),
                    tell,
                    lambda: False,
                    partial(_has_field, root),
                    nullcontext,
                ),
            )
            stack.push_async_callback(onlooker.preparing.close)
            stack.push_async_callback(onlooker.filming.end, "its engine ends")
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, onlooker.stop)
            published = await stack.enter_async_context(serving(root, onlooker, identity, process))
            ready(published.socket)
            await onlooker.end_wanted()


def _has_field(root: Path) -> bool:
    if checkpoint_path(root, VIEWED_STAGE).exists():
        return True
    try:
        return VIEWED_STAGE in read_manifest(root).stages
    except PipelineError:
        return False


@contextmanager
def _beside_other_readers(root: Path) -> Iterator[int]:
    """A descriptor that keeps runs from starting as long as the block lasts, and no readers.

    Where the run directory has no lock, or its file system knows none, there is nobody to keep.
    Raises PipelineError where somebody works on the run.
    """
    try:
        handle = os.open(root / LOCK, os.O_RDONLY)
    except OSError:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            os.close(handle)
            raise PipelineError(
                "The run is in use",
                f"A process works in {root}, and cannot be found on this host.",
                "Look at it where it runs, or when it has ended.",
            ) from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _logging_into(path: Path) -> Iterator[None]:
    """Append this process's words to a file as long as the block lasts; then it goes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # where nothing else is left
