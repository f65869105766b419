"""A link as slow as a home line, in front of a server on this machine.

All connections share one bottleneck in each direction, and every byte is late by the delay; a new
connection costs one round trip more. There is no slow start: what is measured through it is a
bound of what protocols cost, not of what TCP does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHUNK_BYTES = 16 << 10
_MOST_WAITING = 64  # chunks that have left the sender and not arrived, of a connection


@dataclass
class Bottleneck:
    """One direction of the link. bytes_per_s; delay_s: on the way. carried: bytes so far."""

    bytes_per_s: float
    delay_s: float
    carried: int = 0
    _free_at: float = 0.0

    def arrival(self, size: int, now: float) -> float:
        """When a chunk that is handed over now has arrived."""
        self.carried += size
        self._free_at = max(now, self._free_at) + size / self.bytes_per_s
        return self._free_at + self.delay_s


@dataclass
class Link:
    """Where the link is entered, and what it has carried. up: from clients; down: to them."""

    port: int
    up: Bottleneck
    down: Bottleneck
    connections: int = 0


@contextmanager
def slow_link(port: int, mbit_per_s: float, round_trip_s: float) -> Iterator[Link]:
    """A link to a port of 127.0.0.1, as long as the block lasts; served by a thread of its own."""
    rate, delay = mbit_per_s * 1e6 / 8, round_trip_s / 2
    link = Link(0, Bottleneck(rate, delay), Bottleneck(rate, delay))
    loop = asyncio.new_event_loop()
    stands = threading.Event()
    ends = asyncio.Event()

    async def serve() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError):  # the link ends
                await _carry(link, port, reader, writer)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        link.port = server.sockets[0].getsockname()[1]
        stands.set()
        await ends.wait()
        server.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    stands.wait()
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()


async def _carry(
    link: Link, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    link.connections += 1
    await asyncio.sleep(link.up.delay_s + link.down.delay_s)
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    ways = ((reader, far_writer, link.up), (far_reader, writer, link.down))
    await asyncio.gather(*(_pump(*way) for way in ways))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Bottleneck
) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_WAITING)

    async def deliver() -> None:
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    delivering = asyncio.ensure_future(deliver())
    with suppress(ConnectionError, asyncio.CancelledError):
        while chunk := await reader.read(CHUNK_BYTES):
            due = way.arrival(len(chunk), loop.time())
            await waiting.put((due, chunk))
            # What the bottleneck holds is bounded, as a router's buffer is.
            if due - way.delay_s - loop.time() > 0.1:
                await asyncio.sleep(due - way.delay_s - loop.time() - 0.1)
        await waiting.put((loop.time() + way.delay_s, b""))
        await delivering
    delivering.cancel()
    with suppress(ConnectionError, OSError):
        writer.close()
