"""One connection to the server, below the level of requests."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.typedefs import Handler
from aiohttp.web_request import BaseRequest

from viewer.refusals import Refused, in_our_words, our_fault
from viewer.security import HEADERS

_log = logging.getLogger(__name__)
# How long an idle connection, or one that does not get to the end of its headers, is kept.
_IDLE_S = 75.0
_LINGERING_S = 5.0


class Neighbours:
    """The connections at one kind of address, the oldest first."""

    def __init__(self) -> None:
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        self._open[connection] = None

    def discard(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def oldest_stranger(self) -> Connection | None:
        """The oldest one that has not shown yet that it may be here."""
        return next((known for known in self._open if not known.is_known), None)


class Connection(web.RequestHandler):
    """aiohttp's connection, with answers in our form to what never becomes a request.

    Its own answer to a broken request line repeats that line, and logs it: tokens and all.
    """

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        most: int,
        neighbours: Neighbours,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=_IDLE_S,
            lingering_time=_LINGERING_S,
            access_log=None,  # type: ignore[arg-type]  # None turns it off
            auto_decompress=False,  # only bombs need it
        )
        self._most = most
        self._neighbours = neighbours
        self.is_known = False
        """Whether a request of it has passed the guard."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Where `most` are open at the same kind of address already, one has to go, for each
        costs a descriptor, and the engine needs those for files: the oldest that has not shown a
        token, so that nobody is kept out by those who have none; else this one.
        """
        super().connection_made(transport)
        self._neighbours.add(self)
        if len(self._neighbours) > self._most:
            leaving = self._neighbours.oldest_stranger() or self
            leaving.turn_away()

    def turn_away(self) -> None:
        """Say that there are too many, and hang up."""
        self._neighbours.discard(self)
        if isinstance(self.transport, asyncio.Transport):
            self.transport.write(_crowded())
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._neighbours.discard(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, and to our own errors."""
        if request.writer.output_size > 0:
            raise ConnectionError("half of another answer is sent already")
        if status == 400:
            refused = _not_http(exc)
        else:
            _log.error("%s %s failed", request.method, request.path, exc_info=exc)
            refused = our_fault()
        response = refused.response()
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. aiohttp refuses an unknown `Expect` before our middlewares see it."""
        if isinstance(resp, web.HTTPException):
            resp = in_our_words(resp, request.method, request.path).response()
        return await super().finish_response(request, resp, start_time)


@web.middleware
async def note_known(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware behind the guard: who has come so far is no stranger."""
    if isinstance(request.protocol, Connection):
        request.protocol.is_known = True
    return await handler(request)


def _not_http(error: Any) -> Refused:
    if isinstance(error, LineTooLong):
        return Refused(400, "Too long", "The address or a header is longer than 8190 bytes.")
    return Refused(400, "Not HTTP", "The request line or a header is broken.")


def _crowded() -> bytes:
    words = Refused(503, "Too many connections", "Too many are open.", "Try again later.")
    body = words.response().body
    assert isinstance(body, bytes)
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "Cache-Control: no-store",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
    )
    return "\r\n".join((*lines, "", "")).encode() + body
