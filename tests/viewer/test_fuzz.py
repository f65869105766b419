"""Whatever is sent: never a failure of the server, never silence, always JSON with a reason."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.messages import COMMAND, MESSAGES, Told
from tests.viewer.server import PATIENCE_S, Reply, Server, running
from viewer.limits import Limits

FUZZ = settings(derandomize=True, deadline=None, max_examples=120)
ROUTES = ("/", "/api/state", "/api/events", "/api/stream", "/api/command", "/api/config",
          "/api/log", "/api/config/schema", "/api/schema", "/api/metrics", "/api")  # fmt: skip


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that never tires of commands and does not wait long, and that logs no error."""
    limits = Limits(commands_at_once=10**6, body_s=0.05)
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        with running(tmp_path_factory.mktemp("server"), limits) as server:
            yield server
            assert server.send("/api/state").status == 200
    finally:
        logging.getLogger().removeHandler(errors)
    assert errors.records == []


def refused(reply: Reply) -> bool:
    """Whether a reply is a refusal in good form; it is never a failure."""
    assert 400 <= reply.status < 500, reply
    return bool(reply.error["message"]) and "Traceback" not in reply.body.decode()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["pause", "set", "mapping", "a.b", "\ud800", "\0", "\u202e"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
OPS = ["pause", "resume", "stop", "checkpoint", "retry", "run-until", "set"]
commands = st.fixed_dictionaries(
    {"op": st.sampled_from(OPS)},
    optional={
        "stage": scalars,
        "changes": st.dictionaries(st.text(max_size=6), values, max_size=4) | values,
        "base_revision": st.integers(-2, 5) | scalars,
        "confirm": st.booleans() | scalars,
        "extra": values,
    },
)
likely = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(OPS)}),
    st.fixed_dictionaries(
        {
            "op": st.just("set"),
            "changes": st.dictionaries(st.text("ab.", min_size=1), st.floats(0, 1), min_size=1),
        },
        optional={"confirm": st.booleans()},
    ),
)


@FUZZ
@given(data=commands | likely | values, ascii_only=st.booleans())
def test_commands(server: Server, data: Any, ascii_only: bool) -> None:
    before = len(server.engine.commands)
    text = json.dumps(data, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "surrogatepass")
    reply = server.send("/api/command", body=body, way="socket")
    if reply.status == 200:
        assert len(server.engine.commands) == before + 1
        taken = server.engine.commands[-1][0]
        assert taken == COMMAND.validate_python(data, strict=True)
        assert json.loads(taken.model_dump_json(exclude_unset=True)) == data
    else:
        assert refused(reply)
        assert len(server.engine.commands) == before


@FUZZ
@given(body=st.binary(max_size=300) | st.text("[]{}:,\"'\\0123.eE+-nulltrefas op", max_size=60).map(
    str.encode))  # fmt: skip
def test_bodies(server: Server, body: bytes) -> None:
    assert refused(server.send("/api/command", body=body, way="socket"))


names = st.sampled_from(
    ["engine", "since", "wait", "stage", "name", "lines", "buckets", "token", "x", ""]
)
parts = st.binary(max_size=12) | st.sampled_from(
    [b"1", b"0", b"-1", b"1e9", b"features", b"mapping", b"points", b"%", b"%ff", b"%00", b"a%2eb"]
)


@FUZZ
@given(route=st.sampled_from(ROUTES), pairs=st.lists(st.tuples(names, parts), max_size=4))
def test_queries(server: Server, route: str, pairs: list[tuple[str, bytes]]) -> None:
    query = b"&".join(name.encode() + b"=" + value for name, value in pairs)
    head = b"GET " + route.encode() + b"?" + query + b" HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n"
    reply = server.raw(head, "socket")
    assert reply is not None
    assert reply.status in (200, 303) or refused(reply)


@FUZZ
@given(
    start=st.sampled_from([b"/x", b"/.", b"//", b"/%", b"/api/state/"]),
    rest=st.text("/.%\\;:@~aeipst2f0 \t", max_size=30).map(str.encode) | st.binary(max_size=20),
)
def test_paths(server: Server, start: bytes, rest: bytes) -> None:
    target = start + rest
    reply = server.raw(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n", "socket")
    assert reply is not None
    assert refused(reply)


HEADERS = ["Host", "Origin", "Cookie", "Authorization", "Sec-Fetch-Site", "Sec-Fetch-Mode",
           "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Expect",
           "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Range",
           "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "If-Match", "X"]  # fmt: skip
WORDS = [b"localhost", b"null", b"none", b"same-origin", b"cross-site", b"application/json",
         b"gzip", b"chunked", b"identity", b"100-continue", b"websocket", b"upgrade", b"close",
         b"13", b"0",
         b"Bearer ", b"Bearer x", b"bytes=0-", b"MDEyMzQ1Njc4OWFiY2RlZg==", b"a=b; c=d", b"\xff",
         b'a="\\"', b"application/json; charset=\xff", b"http://localhost", b"localhost:99999",
         b"[::1]", b"[::1", b"5", b"99999999999", b"permessage-deflate; x=1"]  # fmt: skip
headers = st.lists(
    st.tuples(
        st.sampled_from(HEADERS), st.sampled_from(WORDS) | st.binary(max_size=12).map(bytes.strip)
    ),
    max_size=5,
)


@settings(FUZZ, max_examples=250)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "TRACE", "G\u00cbT", "get"]),
    route=st.sampled_from(ROUTES),
    lines=headers,
    with_host=st.booleans(),
    way=st.sampled_from(["socket", "tcp"]),
)
def test_headers(
    server: Server,
    method: str,
    route: str,
    lines: list[tuple[str, bytes]],
    with_host: bool,
    way: Any,
) -> None:
    head = f"{method} {route} HTTP/1.1\r\n".encode()
    head += b"Host: localhost\r\n" if with_host else b""
    head += b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines)
    reply = server.raw(head + b"\r\n" + b'{"op": "pause"}', way)
    assert reply is not None
    assert reply.status in (101, 200) or refused(reply)
    if reply.status < 400:
        assert way == "socket"  # no token was sent


@settings(FUZZ, max_examples=30)
@given(messages=st.lists(st.tuples(st.integers(-5, 5), commands | likely), min_size=1, max_size=5))
def test_asks(server: Server, messages: list[tuple[int, Any]]) -> None:
    async def work() -> None:
        connector = aiohttp.UnixConnector(str(server.addresses.socket))
        async with (
            aiohttp.ClientSession("http://localhost", connector=connector) as session,
            session.ws_connect("/api/stream") as client,
            asyncio.timeout(PATIENCE_S),
        ):
            assert (await client.receive_json())["type"] == "hello"
            for number, command in messages:
                ask = {"type": "command", "id": number, "command": command}
                await client.send_str(json.dumps(ask))
                answer = await client.receive()
                if answer.type is aiohttp.WSMsgType.CLOSE:
                    # What is no JSON of ours has no number to answer to.
                    assert client.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
                    return
                told = Told.model_validate_json(answer.data)
                assert told.id == number
                assert told.answer.ok or told.answer.message

    server.run(work())


def test_every_message_has_a_schema_that_refuses_unknown_fields(server: Server) -> None:
    schemas = server.send("/api/schema").json
    assert set(schemas) == {message.__name__ for message in MESSAGES}
    for schema in schemas.values():
        assert schema["additionalProperties"] is False
