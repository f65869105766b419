"""The stream: what its clients get, and what becomes of those that break the rules."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipeline.engine.messages import Hello, Pause, RunView
from tests.viewer.client import UPGRADE, end_of, listening, take
from tests.viewer.fake_engine import ENGINE, FakeEngine
from tests.viewer.server import PATIENCE_S, Server, running, short_id, wait_for
from viewer.limits import Limits


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


def test_first_the_state_then_the_events_without_a_gap(fresh: Server) -> None:
    async def work() -> None:
        engine = fresh.engine
        for _ in range(5):
            await engine.emit()
        async with listening(fresh) as client:
            first = await client.receive_json()
            assert first["type"] == "hello"
            view = Hello.model_validate(first).view
            assert view == engine.view()
            assert view.seq == 5
            for number in range(20):
                await engine.emit(f"photo {number}")
                await asyncio.sleep(0.005)
            seen: list[int] = []
            batches = 0
            while len(seen) < 20:
                batch = await take(client, "events")
                seen += [event["seq"] for event in batch["events"]]
                batches += 1
            assert seen == list(range(6, 26))
            assert batches < 20

    fresh.run(work())


def test_a_subscription_ends_with_its_client(fresh: Server) -> None:
    async def work() -> None:
        async with listening(fresh) as client:
            await take(client, "hello")
            assert len(fresh.engine.subscriptions) == 1

    fresh.run(work())
    wait_for(lambda: not fresh.engine.subscriptions)


def test_a_tick_tells_the_newest_number(tmp_path: Path) -> None:
    with running(tmp_path, Limits(tick_s=0.05)) as server:

        async def work() -> None:
            async with listening(server, server.access.view_token) as client:
                assert await take(client, "tick") == {"type": "tick", "seq": 0}
                await server.engine.emit()
                await take(client, "events")
                assert await take(client, "tick") == {"type": "tick", "seq": 1}

        server.run(work())


def test_a_command_is_answered_with_its_number(fresh: Server) -> None:
    async def work() -> None:
        async with listening(fresh, fresh.access.control_token) as client:
            for number in (-3, 0, 41):
                ask = {"type": "command", "id": number, "command": {"op": "pause"}}
                await client.send_json(ask)
                told = await take(client, "answer")
                assert (told["id"], told["answer"]["ok"]) == (number, True)
            fresh.engine.refuse = True
            await client.send_json({"type": "command", "id": 5, "command": {"op": "pause"}})
            told = await take(client, "answer")
            assert (told["id"], told["answer"]["ok"]) == (5, False)
            assert told["answer"]["hint"] == "Start it again."

    fresh.run(work())
    assert fresh.engine.commands == [(Pause(op="pause"), "script")] * 4


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        ({"type": "command", "id": 7, "command": {"op": "explode"}}, "op"),
        ({"type": "command", "id": 7, "command": {"op": "pause", "now": 1}}, "now"),
        ({"type": "command", "id": 7, "command": {"op": "pause"}, "token": "x"}, "token"),
        ({"type": "order", "id": 7, "command": {"op": "pause"}}, "type"),
        ({"id": 7, "command": {"op": "pause"}}, "type"),
        ({"type": "command", "id": 7}, "command"),
        ({"id": 7}, "type"),
    ],
    ids=short_id,
)
def test_a_malformed_command_with_a_number_is_answered(
    fresh: Server, ask: dict[str, Any], word: str
) -> None:
    async def work() -> None:
        async with listening(fresh) as client:
            await client.send_json(ask)
            told = await take(client, "answer")
            assert (told["id"], told["answer"]["ok"]) == (7, False)
            assert word in told["answer"]["message"]
            await client.send_json({"type": "command", "id": 8, "command": {"op": "pause"}})
            assert (await take(client, "answer"))["answer"]["ok"] is True

    fresh.run(work())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        "[]",
        "7",
        "NaN",
        "{}",
        '{"type": "command", "id": "7", "command": {"op": "pause"}}',
        '{"type": "command", "id": true, "command": {"op": "pause"}}',
        '{"type": "command", "id": 1e999, "command": {"op": "pause"}}',
        '{"type": "command", "id": 99999999999999999999, "command": {"op": "pause"}}',
        '{"type": "command", "id": 7, "id": 8, "command": {"op": "pause"}}',
        "[" * 10_000,
        '"' + "x" * 60_000 + '"',
    ],
    ids=short_id,
)
def test_what_has_no_number_ends_the_stream_with_a_reason(fresh: Server, text: str) -> None:
    async def work() -> None:
        async with listening(fresh) as client:
            await client.send_str(text)
            code, reason = await end_of(client)
            assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert 5 < len(reason) <= 123

    fresh.run(work())
    assert fresh.engine.commands == []


def test_binary_garbage_ends_the_stream(fresh: Server) -> None:
    async def work() -> None:
        async with listening(fresh) as client:
            await client.send_bytes(os.urandom(1000))
            assert await end_of(client) == (1003, "Only text is taken.")

    fresh.run(work())


def test_a_message_is_as_long_as_it_may_be_and_no_longer(fresh: Server) -> None:
    async def work() -> None:
        ask = {"type": "command", "id": 7, "command": {"op": "pause"}}
        text = json.dumps(ask)
        async with listening(fresh) as client:
            await client.send_str(text + " " * (65535 - len(text)))
            assert (await take(client, "answer"))["answer"]["ok"] is True
            await client.send_str(text + " " * (65536 - len(text)))
            assert (await end_of(client))[0] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    fresh.run(work())


MASK = b"\0\0\0\0"


@pytest.mark.parametrize(
    "frames",
    [
        b"\x81\x85hello",  # cut short
        b"\x81\x05hello",  # without a mask
        b"\xf1\x85" + MASK + b"hello",  # reserved bits
        b"\xc1\x85" + MASK + b"hello",  # compressed, though nobody agreed to it
        b"\x81\x82" + MASK + b"\xff\xff",  # not UTF-8
        b"\x83\x85" + MASK + b"hello",  # unknown kind
        b"\x80\x85" + MASK + b"hello",  # the continuation of nothing
        b"\x01\x85" + MASK + b"hello" + b"\x81\x85" + MASK + b"hello",
        b"\x88\x81" + MASK + b"x",  # half of a close code
        b"\x89\xfe\x01\x00" + MASK + b"x" * 256,  # a ping that is too long
        b"\x81\xff" + struct.pack(">Q", 1 << 62) + MASK,  # 4 exabytes are to follow
        (b"\x01\xfe\xff\xff" + MASK + b"x" * 65535) + (b"\x00\xfe\xff\xff" + MASK + b"x" * 65535),
        b"\x00" * 100_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=short_id,
)
def test_broken_frames_end_the_stream_and_nothing_else(fresh: Server, frames: bytes) -> None:
    with fresh.connect("socket") as sock:
        sock.sendall(UPGRADE)
        assert sock.recv(12) == b"HTTP/1.1 101"
        try:
            sock.sendall(frames)
            sock.shutdown(1)
            while sock.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
    wait_for(lambda: not fresh.engine.subscriptions)
    assert fresh.engine.commands == []
    assert fresh.send("/api/state").status == 200


def test_what_does_not_upgrade_is_no_stream(fresh: Server) -> None:
    for headers in (
        {},
        {"Upgrade": "websocket"},
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "1"},
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
        {"Connection": "Upgrade", "Upgrade": "h2c"},
    ):
        reply = fresh.send("/api/stream", headers)
        assert (reply.status, reply.error["title"]) == (400, "Not a WebSocket")


def test_the_view_token_listens_and_commands_nothing(fresh: Server) -> None:
    async def work() -> None:
        async with listening(fresh, fresh.access.view_token) as client:
            await take(client, "hello")
            await client.send_json({"type": "command", "id": 7, "command": {"op": "stop"}})
            told = await take(client, "answer")
            assert (told["id"], told["answer"]["ok"]) == (7, False)
            assert "look" in told["answer"]["message"]

    fresh.run(work())
    assert fresh.engine.commands == []


def test_only_so_many_commands_a_second(tmp_path: Path) -> None:
    with running(tmp_path, Limits(commands_per_s=0.001, commands_at_once=2)) as server:

        async def work() -> None:
            async with listening(server) as client:
                taken = []
                for number in range(4):
                    ask = {"type": "command", "id": number, "command": {"op": "pause"}}
                    await client.send_json(ask)
                    taken.append((await take(client, "answer"))["answer"]["ok"])
                assert taken == [True, True, False, False]

        server.run(work())
        assert len(server.engine.commands) == 2


def test_the_seventeenth_client_is_told_to_wait(fresh: Server) -> None:
    async def work() -> None:
        clients = [listening(fresh) for _ in range(16)]
        for client in clients:
            await take(await client.__aenter__(), "hello")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await listening(fresh).__aenter__()
        assert refused.value.status == 503
        await clients.pop().__aexit__(None, None, None)
        while len(fresh.engine.subscriptions) == 16:
            await asyncio.sleep(0.01)
        async with listening(fresh) as late:
            await take(late, "hello")
        for client in clients:
            await client.__aexit__(None, None, None)

    fresh.run(work())


def test_a_command_outlives_its_client(fresh: Server) -> None:
    fresh.engine.slow_s = 0.3

    async def work() -> None:
        async with listening(fresh) as client:
            await client.send_json({"type": "command", "id": 1, "command": {"op": "pause"}})
            while not fresh.engine.commands:
                await asyncio.sleep(0.01)
            client._conn.transport.abort()  # type: ignore[union-attr]  # as a crash does it

    fresh.run(work())
    wait_for(lambda: not fresh.engine.subscriptions)
    assert fresh.engine.finished == []
    wait_for(lambda: bool(fresh.engine.finished))


def test_an_engine_that_fails_ends_the_stream_and_says_why_in_the_log(
    fresh: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: FakeEngine) -> RunView:
        raise ZeroDivisionError("in the engine")

    monkeypatch.setattr(FakeEngine, "view", broken)

    async def work() -> None:
        async with listening(fresh) as client:
            assert (await end_of(client))[0] == aiohttp.WSCloseCode.INTERNAL_ERROR

    fresh.run(work())
    monkeypatch.undo()
    assert "in the engine" in caplog.text
    assert fresh.engine.subscriptions == []


def test_the_last_events_arrive_before_the_end(tmp_path: Path) -> None:
    async def until_the_end(server: Server) -> tuple[list[str], tuple[int | None, str]]:
        words: list[str] = []
        async with listening(server) as client:
            await take(client, "hello")
            connected.set()
            async for message in client:
                batch = json.loads(message.data)
                words += [event["doing"] for event in batch.get("events", ())]
            return words, (client.close_code, "")

    with running(tmp_path, make_engine=lambda: FakeEngine(period_s=0.25)) as server:
        connected = asyncio.Event()
        following = asyncio.run_coroutine_threadsafe(until_the_end(server), server.loop)
        server.run(asyncio.wait_for(connected.wait(), PATIENCE_S))
        server.run(server.engine.emit("the last word"))
    assert following.result(PATIENCE_S) == (["the last word"], (1001, ""))


def test_names_that_are_not_utf_8_reach_the_client(fresh: Server) -> None:
    async def work() -> None:
        async with listening(fresh) as client:
            await take(client, "hello")
            await fresh.engine.emit(b"caf\xe9.jpg".decode("utf-8", "surrogateescape"))
            assert (await take(client, "events"))["events"][0]["doing"] == "caf?.jpg"

    fresh.run(work())


def test_a_browser_listens_with_its_cookie(fresh: Server) -> None:
    token = fresh.access.control_token

    async def work() -> None:
        port = fresh.addresses.port
        cookies = {f"barfield-{ENGINE}": token}
        async with (
            aiohttp.ClientSession(f"http://localhost:{port}", cookies=cookies) as session,
            session.ws_connect(
                "/api/stream",
                origin=f"http://localhost:{port}",
                headers={"Sec-Fetch-Site": "same-origin"},
            ) as client,
        ):
            await take(client, "hello")
            await client.send_json({"type": "command", "id": 1, "command": {"op": "pause"}})
            assert (await take(client, "answer"))["answer"]["ok"] is True

    fresh.run(work())
    assert fresh.engine.commands == [(Pause(op="pause"), "browser")]
