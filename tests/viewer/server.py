"""A real server in a thread of its own, and clients that send exactly the bytes a test wants."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.errors import PipelineError
from tests.viewer.fake_engine import ENGINE, FakeEngine
from viewer.access import Access
from viewer.app import Addresses, create_app, serve
from viewer.limits import LIMITS, Limits

ResultT = TypeVar("ResultT")
Way = Literal["socket", "tcp"]
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Reply:
    """An HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        """Title, message and hint, and nothing else."""
        assert self.headers["content-type"].startswith("application/json"), self
        data = self.json
        assert set(data) == {"error"}, data
        error: dict[str, str] = data["error"]
        assert set(error) == {"title", "message", "hint"}, error
        assert error["title"]
        assert error["message"]
        return error


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    engine: FakeEngine
    access: Access
    addresses: Addresses
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result of a coroutine on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def connect(self, way: Way = "tcp") -> socket.socket:
        if way == "socket":
            sock = socket.socket(socket.AF_UNIX)
            address: Any = str(self.addresses.socket)
        else:
            sock = socket.socket(socket.AF_INET)
            address = (self.addresses.host, self.addresses.port)
        sock.settimeout(PATIENCE_S)
        sock.connect(address)
        return sock

    def raw(self, data: bytes, way: Way = "tcp") -> Reply | None:
        """What comes back for some bytes; None where the server only hangs up."""
        with self.connect(way) as sock:
            with suppress(BrokenPipeError, ConnectionResetError):  # answered before all was sent
                sock.sendall(data)
            return read_reply(sock, with_body=not data.startswith(b"HEAD"))

    def send(
        self,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        method: str | None = None,
        way: Way = "tcp",
        token: str | None = "",
    ) -> Reply:
        """A request with the control token over TCP. token: another one; None: no token."""
        lines = {"Host": "127.0.0.1"}
        if way == "tcp" and token is not None:
            lines["Authorization"] = f"Bearer {token or self.access.control_token}"
        if body is not None:
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines |= headers or {}
        method = method or ("GET" if body is None else "POST")
        head = f"{method} {target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        reply = self.raw(head.encode("utf-8", "surrogateescape") + (body or b""), way)
        assert reply is not None, f"{method} {target}: no answer"
        return reply

    def command(self, data: Any, way: Way = "tcp", token: str | None = "") -> Reply:
        return self.send("/api/command", body=json.dumps(data).encode(), way=way, token=token)


def read_reply(sock: socket.socket, *, with_body: bool = True) -> Reply | None:
    """One response from a socket; None at its end. An answer to HEAD has no body."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = _received(sock)
            if not more:
                return None
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 100"):
            break
    status_line, *lines = head.decode().split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} comes twice"
        headers[name.lower()] = value
    length = int(headers.get("content-length", 0)) if with_body else 0
    while len(data) < length:
        more = _received(sock)
        assert more, "the answer ends too early"
        data += more
    return Reply(int(status_line.split()[1]), headers, data[:length])


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b""


def short_id(value: object) -> str:
    """A name for a test's parameter that fits on a line."""
    return repr(value)[:40]


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as a condition holds; an AssertionError where it never does."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def running(
    folder: Path,
    limits: Limits = LIMITS,
    make_engine: Callable[[], FakeEngine] = FakeEngine,
    access: Access | None = None,
    root: Path | None = None,
) -> Iterator[Server]:
    """A server on a socket in the folder `s` of `folder`, and on a free port.

    root: run directory that it looks into. The built client is in the folder `client`, if anywhere.

    Raises what keeps the server from starting.
    """
    access = access or Access.fresh(ENGINE)
    ready: Future[Server] = Future()
    end = asyncio.Event()

    async def main() -> None:
        try:
            engine = make_engine()
            app = create_app(engine, access, limits, root=root, client=folder / "client")
            async with serve(app, folder / "s" / "engine.sock", ports=(0,)) as addresses:
                loop = asyncio.get_running_loop()
                ready.set_result(Server(engine, access, addresses, loop))
                await end.wait()
        except PipelineError as error:
            ready.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        server = ready.result(PATIENCE_S)
        try:
            yield server
        finally:
            server.loop.call_soon_threadsafe(end.set)
    finally:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
