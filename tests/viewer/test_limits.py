"""What a client may use up, and what it is told beyond that."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.viewer.fake_engine import ENGINE
from tests.viewer.server import read_reply, running, wait_for
from viewer.limits import Limits, TokenBucket
from viewer.security import HEADERS


def test_only_so_many_commands_a_second(tmp_path: Path) -> None:
    with running(tmp_path, Limits(commands_per_s=0.001, commands_at_once=3)) as server:
        body = {"op": "pause"}
        assert [server.command(body).status for _ in range(4)] == [200, 200, 200, 429]
        reply = server.command(body)
        assert (reply.status, reply.error["title"]) == (429, "Too many commands")
        assert reply.headers["retry-after"] == "1"
        # Other kinds of clients have their own allowance.
        assert server.command(body, way="socket").status == 200
        assert server.send("/api/state").status == 200


def crowded_out(sock: socket.socket) -> bool:
    """Whether a connection was told that there are too many, and closed."""
    reply = read_reply(sock)
    assert reply is not None
    assert (reply.status, reply.error["title"]) == (503, "Too many connections")
    assert all(reply.headers[name.lower()] == value for name, value in HEADERS.items())
    assert reply.headers["cache-control"] == "no-store"
    return sock.recv(1) == b""


def test_strangers_make_room_for_who_comes_later(tmp_path: Path) -> None:
    with running(tmp_path, Limits(connections=5)) as server:
        with ExitStack() as stack:
            held = [stack.enter_context(server.connect()) for _ in range(5)]
            assert server.send("/api/state").status == 200
            assert crowded_out(held[0])
            assert server.send("/api/state", way="socket").status == 200
        wait_for(lambda: server.send("/api/state").status == 200)


def test_who_has_shown_a_token_is_not_sent_away(tmp_path: Path) -> None:
    with running(tmp_path, Limits(connections=5)) as server, ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(5)]
        token = server.access.view_token
        ask = f"GET /api/state HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        for sock in held:
            sock.sendall(ask.encode())
            assert (read_reply(sock) or pytest.fail("no answer")).status == 200
        with server.connect() as late:
            assert crowded_out(late)
        for sock in held:
            sock.sendall(ask.encode())
            assert (read_reply(sock) or pytest.fail("no answer")).status == 200
        assert server.send("/api/state", way="socket").status == 200


def test_guessing_tokens_is_slowed_down_and_keeps_nobody_out(tmp_path: Path) -> None:
    with running(tmp_path, Limits(guesses_per_s=0.001, guesses_at_once=3)) as server:
        guesses = [server.send("/api/state", token=f"guess-{n}") for n in range(5)]
        assert [reply.status for reply in guesses] == [401] * 3 + [429] * 2
        assert guesses[-1].error["title"] == "Too many wrong tokens"
        assert guesses[-1].headers["connection"] == "close"
        links = [server.send(f"/?token=guess-{n}", token=None).status for n in range(2)]
        assert links == [429, 429]
        assert server.send("/api/state", token=None).status == 401  # that is no guess
        assert server.send("/api/state").status == 200
        assert server.send("/api/state", way="socket").status == 200


def test_only_so_many_polls(tmp_path: Path) -> None:
    with running(tmp_path, Limits(polls=1)) as server, server.connect("socket") as sock:
        target = f"/api/events?engine={ENGINE}&since=9&wait=30"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: server.engine.polls == 1)
        reply = server.send(f"/api/events?engine={ENGINE}&wait=0")
        assert (reply.status, reply.error["title"]) == (503, "Too many clients")


def test_an_allowance_comes_back_with_time() -> None:
    bucket = TokenBucket(per_s=1000.0, at_once=2)
    assert bucket.take()
    assert bucket.take()
    wait_for(bucket.take)
    assert not TokenBucket(per_s=1000.0, at_once=0).take()
