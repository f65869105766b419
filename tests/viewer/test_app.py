"""Where the server listens, and what it costs to have it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.messages import EventsAnswer
from pipeline.errors import PipelineError
from tests.viewer.fake_engine import ENGINE, FakeEngine
from tests.viewer.server import read_reply, running, wait_for
from viewer.access import Access
from viewer.app import Addresses, create_app, serve


async def addresses_of(
    path: Path, host: str = "127.0.0.1", ports: tuple[int, ...] = ()
) -> Addresses:
    """Where a server listens that is closed again."""
    app = create_app(FakeEngine(), Access.fresh(ENGINE))
    async with serve(app, path, host, ports) as addresses:
        assert path.is_socket()
        return addresses


def test_there_is_no_port_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "s" / "engine.sock"
    assert asyncio.run(addresses_of(path)) == Addresses(path, "127.0.0.1", None)
    assert not path.exists()


def test_the_port_is_on_the_loopback_interface_only(tmp_path: Path) -> None:
    with running(tmp_path) as server, socket.socket() as elsewhere:
        port = server.addresses.port
        assert port is not None
        # All of 127.0.0.0/8 is this machine: bound to every address, this one would answer too.
        with pytest.raises(ConnectionRefusedError):
            elsewhere.connect(("127.0.0.2", port))


def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = asyncio.run(addresses_of(tmp_path / "s" / "a.sock", ports=(port, 0)))
        assert found.port not in (None, 0, port)
        with pytest.raises(PipelineError) as refused:
            asyncio.run(addresses_of(tmp_path / "s" / "b.sock", ports=(port,)))
    assert str(port) in refused.value.message
    assert "--port" in refused.value.hint
    assert not (tmp_path / "s" / "b.sock").exists()


def test_a_host_that_is_not_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"192\.0\.2\.1"):
        asyncio.run(addresses_of(tmp_path / "s" / "a.sock", "192.0.2.1", (0,)))


def test_the_socket_of_a_killed_engine_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "s" / "engine.sock"))
    with running(tmp_path) as server:
        assert server.send("/api/state", way="socket").status == 200


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s" / ("x" * 100 + ".sock")
    with pytest.raises(PipelineError, match="too long") as refused:
        asyncio.run(addresses_of(path))
    assert "XDG_RUNTIME_DIR" in refused.value.hint


def test_an_ending_server_answers_its_polls(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        sock = server.connect("socket")
        target = f"/api/events?engine={ENGINE}&since=9&wait=30"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: server.engine.polls == 1)
    with sock:
        reply = read_reply(sock)
        assert reply is not None
        assert EventsAnswer.model_validate_json(reply.body).events == ()
        assert sock.recv(100) == b""


def test_the_server_brings_no_heavy_library() -> None:
    code = "import viewer.app, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    heavy = {"numpy", "scipy", "numba", "cv2", "torch", "open3d", "textual", "typer", "rich", "PIL"}
    assert "viewer.app" in modules
    assert not modules & heavy
    assert not any(name == "tui" or name.startswith("tui.") for name in modules)
