"""Clients of the stream that do not read: they cost little, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.viewer.client import UPGRADE, listening, take
from tests.viewer.fake_engine import FakeEngine
from tests.viewer.server import Server, running, wait_for
from viewer.connection import Connection
from viewer.limits import Limits

SLEEPER = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(bytes.fromhex(sys.argv[2]))
sock.recv(100)
print("listening", flush=True)
while sock.recv(65536):
    pass
"""


@pytest.fixture
def stopped_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Starts a client in a process of its own that is then stopped as Ctrl-Z does it."""
    processes: list[subprocess.Popen[str]] = []

    def start(server: Server) -> subprocess.Popen[str]:
        path = str(server.addresses.socket)
        command = [sys.executable, "-I", "-S", "-c", SLEEPER, path, UPGRADE.hex()]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        process.send_signal(signal.SIGSTOP)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def unsent_bytes() -> list[int]:
    """What each connection of this process's servers holds back for its client."""
    transports = [
        thing.transport
        for thing in gc.get_objects()
        # Not isinstance: it asks the thing, and deprecated things of other libraries warn then.
        if issubclass(type(thing), Connection) and thing.transport is not None
    ]
    return [transport.get_write_buffer_size() for transport in transports]


def test_a_stopped_client_costs_a_bounded_buffer_and_is_dropped(
    tmp_path: Path, stopped_client: Any
) -> None:
    with running(tmp_path, Limits(silence_s=1.0)) as server:
        stopped_client(server)

        async def work() -> list[int]:
            """Twenty megabytes of events, while one client reads and the other one does not."""
            most, seen, text = [0], 0, "x" * 2000
            async with listening(server) as client:
                await take(client, "hello")
                assert len(server.engine.subscriptions) == 2
                for number in range(10_000):
                    await server.engine.emit(text)
                    if number % 50 == 49:
                        seen = (await take(client, "events"))["events"][-1]["seq"]
                    if number % 500 == 499:
                        most.append(max(unsent_bytes()))
                while seen < 10_000:
                    seen = (await take(client, "events"))["events"][-1]["seq"]
                while len(server.engine.subscriptions) == 2:
                    await asyncio.sleep(0.01)
            return most

        held = server.run(work())
        assert 30_000 < max(held) < 1_000_000  # a message and two buffers, of twenty megabytes
        wait_for(lambda: sum(unsent_bytes()) == 0)


def test_a_stopped_client_is_found_out_where_nothing_is_sent(
    tmp_path: Path, stopped_client: Any
) -> None:
    with running(tmp_path, Limits(heartbeat_s=0.2)) as server:
        stopped_client(server)

        async def work() -> None:
            async with listening(server) as client:
                await take(client, "hello")
                assert len(server.engine.subscriptions) == 2
                while len(server.engine.subscriptions) == 2:
                    # Reading answers pings.
                    with pytest.raises(TimeoutError):
                        await client.receive(0.05)
                await server.engine.emit()
                await take(client, "events")

        server.run(work())


def test_a_stopped_client_does_not_keep_the_engine_from_its_end(
    tmp_path: Path, stopped_client: Any
) -> None:
    with running(tmp_path) as server:
        stopped_client(server)

        async def until_it_takes_no_more() -> None:
            while max(unsent_bytes()) < 100_000:
                for _ in range(50):
                    await server.engine.emit("x" * 2000)
                await asyncio.sleep(0.02)

        server.run(until_it_takes_no_more())
    assert not server.engine.subscriptions
    assert sum(unsent_bytes()) == 0


def test_a_client_that_falls_behind_begins_again_with_the_state(tmp_path: Path) -> None:
    with running(tmp_path, make_engine=lambda: FakeEngine(most_waiting=10)) as server:

        async def work() -> None:
            engine = server.engine
            async with listening(server) as client:
                await take(client, "hello")
                for _ in range(1000):
                    await engine.emit("x" * 1000)
                again = await take(client, "hello")
                assert again["view"]["seq"] == 1000
                assert len(engine.subscriptions) == 1
                await engine.emit("new")
                batch = await take(client, "events")
                assert [event["seq"] for event in batch["events"]] == [1001]

        server.run(work())
