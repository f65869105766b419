"""Sixteen viewers at a time, of whom four read slowly or not at all: nobody else notices."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tests.viewer.client import Client, listening
from tests.viewer.fake_engine import FakeWindow
from tests.viewer.server import PATIENCE_S, Server, running
from tests.viewer.test_frames import frame, look, take, until
from tests.viewer.test_slow_clients import unsent_bytes
from viewer.limits import Limits

FAST, SLOW = 12, 4
FRAMES = 60
PICTURE_BYTES = 300_000


async def enter(stack: AsyncExitStack, server: Server) -> tuple[Client, FakeWindow]:
    """A viewer that looks."""
    known = len(server.engine.windows)
    client = await stack.enter_async_context(listening(server, None, "/api/frames"))
    await look(client)
    await until(lambda: len(server.engine.windows) > known)
    window = server.engine.windows[-1]
    await until(lambda: window.requests)
    return client, window


async def watch(client: Client, seen: list[int]) -> None:
    """Note what a viewer sees that acknowledges each picture as it comes."""
    while not seen or seen[-1] < FRAMES:
        seen.append((await take(client))[0]["seq"])
        await client.send_json({"shown": True})


def all_have(seen: list[list[int]], seq: int) -> bool:
    return all(numbers and numbers[-1] == seq for numbers in seen)


def test_slow_viewers_cost_nobody_anything(tmp_path: Path) -> None:
    with running(tmp_path, Limits(silence_s=1.0)) as server:

        async def work() -> None:
            async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
                viewers = [await enter(stack, server) for _ in range(FAST + SLOW)]
                fast, slow = viewers[:FAST], viewers[FAST:]
                for client, _ in slow:
                    response = client._response
                    assert response.connection is not None
                    transport = response.connection.transport
                    assert isinstance(transport, asyncio.Transport)
                    transport.pause_reading()
                seen: list[list[int]] = [[] for _ in fast]
                watching = [
                    asyncio.create_task(watch(client, numbers))
                    for (client, _), numbers in zip(fast, seen, strict=True)
                ]
                held = 0
                for seq in range(1, FRAMES + 1):
                    for _, window in viewers:
                        window.show(frame(seq, PICTURE_BYTES))
                    # The next picture comes when those who read have this one.
                    await until(partial(all_have, seen, seq))
                    if seq % 10 == 0:  # looking costs more than sending
                        held = max(held, sum(unsent_bytes()))
                await asyncio.gather(*watching)
                assert all(numbers == [*range(1, FRAMES + 1)] for numbers in seen)
                assert all(window.unacknowledged <= 2 for _, window in slow)
                assert held < (2 * SLOW + FAST) * (PICTURE_BYTES + 100_000)
                # Who takes nothing is sent away, and what was held for it is gone.
                await until(lambda: len(server.engine.windows) == FAST)
                await until(lambda: sum(unsent_bytes()) == 0)

        server.run(work())
