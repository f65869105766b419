"""Ports that are opened while the server runs: by its owner only, and for whom they are then."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.messages import FIRST_PORT, PORTS_TRIED
from tests.viewer.server import Reply, Server, Way, running
from viewer.ports import free_ports


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


def ask(server: Server, way: Way = "socket", **fields: Any) -> Reply:
    return server.send("/api/port", body=json.dumps(fields).encode(), way=way)


def get(port: int, host: str, token: str) -> int:
    """Status of a request to a port, with that `Host`."""
    with socket.create_connection(("127.0.0.1", port), 20.0) as sock:
        lines = ("GET /api/state HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}")
        sock.sendall("\r\n".join((*lines, "", "")).encode())
        return int(sock.recv(1000).split()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_owner_opens_a_port_and_another_one(server: Server) -> None:
    assert ask(server).json == {"host": "127.0.0.1", "port": server.addresses.port}  # that will do
    port = free_port()
    assert ask(server, port=port).json["port"] == port == ask(server, port=port).json["port"]
    assert get(port, f"127.0.0.1:{port}", server.access.view_token) == 200
    assert get(port, "evil.example", server.access.view_token) == 403
    assert server.send("/api/state").status == 200  # the first one stays


def test_nobody_else_opens_one(server: Server) -> None:
    reply = ask(server, way="tcp", port=free_port())
    assert (reply.status, reply.error["title"]) == (403, "Not from here")


def test_a_port_that_is_taken_is_said(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        reply = ask(server, port=taken.getsockname()[1])
    assert (reply.status, reply.error["title"]) == (409, "Port taken")
    assert ask(server, host="203.0.113.7", port=free_port()).status == 409


@pytest.mark.parametrize("fields", [{"port": 0}, {"port": "1"}, {"port": 70000}, {"host": ""},
                                    {"path": "x"}, {"host": "x" * 300}])  # fmt: skip
def test_what_is_no_address_is_refused(server: Server, fields: dict[str, Any]) -> None:
    assert ask(server, **fields).status == 400


def test_an_exposed_port_knows_this_machines_names_and_no_others(server: Server) -> None:
    token, name = server.access.view_token, socket.gethostname().lower()
    port = server.addresses.port or 0
    assert get(port, name, token) == 403  # not before
    opened = ask(server, host="0.0.0.0", port=free_port()).json
    assert opened["host"] == "0.0.0.0"
    for host, status in ((name, 200), ("127.0.0.1", 200), ("evil.example", 403), ("0.0.0.0", 403)):
        assert get(opened["port"], f"{host}:{opened['port']}", token) == status
    assert get(opened["port"], name, "wrong") == 401


def test_the_first_free_port_and_in_the_end_any() -> None:
    ports = free_ports()
    assert ports[0] == FIRST_PORT and ports[-1] == 0 and len(ports) == PORTS_TRIED + 1
    assert free_ports(65530) == (*range(65530, 65536), 0)
