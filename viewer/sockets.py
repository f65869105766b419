"""What the server's WebSockets have in common: how one is opened, and how one is left."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import WSCloseCode, web

from viewer.limits import Limits
from viewer.refusals import Refused

_log = logging.getLogger(__name__)
_CLOSING_S = 2.0
_KERNEL_BUFFER_BYTES = 64 << 10


def new_socket(
    request: web.Request, limits: Limits, message_bytes: int, otherwise: str
) -> tuple[web.WebSocketResponse, asyncio.Transport]:
    """A WebSocket for a request, not prepared yet, and what carries it.

    message_bytes: of the longest message that is taken. otherwise: what a client without
    WebSockets can do. Refused: where the request does not ask for one.
    """
    ws = web.WebSocketResponse(
        timeout=_CLOSING_S,
        heartbeat=limits.heartbeat_s,
        compress=False,
        max_msg_size=message_bytes,
    )
    if not ws.can_prepare(request):
        raise Refused(
            400, "Not a WebSocket", "This address speaks WebSocket only.", otherwise
        )  # fmt: skip
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    # What the kernel holds back is as old as what we do, and delays the answer to a ping.
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER_BYTES)
    return ws, transport


def refuse_crowd(open_now: int, most: int) -> None:
    """Refused: one more client where `most` are there already."""
    if open_now >= most:
        raise Refused(
            503,
            "Too many clients",
            f"{most} clients listen already.",
            "Close one of them.",
            headers={"Retry-After": "5"},
        )


async def part(
    ws: web.WebSocketResponse, transport: asyncio.Transport, code: WSCloseCode, reason: str = ""
) -> None:
    """Say goodbye to a client that listens; hang up on one that does not."""
    words = reason.encode("ascii", "replace")[:120]  # a close frame holds 123 bytes of it
    try:
        # Goodbye would wait behind what is not sent; aiohttp cannot wait twice for that.
        if not transport.get_write_buffer_size():
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_CLOSING_S):
                    await ws.close(code=code, message=words)
    finally:
        # A closed transport keeps what is not sent until the client takes it; a stopped client
        # never does.
        if transport.get_write_buffer_size():
            transport.abort()


def closing_code(results: Sequence[object]) -> WSCloseCode:
    """How to close after the parts of a conversation ended so; what is our fault is logged."""
    faults = [
        result
        for result in results
        if isinstance(result, Exception) and not isinstance(result, ConnectionError | TimeoutError)
    ]
    for fault in faults:
        _log.error("a stream failed", exc_info=fault)
    return WSCloseCode.INTERNAL_ERROR if faults else WSCloseCode.OK
