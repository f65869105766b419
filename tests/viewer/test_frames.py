"""The socket of those who look: what they get, and what becomes of those that break the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipeline.formats.bundle import unpack
from pipeline.view_requests import FrameHeader, ViewFrame
from tests.viewer.client import Client, end_of, listening
from tests.viewer.fake_engine import FakeWindow
from tests.viewer.server import PATIENCE_S, Server, running, short_id, wait_for
from viewer.limits import Limits

ROWS = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0.5]]
LOOK = {"seq": 1, "width": 64, "height": 32, "cam_from_world": ROWS, "fov_y_deg": 50}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


def looking(server: Server, token: str | None = None) -> Any:
    return listening(server, token, "/api/frames")


def frame(seq: int, size: int = 10, **fields: Any) -> ViewFrame:
    header = FrameHeader(viewer="v", seq=seq, width=64, height=32, **fields)
    return ViewFrame(header, bytes([seq % 256]) * size)


async def look(client: Client, seq: int = 1, **fields: Any) -> None:
    await client.send_json({"look": {**LOOK, "seq": seq, **fields}})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def window_of(server: Server) -> FakeWindow:
    await until(lambda: server.engine.windows and server.engine.windows[-1].requests)
    return server.engine.windows[-1]


async def take(client: Client) -> tuple[dict[str, Any], dict[str, bytes]]:
    async with asyncio.timeout(PATIENCE_S):
        header, buffers = unpack(await client.receive_bytes())
    return header, {name: bytes(data) for name, data in buffers.items()}


async def nothing_comes(client: Client) -> None:
    with pytest.raises(TimeoutError):
        await client.receive(0.1)


def test_cameras_go_up_and_pictures_come_down(fresh: Server) -> None:
    async def work() -> None:
        async with looking(fresh, fresh.access.view_token) as client:
            await look(client, seq=3, coarsest=4, depth=True)
            window = await window_of(fresh)
            (asked,) = window.requests
            assert (asked.seq, asked.coarsest, asked.depth) == (3, 4, True)
            assert asked.cam_from_world[2][3] == 0.5
            shown = frame(3, step=70, level=4, final=False, depth_width=2, depth_height=3)
            window.show(ViewFrame(shown.header, b"jpeg!", b"123456789012"))
            header, buffers = await take(client)
            assert header["kind"] == "frame" and "viewer" not in header
            assert (header["seq"], header["step"], header["level"]) == (3, 70, 4)
            assert header["final"] is False
            assert buffers == {"picture": b"jpeg!", "depth": b"123456789012"}
            assert [entry["shape"] for entry in header["buffers"]] == [[5], [3, 2]]
            window.show(ViewFrame(FrameHeader(viewer="v", seq=3, error="no field yet")))
            header, buffers = await take(client)
            assert (header["error"], buffers) == ("no field yet", {})

    fresh.run(work())
    wait_for(lambda: not fresh.engine.windows)


def test_two_frames_at_most_are_underway_and_the_newest_waits(fresh: Server) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await look(client)
            window = await window_of(fresh)
            for seq in range(1, 8):
                window.show(frame(seq))
                await asyncio.sleep(0.01)
            assert [(await take(client))[0]["seq"] for _ in range(2)] == [1, 2]
            await nothing_comes(client)

    fresh.run(work())


def test_an_acknowledgement_makes_room_for_the_newest(fresh: Server) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await look(client)
            window = await window_of(fresh)
            seen = []
            for seq in range(1, 100):
                window.show(frame(seq))
                if seq % 10 == 0:
                    seen.append((await take(client))[0]["seq"])
                    await client.send_json({"shown": True})
                await asyncio.sleep(0.001)
            assert len(seen) == 9 and seen == sorted(seen)
            assert window.replaced > 70 and window.unacknowledged <= 2

    fresh.run(work())


def test_a_tab_that_rests_gives_its_place_back(fresh: Server) -> None:
    async def work() -> None:
        engine = fresh.engine
        async with looking(fresh) as client:
            await look(client, seq=5)
            window = await window_of(fresh)
            window.show(frame(5))
            await take(client)
            await client.send_json({"rest": True})
            await until(lambda: not engine.windows)
            await client.send_json({"rest": True})
            await client.send_json({"shown": True})  # of what it had got before
            await look(client, seq=1)  # numbers begin anew
            again = await window_of(fresh)
            for seq in (1, 2):
                again.show(frame(seq))
                assert (await take(client))[0]["seq"] == seq
                await client.send_json({"shown": True})
            await until(lambda: again.unacknowledged == 0)

    fresh.run(work())


def test_a_viewer_too_many_is_told_so_and_may_try_again(fresh: Server) -> None:
    async def work() -> None:
        fresh.engine.most_windows = 0
        async with looking(fresh) as client:
            await look(client, seq=4)
            header, buffers = await take(client)
            assert (header["seq"], buffers) == (4, {})
            assert header["error"] == "Too many look at this run. Close one."
            await client.send_json({"shown": True})
            fresh.engine.most_windows = 1
            await look(client, seq=5)
            (await window_of(fresh)).show(frame(5))
            assert (await take(client))[0]["error"] == ""

    fresh.run(work())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "character 0"),
        ("7", "object"),
        ("{}", "one of look, shown and rest"),
        ('{"shown": true, "rest": true}', "one of look"),
        ('{"shown": true, "rest": null}', ""),
        ('{"shown": false}', "shown"),
        ('{"shown": 1}', "shown"),
        ('{"shown": true}', "no frame to acknowledge"),
        ('{"look": {"seq": 1}}', "look"),
        ('{"gaze": {}}', "gaze"),
        (json.dumps({"look": {**LOOK, "width": 100_000}}), "width"),
        (json.dumps({"look": {**LOOK, "width": "64"}}), "width"),
        (json.dumps({"look": {**LOOK, "cam_from_world": [[2, 0, 0, 0]] * 3}}), "rotation"),
        (json.dumps({"look": {**LOOK, "fov_y_deg": None}}), "fov_y_deg"),
        (json.dumps({"look": {**LOOK, "path": "/etc/passwd"}}), "path"),
        (json.dumps({"look": LOOK})[:-1], "character"),
        ('{"look": null, "look": null}', "twice"),
        ('{"look": {"seq": NaN}}', "finite"),
    ],
    ids=short_id,
)
def test_what_is_no_message_ends_the_socket_with_a_reason(
    fresh: Server, text: str, word: str
) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await client.send_str(text)
            code, reason = await end_of(client)
            assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert word in reason and 5 < len(reason) <= 123

    fresh.run(work())
    assert not fresh.engine.windows


def test_requests_have_growing_numbers(fresh: Server) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await look(client, seq=2)
            await look(client, seq=2)
            code, reason = await end_of(client)
            assert (code, reason) == (1008, "seq: request 2 comes after 2.")

    fresh.run(work())
    wait_for(lambda: not fresh.engine.windows)


def test_bytes_and_long_messages_end_the_socket(fresh: Server) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await client.send_bytes(b"{}")
            assert (await end_of(client))[0] == aiohttp.WSCloseCode.UNSUPPORTED_DATA
        async with looking(fresh) as client:
            await client.send_str('{"look": "' + "x" * 5000 + '"}')
            assert (await end_of(client))[0] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    fresh.run(work())


def test_what_comes_too_fast_is_read_later_and_the_newest_is_not_lost(tmp_path: Path) -> None:
    with running(tmp_path, Limits(looks_per_s=100.0, looks_at_once=10)) as server:

        async def work() -> None:
            async with looking(server) as client:
                for seq in range(1, 41):
                    await look(client, seq=seq)
                window = await window_of(server)
                await asyncio.sleep(0.05)
                assert 10 <= len(window.requests) < 40
                await until(lambda: window.requests[-1].seq == 40)

        server.run(work())


def test_sockets_are_limited(tmp_path: Path) -> None:
    with running(tmp_path, Limits(lookers=2)) as server:

        async def work() -> None:
            async with looking(server), looking(server):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                    async with looking(server):
                        pass
                assert refusal.value.status == 503

        server.run(work())
        assert server.send("/api/frames").error["title"] == "Not a WebSocket"


def test_the_engine_says_goodbye_when_it_ends(tmp_path: Path) -> None:
    told: list[tuple[int | None, str]] = []

    async def wait(server: Server, ready: asyncio.Event) -> None:
        async with looking(server) as client:
            await look(client)
            await window_of(server)
            ready.set()
            told.append(await end_of(client))

    with running(tmp_path) as server:

        async def begin() -> asyncio.Task[None]:
            ready = asyncio.Event()
            task = asyncio.create_task(wait(server, ready))
            await ready.wait()
            return task

        task = server.run(begin())
    wait_for(task.done)
    assert told == [(1001, "The engine ends.")]


def test_a_fault_of_the_engine_is_said_and_logged(
    fresh: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with looking(fresh) as client:
            await look(client)
            window = await window_of(fresh)

            async def broken() -> ViewFrame:
                raise ZeroDivisionError("by nought")

            vars(window)["next_frame"] = broken
            window.show(frame(1))
            await take(client)  # the feed was waiting already
            assert (await end_of(client))[0] == aiohttp.WSCloseCode.INTERNAL_ERROR

    fresh.run(work())
    assert "by nought" in caplog.text
    wait_for(lambda: not fresh.engine.windows)
