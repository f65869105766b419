"""The server of one engine: the application, and where it listens."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from pipeline.browsing import Browser
from pipeline.engine.interface import Engine
from pipeline.errors import PipelineError
from viewer.access import Access
from viewer.api import Api
from viewer.browse import Browse
from viewer.commanding import Commands
from viewer.connection import Connection, Neighbours, note_known
from viewer.files import CLIENT, Client
from viewer.frames import Frames
from viewer.limits import LIMITS, Limits
from viewer.page import Page
from viewer.ports import LOOPBACK, Ports
from viewer.refusals import refusals_in_words
from viewer.security import guard, harden
from viewer.stream import Streams

_API = web.AppKey("api", Api)
_FRAMES = web.AppKey("frames", Frames)
_LIMITS = web.AppKey("limits", Limits)
_PORTS = web.AppKey("ports", Ports)
_STREAMS = web.AppKey("streams", Streams)
_LONGEST_SOCKET_PATH = 107
_SECONDS_FOR_HANDLERS = 1.0
_WAITING = 1024  # connections that wait to be taken: where there is no room, a client waits seconds


@dataclass(frozen=True)
class Addresses:
    """Where a server listens. port: None without TCP."""

    socket: Path
    host: str
    port: int | None


def create_app(
    engine: Engine,
    access: Access,
    limits: Limits = LIMITS,
    *,
    root: Path | None = None,
    client: Path = CLIENT,
) -> web.Application:
    """The application around an engine.

    root: run directory, whose files it serves. client: folder of the built client, which is looked
    into now; without one there is a plain page.
    """
    built = Client.read(client)
    page = Page(engine, access, built)
    browse = Browse(engine, None if root is None else Browser(root))
    commands = Commands(engine, limits)
    streams = Streams(engine, commands, limits)
    ports = Ports(limits)
    app = web.Application(
        middlewares=[refusals_in_words, guard(access, limits, ports.names), note_known],
        client_max_size=limits.body_bytes,
    )
    app[_PORTS] = ports
    app[_API] = api = Api(engine, commands, limits)
    app[_LIMITS] = limits
    app[_STREAMS] = streams
    app[_FRAMES] = frames = Frames(engine, limits)
    app.on_response_prepare.append(harden)
    app.add_routes(api.routes())
    app.add_routes(
        [
            web.get("/", page.show, allow_head=False),
            web.get("/plain", page.show_plain, allow_head=False),
            web.get("/api/stream", streams.connect, allow_head=False),
            web.get("/api/frames", frames.connect, allow_head=False),
        ]
    )
    app.add_routes([*browse.routes(), web.post("/api/port", ports.ask)])
    if built is not None:
        name = "{name:[A-Za-z0-9._-]{1,120}}"
        app.router.add_get(f"/assets/{name}", built.send_asset, allow_head=False)
    return app


@asynccontextmanager
async def serve(
    app: web.Application,
    socket_path: Path,
    host: str = LOOPBACK,
    ports: Sequence[int] = (),
    opened: Callable[[str, int], Awaitable[None]] | None = None,
) -> AsyncIterator[Addresses]:
    """Serve an application as long as the block lasts; its clients get the last events.

    socket_path: of the Unix socket, in a folder that is the user's alone; made where it is missing.
    ports: the first free one is taken, 0 stands for any; none: no TCP. opened: is told of a port
    that is opened later, and its host. Raises PipelineError where the server cannot listen.
    """
    loop = asyncio.get_running_loop()
    # A client that goes away takes its waiting request with it; commands are shielded from that.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SECONDS_FOR_HANDLERS)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        connect = partial(Connection, runner.server, loop, app[_LIMITS].connections)
        on_socket = await _listen_on_socket(partial(connect, Neighbours()), socket_path)
        stack.callback(socket_path.unlink, missing_ok=True)
        stack.callback(on_socket.close)
        over_tcp = partial(connect, Neighbours())

        async def listen(host: str, ports: Sequence[int]) -> int:
            on_port = await _listen_on_port(over_tcp, host, ports)
            stack.callback(on_port.close)
            port: int = on_port.sockets[0].getsockname()[1]
            return port

        app[_PORTS].serve_with(listen, None)
        port = await app[_PORTS].open(host, ports) if ports else None
        app[_PORTS].serve_with(listen, opened)
        try:
            yield Addresses(socket_path, host, port)
        finally:  # also where the engine broke: its last events say so
            app[_API].finish()
            await asyncio.gather(app[_STREAMS].finish(), app[_FRAMES].finish())


async def _listen_on_socket(factory: Callable[[], Connection], path: Path) -> asyncio.Server:
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PipelineError(
                "Unsafe folder",
                f"{folder} is not a folder of yours that only you may enter.",
                f"Remove it, or: chmod 700 {folder}",
            )
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            raise PipelineError(
                "Path too long",
                f"{path} is too long for a socket: {_LONGEST_SOCKET_PATH} bytes at most.",
                "Let XDG_RUNTIME_DIR name a folder with a shorter path.",
            )
        # A socket that a killed engine left behind is replaced.
        server = await asyncio.get_running_loop().create_unix_server(
            factory, path, backlog=_WAITING
        )
        path.chmod(0o600)
    except OSError as error:
        raise PipelineError(
            "No socket",
            f"{path} cannot be listened on: {error.strerror or error}.",
            "Let XDG_RUNTIME_DIR name a folder on a local disk.",
        ) from error
    return server


async def _listen_on_port(
    factory: Callable[[], Connection], host: str, ports: Sequence[int]
) -> asyncio.Server:
    for port in ports:
        try:
            return await asyncio.get_running_loop().create_server(
                factory, host, port, backlog=_WAITING
            )
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise PipelineError(
                    "No such address",
                    f"{host} cannot be listened on: {error.strerror or error}.",
                    "Leave --host out: 127.0.0.1 is right for a tunnel.",
                ) from error
    tried = f"{ports[0]}" if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
    raise PipelineError(
        "Port taken", f"Port {tried} on {host} is in use.", "Choose another --port."
    )
