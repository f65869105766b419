"""What a client may use up, and what it is told beyond that."""

from __future__ import annotations

from pathlib import Path

from tests.viewer.fake_engine import ENGINE
from tests.viewer.server import read_reply, running, wait_for
from viewer.limits import Limits, TokenBucket


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


def test_only_so_many_connections_and_the_users_socket_stays_free(tmp_path: Path) -> None:
    with running(tmp_path, Limits(connections=5)) as server:
        held = [server.connect() for _ in range(5)]
        with server.connect() as crowded:
            reply = read_reply(crowded)
            assert reply is not None
            assert (reply.status, reply.error["title"]) == (503, "Too many connections")
        assert server.send("/api/state", way="socket").status == 200
        for sock in held:
            sock.close()
        wait_for(lambda: server.send("/api/state").status == 200)


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
