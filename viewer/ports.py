"""Where a server listens on TCP, and how its owner has it listen on one more address.

An engine that was started without a port gets one when somebody wants to look at its run in a
browser. Only the owner can ask for that: at the Unix socket, which is the user's alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from pipeline.engine.messages import FIRST_PORT, PORTS_TRIED, OpenPort, PortAnswer
from pipeline.errors import PipelineError
from viewer.limits import Limits
from viewer.reading import Query, checked, parse_json, read_body, read_query
from viewer.refusals import Refused
from viewer.security import caller_of
from viewer.writing import as_json

LOOPBACK = "127.0.0.1"  # not "localhost", which may mean ::1 to the other side
EVERYWHERE = ("0.0.0.0", "::")
REACHED_AT_LOOPBACK = (LOOPBACK, *EVERYWHERE)
Listen = Callable[[str, Sequence[int]], Awaitable[int]]
"""Listens on a host, on the first free one of some ports; the port."""


def free_ports(first: int = FIRST_PORT) -> tuple[int, ...]:
    """The ports to try where none is asked for; in the end any."""
    return (*range(first, min(first + PORTS_TRIED, 65536)), 0)


class Ports:
    """The TCP addresses of one server."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._listen: Listen | None = None
        self._opened: Callable[[str, int], Awaitable[None]] | None = None
        self._open: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self.names: set[str] = set()
        """What the `Host` header may say beside the loopback interface and the address at which
        a connection came in."""

    def serve_with(
        self, listen: Listen, opened: Callable[[str, int], Awaitable[None]] | None
    ) -> None:
        """From now on ports can be opened. opened: is told of each."""
        self._listen, self._opened = listen, opened

    async def open(self, host: str, ports: Sequence[int]) -> int:
        """Listen on a host, on the first free one of some ports; the port. One that is open there
        already will do, unless another one is asked for by number.

        Raises PipelineError where that cannot be.
        """
        if self._listen is None:
            raise PipelineError("Not now", "The server is not listening, or not any more.")
        async with self._one_at_a_time:
            known = self._open.get(host)
            if known is not None and (len(ports) > 1 or known in ports):
                return known
            port = self._open[host] = await self._listen(host, ports)
            if host != LOOPBACK:
                own = {socket.gethostname(), await asyncio.to_thread(socket.getfqdn)}
                self.names |= {
                    name.lower() for name in (own if host in EVERYWHERE else {*own, host})
                }
            if self._opened is not None:
                await self._opened(host, port)
            return port

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Handler of `POST /api/port`: `OpenPort`, answered with `PortAnswer`."""
        read_query(request, Query)
        if not caller_of(request).is_at_socket:
            raise Refused(
                403, "Not from here", "Only the owner of the run opens ports, at its socket."
            )
        asked = checked(OpenPort.model_validate, parse_json(await read_body(request, self._limits)))
        try:
            port = await self.open(
                asked.host, free_ports() if asked.port is None else (asked.port,)
            )
        except PipelineError as error:
            raise Refused(409, error.title, error.message, error.hint) from None
        answer = PortAnswer(host=asked.host, port=port)
        return web.Response(text=as_json(answer), content_type="application/json")
