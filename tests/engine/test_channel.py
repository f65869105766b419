"""Frames: what goes in comes out, and whatever is cut off or too large is told."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import channel
from pipeline.engine.channel import (
    BrokenChannel,
    Parcel,
    Sender,
    encode,
    open_reader,
    read_parcel,
    receive_parcel,
    write_parcel,
)

PARCELS = st.builds(Parcel, st.binary(max_size=200), st.binary(max_size=200))
BIG = Parcel(b"h" * 300_000, b"b" * 2_000_000)  # many times what a pipe holds


def blocking(frames: bytes) -> list[Parcel]:
    """The parcels that the worker's side reads from a pipe with these bytes."""
    out, into = os.pipe()
    try:
        os.write(into, frames)
        os.close(into)
        return list(iter(lambda: read_parcel(out), None))
    finally:
        os.close(out)


def on_the_loop(frames: bytes) -> list[Parcel]:
    """The parcels that the engine's side reads."""

    async def read() -> list[Parcel]:
        reader = asyncio.StreamReader()
        reader.feed_data(frames)
        reader.feed_eof()
        parcels = []
        while (parcel := await receive_parcel(reader)) is not None:
            parcels.append(parcel)
        return parcels

    return asyncio.run(read())


SIDES: list[Callable[[bytes], list[Parcel]]] = [blocking, on_the_loop]


@pytest.mark.parametrize("side", SIDES)
@settings(derandomize=True, deadline=None)
@given(parcels=st.lists(PARCELS, max_size=5))
def test_what_goes_in_comes_out(
    side: Callable[[bytes], list[Parcel]], parcels: list[Parcel]
) -> None:
    assert side(b"".join(map(encode, parcels))) == parcels


@pytest.mark.parametrize("side", SIDES)
@settings(derandomize=True, deadline=None, max_examples=100)
@given(parcels=st.lists(PARCELS, min_size=1, max_size=3), data=st.data())
def test_a_cut_frame_is_told_and_those_before_it_are_read(
    side: Callable[[bytes], list[Parcel]], parcels: list[Parcel], data: st.DataObject
) -> None:
    whole = b"".join(map(encode, parcels))
    ends = [len(b"".join(map(encode, parcels[: i + 1]))) for i in range(len(parcels))]
    cut = data.draw(st.integers(0, len(whole) - 1))
    if cut in (0, *ends):
        assert side(whole[:cut]) == parcels[: [0, *ends].index(cut)]
    else:
        with pytest.raises(BrokenChannel, match="within a frame"):
            side(whole[:cut])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("lengths", [(8 * 2**20 + 1, 0), (0, 256 * 2**20 + 1), (2**32 - 1,) * 2])
def test_lengths_beyond_the_limits_are_refused_unread(
    side: Callable[[bytes], list[Parcel]], lengths: tuple[int, int]
) -> None:
    prefix = b"".join(length.to_bytes(4, "little") for length in lengths)
    with pytest.raises(BrokenChannel, match="larger"):
        side(prefix + b"x" * 100)


@pytest.mark.parametrize("side", SIDES)
def test_a_frame_that_is_cut_after_its_lengths_is_told(
    side: Callable[[bytes], list[Parcel]],
) -> None:
    with pytest.raises(BrokenChannel, match="within a frame"):
        side(encode(Parcel(b"12345678"))[:8])  # what is missing is as long as the lengths


def test_too_large_parcels_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MOST_HEADER_BYTES", 10)
    monkeypatch.setattr(channel, "MOST_BODY_BYTES", 20)
    assert encode(Parcel(b"h" * 10, b"b" * 20))
    for parcel in (Parcel(b"h" * 11), Parcel(b"", b"b" * 21)):
        with pytest.raises(ValueError, match="too large"):
            encode(parcel)


def test_the_layout_is_as_documented() -> None:
    assert encode(Parcel(b"{}", b"\xff")) == b"\x02\0\0\0\x01\0\0\0{}\xff"


async def _with_pipe(work: Callable[[int, int], Coroutine[Any, Any, None]]) -> None:
    out, into = os.pipe()
    async with asyncio.timeout(20):
        await work(out, into)


def test_the_engine_sends_more_than_a_pipe_holds_without_waiting() -> None:
    async def work(out: int, into: int) -> None:
        sender = await Sender.open(into)
        for _ in range(3):
            sender.send(BIG)  # nobody reads yet
        read: list[Parcel | None] = []
        reading = threading.Thread(target=lambda: read.extend(read_parcel(out) for _ in range(3)))
        reading.start()
        while reading.is_alive():
            await asyncio.sleep(0.01)
        sender.close()
        assert read == [BIG] * 3
        os.close(out)

    asyncio.run(_with_pipe(work))


def test_the_engine_hears_more_than_a_pipe_holds() -> None:
    async def work(out: int, into: int) -> None:
        reader, transport = await open_reader(out)

        def write() -> None:
            for _ in range(3):
                write_parcel(into, BIG)
            os.close(into)

        writing = threading.Thread(target=write)
        writing.start()
        for _ in range(3):
            assert await receive_parcel(reader) == BIG
        assert await receive_parcel(reader) is None
        writing.join()
        transport.close()

    asyncio.run(_with_pipe(work))


def test_a_sender_whose_reader_is_gone_says_nothing() -> None:
    async def work(out: int, into: int) -> None:
        sender = await Sender.open(into)
        os.close(out)
        for _ in range(20):
            sender.send(Parcel(b"{}"))
            await asyncio.sleep(0.005)
        sender.close()

    asyncio.run(_with_pipe(work))


def test_a_writer_whose_reader_is_gone_is_told() -> None:
    out, into = os.pipe()
    os.close(out)
    with pytest.raises(BrokenPipeError):
        write_parcel(into, Parcel(b"{}"))
    os.close(into)
