"""The frames between engine and worker, over a pair of pipes.

A frame is: uint32 length of the header, uint32 length of the body (little-endian), the header
(JSON), the body (bytes). The worker reads and writes blocking, in threads of its own; the engine
does both on its event loop and never waits for a worker.
"""

from __future__ import annotations

import asyncio
import os
import struct
from dataclasses import dataclass

MOST_HEADER_BYTES = 8 * 2**20
MOST_BODY_BYTES = 256 * 2**20
_PREFIX = struct.Struct("<II")
_READ_BYTES = 2**20


class BrokenChannel(Exception):
    """The other side sent half a frame or none at all, or is not there any more."""


@dataclass(frozen=True)
class Parcel:
    """What a frame holds: the header is JSON."""

    header: bytes
    body: bytes = b""


def encode(parcel: Parcel) -> bytes:
    """The frame of a parcel. Raises ValueError if it is larger than a frame may be."""
    if len(parcel.header) > MOST_HEADER_BYTES or len(parcel.body) > MOST_BODY_BYTES:
        raise ValueError(
            f"a header of {len(parcel.header)} and a body of {len(parcel.body)} bytes "
            "are too large for a frame"
        )
    return _PREFIX.pack(len(parcel.header), len(parcel.body)) + parcel.header + parcel.body


def read_parcel(descriptor: int) -> Parcel | None:
    """The next parcel of a pipe; waits for it. None where the pipe ended between two frames.

    Raises BrokenChannel where it ended within one, or holds something else than frames.
    """
    prefix = _read(descriptor, _PREFIX.size)
    if not prefix:
        return None
    header_bytes, body_bytes = _lengths(prefix)
    header, body = _read(descriptor, header_bytes), _read(descriptor, body_bytes)
    if len(header) + len(body) < header_bytes + body_bytes:
        raise BrokenChannel("the pipe ended within a frame")
    return Parcel(header, body)


def write_parcel(descriptor: int, parcel: Parcel) -> None:
    """Write a parcel to a pipe; waits until it is taken.

    Raises BrokenPipeError where nobody reads any more, ValueError if the parcel is too large.
    """
    rest = memoryview(encode(parcel))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


async def receive_parcel(reader: asyncio.StreamReader) -> Parcel | None:
    """As `read_parcel`, on the event loop."""
    try:
        prefix = await reader.readexactly(_PREFIX.size)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        prefix = error.partial
    header_bytes, body_bytes = _lengths(prefix)
    try:
        content = await reader.readexactly(header_bytes + body_bytes)
    except asyncio.IncompleteReadError as error:
        raise BrokenChannel("the pipe ended within a frame") from error
    return Parcel(content[:header_bytes], content[header_bytes:])


async def open_reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """A reader of a pipe on the event loop, and the transport to close after use, which closes the
    descriptor too."""
    reader = asyncio.StreamReader(limit=_READ_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport


class Sender:
    """Sends parcels on the event loop and never waits: what a pipe does not take yet is kept.

    Where nobody reads any more, parcels vanish: the reader of the other pipe learns of the end.
    """

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    @staticmethod
    async def open(descriptor: int) -> Sender:
        """A sender into a pipe, whose descriptor it closes in the end."""
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(descriptor, "wb", buffering=0)
        )
        return Sender(transport)

    def send(self, parcel: Parcel) -> None:
        """Send a parcel. Raises ValueError if it is too large."""
        frame = encode(parcel)
        if not self._transport.is_closing():
            self._transport.write(frame)

    def close(self) -> None:
        """Let go of the pipe; what it has not taken yet is given up."""
        if not self._transport.is_closing():
            self._transport.abort()


def _lengths(prefix: bytes) -> tuple[int, int]:
    if len(prefix) < _PREFIX.size:
        raise BrokenChannel("the pipe ended within a frame")
    header_bytes, body_bytes = _PREFIX.unpack(prefix)
    if header_bytes > MOST_HEADER_BYTES or body_bytes > MOST_BODY_BYTES:
        raise BrokenChannel(
            f"a frame of {header_bytes} and {body_bytes} bytes: larger than one may be"
        )
    return header_bytes, body_bytes


def _read(descriptor: int, count: int) -> bytes:
    """So many bytes, or those before the end of the pipe."""
    chunks = []
    while count:
        chunk = os.read(descriptor, min(count, _READ_BYTES))
        if not chunk:
            break
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)
