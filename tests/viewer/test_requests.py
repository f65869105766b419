"""Bytes that no honest client sends: each is refused with a reason, and the next client served."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.viewer.server import Reply, Server, running, short_id
from viewer.limits import Limits

LIMIT = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that never tires of commands."""
    limits = Limits(commands_at_once=10**6)
    with running(tmp_path_factory.mktemp("server"), limits) as server:
        yield server


@pytest.fixture(autouse=True)
def _still_serves(server: Server) -> Iterator[None]:
    before = len(server.engine.commands)
    yield
    assert server.send("/api/state", way="socket").status == 200
    assert len(server.engine.commands) == before


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "target",
    [
        b"/../api/state",
        b"/./api/state",
        b"/api/../api/state",
        b"/api/./state",
        b"/api/state/..",
        b"/%2e%2e/api/state",
        b"/api/%2e%2e/api/state",
        b"/api/..%2fstate",
        b"/api%2fstate",
        b"/api/%73tate",
        b"/%00",
        b"/api/state%00",
        b"/api/state;x=1",
        b"/api/state#x",
        b"//api/state",
        b"/api//state",
        b"//evil.example/api/state",
        b"/\\evil.example",
        b"/api\\state",
        b"/.git/config",
        b"/etc/passwd/../../api/state",
        b"/~root",
        b"/api/st\xc3\xa4te",
        b"/api/state\xff",
        b"http://localhost/api/state",
        b"http://evil.example/api/state",
        b"https://localhost:443/api/state",
        b"file:///etc/passwd",
        b"localhost:80",
        b"*",
        b"?",
        b"api/state",
        b"/api/state\x00",
        b"/api/state\x0b",
        b"/api/state\x7f",
        b"/" + b"a" * 9000,
        b"/api/state?" + b"a" * 9000,
        b"/api/state?x=" + b"%ff" * 100,
        b"/api/state?x=\xff",
        b"/api/state?token=%00",
    ],
    ids=short_id,
)
def test_tricks_with_the_path(server: Server, target: bytes) -> None:
    reply = server.raw(get(target), "socket")
    assert reply is not None
    assert reply.status in (400, 404)
    assert reply.error
    assert "/work" not in reply.body.decode()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: yes\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX\xff: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: x\r\n" * 1000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: wonderful\r\n\r\n",
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=short_id,
)
def test_what_is_not_http(server: Server, data: bytes) -> None:
    reply = server.raw(data, "socket")
    assert reply is not None
    assert reply.status in (400, 403)
    assert reply.error


def post(server: Server, body: bytes) -> Reply:
    return server.send("/api/command", body=body, way="socket")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "character 0"),
        (b"{", "character"),
        (b"pause", "character"),
        (b'{"op": "pause"} {"op": "stop"}', "character"),
        (b'{"op": "pause",}', "character"),
        (b"\xff\xfe{}", "UTF-8"),
        (b'{"op": "\xff"}', "UTF-8"),
        (b"null", "the message"),
        (b"1", "the message"),
        (b'"pause"', "the message"),
        (b"[]", "the message"),
        (b"{}", "op"),
        (b'{"op": "explode"}', "op"),
        (b'{"op": null}', "op"),
        (b'{"op": ["pause"]}', "op"),
        (b'{"op": "pause", "op": "stop"}', "twice"),
        (b'{"op": "pause", "now": true}', "now"),
        (b'{"op": "run-until", "stage": 3}', "stage"),
        (b'{"op": "run-until", "stage": "' + b"x" * 41 + b'"}', "stage"),
        (b'{"op": "set"}', "changes"),
        (b'{"op": "set", "changes": {}}', "changes"),
        (b'{"op": "set", "changes": []}', "changes"),
        (b'{"op": "set", "changes": {"a.b": NaN}}', "a.b"),
        (b'{"op": "set", "changes": {"a.b": -Infinity}}', "a.b"),
        (b'{"op": "set", "changes": {"a.b": 1e999}}', "a.b"),
        (b'{"op": "set", "changes": {"a.b": 9007199254740993}}', "a.b"),
        (b'{"op": "set", "changes": {"a.b": -' + b"9" * 400 + b"}}", "a.b"),
        (b'{"op": "set", "changes": {"a.b": ' + b"9" * 5000 + b"}}", "number"),
        (b'{"op": "set", "changes": {"a.b": "\\ud800"}}', "a.b"),
        (b'{"op": "set", "changes": {"\\udfff": 1}}', "key"),
        (b'{"op": "set", "changes": {"' + b"k" * 81 + b'": 1}}', "kkk"),
        (b'{"op": "set", "changes": {"a.b": 1}, "base_revision": -1}', "base_revision"),
        (b'{"op": "set", "changes": {"a.b": 1}, "base_revision": 1.5}', "base_revision"),
        (b'{"op": "set", "changes": {"a.b": 1}, "confirm": "perhaps"}', "confirm"),
        (b'{"op": "set", "changes": {"a.b": ' + b"[" * 17 + b"]" * 17 + b"}}", "deep"),
        (b"[" * 2000, "deep"),
        (b'{"a":' * 2000, "deep"),
        (b"[" * 200_000, "4000 values"),
        (b"[" + b"1," * 5000 + b"1]", "4000 values"),
        (json.dumps({"op": "set", "changes": dict.fromkeys(map(str, range(65)))}).encode(), "64"),
    ],
    ids=short_id,
)
def test_malformed_commands_are_named(server: Server, body: bytes, word: str) -> None:
    reply = post(server, body)
    assert (reply.status, reply.error["title"]) == (400, "Malformed message")
    assert word in reply.error["message"]
    assert len(reply.body) < 1000
    assert "/api/schema" in reply.error["hint"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/jsonp"},
    ],
    ids=short_id,
)
def test_other_codings_are_refused(server: Server, headers: dict[str, str]) -> None:
    bomb = gzip.compress(b" " * 10_000_000 + b'{"op": "pause"}')
    reply = server.send("/api/command", headers, bomb, way="socket")
    assert (reply.status, reply.error["title"]) == (415, "Not JSON")


def test_a_body_is_as_long_as_it_may_be_and_no_longer(server: Server) -> None:
    body = b'{"op": "nothing"' + b" " * (LIMIT - 17) + b"}"
    assert len(body) == LIMIT
    assert post(server, body).status == 400  # read, and found wanting
    assert post(server, body + b" ").status == 413
    assert post(server, b"x" * 5 * LIMIT).status == 413


def test_a_declared_length_is_believed_before_anything_is_sent(server: Server) -> None:
    head = (
        b"POST /api/command HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 999999999999\r\n\r\n"
    )
    reply = server.raw(head, "socket")
    assert reply is not None
    assert (reply.status, reply.error["title"]) == (413, "Too long")


CHUNKED = (
    b"POST /api/command HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 413),  # repeated until the server has enough
        (b"zz\r\n", 400),
        (b"-1\r\nx\r\n", 400),
        (b"5\r\nhelloworld\r\n0\r\n\r\n", 400),
        (b"ffffffffffffffffffff\r\n", 400),
        (b"1;" + b"x" * 9000 + b"\r\nx\r\n0\r\n\r\n", 400),
        (b"2\r\n{}\r\n0\r\n\r\n", 400),
    ],
    ids=short_id,
)
def test_chunked_bodies(server: Server, chunks: bytes, status: int) -> None:
    reply = server.raw(CHUNKED + chunks * (40 if status == 413 else 1), "socket")
    assert reply is not None
    assert reply.status == status
    assert reply.error


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, Limits(body_s=0.2)) as slow:
        for data in (CHUNKED, CHUNKED + b"5\r\n{"):
            reply = slow.raw(data, "socket")
            assert reply is not None
            assert (reply.status, reply.error["title"]) == (408, "Too slow")


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    one = b"GET /api/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = get(b"/api/config")
    with server.connect("socket") as sock:
        sock.sendall(one * 100 + last)
        data = b""
        while more := sock.recv(65536):
            data += more
    assert data.count(b"HTTP/1.1 404") == 100
    assert data.count(b"HTTP/1.1 200") == 1
    assert data.rindex(b"HTTP/1.1 404") < data.index(b"HTTP/1.1 200")


def test_the_worst_body_does_not_hold_up_the_loop(server: Server) -> None:
    """The longest body of each kind takes less than 50 ms of the loop's own processor time."""
    bodies = [
        b"[" * LIMIT,
        b'{"a":' * (LIMIT // 5),
        b"[" + b"1," * (LIMIT // 2 - 2) + b"1]",
        b"[" + b"{}," * (LIMIT // 3 - 2) + b"1]",
        b"{" + b",".join(b'"%d":1' % number for number in range(100_000)) + b"}",
        b'"' + b"\\ud83d\\ude00" * (LIMIT // 12 - 1) + b'"',
        b'{"op":"' + b"x" * (LIMIT - 20) + b'"}',
    ]

    async def longest_turn() -> float:
        longest, before = 0.0, time.thread_time()
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now
        return longest

    done = False
    measured = asyncio.run_coroutine_threadsafe(longest_turn(), server.loop)
    statuses = [post(server, body).status for body in bodies]
    done = True
    assert statuses == [400] * len(bodies)
    assert measured.result(10) < 0.05
