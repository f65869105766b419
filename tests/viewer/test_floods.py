"""Thousands of connections: they neither end the server, nor keep its owner out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.viewer.server import Server, Way, running, wait_for
from viewer.limits import LIMITS

CONNECTIONS = 2500
# Opens connections without end, and holds those that are not closed.
FLOOD = """
import resource, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kind, count, words = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
address = sys.argv[4] if kind == "socket" else ("127.0.0.1", int(sys.argv[4]))
held = []
for _ in range(count):
    sock = socket.socket(socket.AF_UNIX if kind == "socket" else socket.AF_INET)
    sock.connect(address)
    try:
        sock.sendall(words)
    except OSError:
        pass
    held.append(sock)
print("open", flush=True)
sys.stdin.read()
"""


def flood(server: Server, way: Way, words: bytes) -> subprocess.Popen[str]:
    address = server.addresses.socket if way == "socket" else server.addresses.port
    command = [sys.executable, "-I", "-S", "-c", FLOOD, way, str(CONNECTIONS), words.hex()]
    process = subprocess.Popen(
        [*command, str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"GET /api/state HTTP/1.1\r\nHost: loc",
        b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/command HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9\r\n\r\n{",
    ],
    ids=["silent", "half a header", "no token", "half a body"],
)
def test_a_flood_over_tcp_keeps_nobody_out(tmp_path: Path, words: bytes) -> None:
    with running(tmp_path) as server:
        before = open_descriptors()
        process = flood(server, "tcp", words)
        try:
            wait_for(lambda: open_descriptors() <= before + LIMITS.connections + 8)
            assert server.send("/api/state", way="socket").status == 200
            assert server.send("/api/state").status == 200
            assert server.command({"op": "pause"}, way="socket").status == 200
        finally:
            process.communicate()
        wait_for(lambda: open_descriptors() <= before + 2)
        assert server.send("/api/state").status == 200


def test_a_flood_of_the_owners_own_ends_with_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        before = open_descriptors()
        process = flood(server, "socket", b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            wait_for(lambda: open_descriptors() <= before + LIMITS.connections + 8)
            assert server.send("/api/state").status == 200
        finally:
            process.communicate()
        wait_for(lambda: server.send("/api/state", way="socket").status == 200)
