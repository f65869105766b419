"""A client of the stream, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.viewer.server import PATIENCE_S, Server

UPGRADE = (
    b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
Client = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def listening(
    server: Server, token: str | None = None, path: str = "/api/stream"
) -> AsyncIterator[Client]:
    """A client of a WebSocket: over the socket, or over TCP with a token."""
    if token is None:
        connector: aiohttp.BaseConnector = aiohttp.UnixConnector(str(server.addresses.socket))
        session = aiohttp.ClientSession("http://localhost", connector=connector)
    else:
        base = f"http://127.0.0.1:{server.addresses.port}"
        session = aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {token}"})
    async with session, session.ws_connect(path, autoping=True, max_msg_size=0) as client:
        yield client


async def take(client: Client, kind: str) -> dict[str, Any]:
    """The next message of a kind; others are passed over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message: dict[str, Any] = await client.receive_json()
            if message["type"] == kind:
                return message


async def end_of(client: Client) -> tuple[int | None, str]:
    """Code and reason with which the server closes."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await client.receive()
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                return client.close_code, str(message.extra or "")
