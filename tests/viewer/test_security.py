"""Every rule of who may use the server, each with its refusal."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from tests.viewer.fake_engine import ENGINE
from tests.viewer.server import Reply, Server, Way, running
from viewer.access import Access
from viewer.security import HEADERS

PAUSE = b'{"op": "pause"}'
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}
WAYS: tuple[Way, ...] = ("socket", "tcp")


def refused(reply: Reply, status: int, title: str) -> bool:
    return (reply.status, reply.error["title"]) == (status, title)


# Tokens and roles


def test_the_socket_needs_no_token_and_the_port_does(server: Server) -> None:
    assert server.send("/api/state", way="socket").status == 200
    assert refused(server.send("/api/state", token=None), 401, "No valid token")
    assert server.send("/api/state").status == 200
    assert server.send("/api/state", token=server.access.view_token).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {half}"},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer {token} {token}"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer t\u00f6ken"},
        {"Authorization": "Bearer \udcff\udcfe"},
        {"Authorization": "Bearer wrong", "Cookie": "barfield-{engine}={token}"},
        {"Cookie": "barfield-{engine}={half}"},
        {"Cookie": "barfield-other={token}"},
        {"Cookie": "barfield={token}"},
        {"Cookie": "token={token}"},
        {"X-Token": "{token}"},
    ],
)
def test_wrong_tokens(server: Server, headers: Mapping[str, str]) -> None:
    token = server.access.control_token
    words = {"token": token, "half": token[:20], "engine": ENGINE}
    filled = {name: value.format(**words) for name, value in headers.items()}
    assert refused(server.send("/api/state", filled, token=None), 401, "No valid token")
    reply = server.send("/api/command", filled, PAUSE, token=None)
    assert refused(reply, 401, "No valid token")


@pytest.mark.parametrize("target", ["/api/state", "/api/command", "/api/stream", "/api/nothing"])
def test_a_token_in_the_address_opens_only_the_page(server: Server, target: str) -> None:
    reply = server.send(f"{target}?token={server.access.control_token}", token=None)
    assert refused(reply, 401, "No valid token")


def test_a_link_signs_a_browser_in(server: Server) -> None:
    token = server.access.control_token
    reply = server.send(f"/?token={token}", token=None)
    assert (reply.status, reply.headers["location"], reply.body) == (303, "/", b"")
    cookie, *attributes = reply.headers["set-cookie"].split("; ")
    assert cookie == f"barfield-{ENGINE}={token}"
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert server.send("/", {"Cookie": cookie}, token=None).status == 200
    assert server.send("/api/command", {"Cookie": cookie}, PAUSE, token=None).status == 200


@pytest.mark.parametrize("way", WAYS)
def test_a_link_with_a_wrong_token_signs_nobody_in(server: Server, way: Way) -> None:
    reply = server.send("/?token=wrong", token=None, way=way)
    assert refused(reply, 401, "No valid token")
    assert "set-cookie" not in reply.headers


def test_a_link_takes_nothing_but_the_token(server: Server) -> None:
    token = server.access.control_token
    assert server.send(f"/?token={token}&next=/x", token=None).status == 400
    assert server.send(f"/?token={token}&token={token}", token=None).status == 400
    assert "token" not in server.send("/", way="socket").body.decode()


def test_the_view_token_reads_everything_and_commands_nothing(server: Server) -> None:
    view = server.access.view_token
    for target in ("/", "/api/state", "/api/config", "/api/schema", f"/api/events?engine={ENGINE}"):
        assert server.send(target, token=view).status == 200
    before = len(server.engine.commands)
    assert refused(server.send("/api/command", body=PAUSE, token=view), 403, "View only")
    cookie = {"Cookie": f"barfield-{ENGINE}={view}"}
    assert refused(server.send("/api/command", cookie, PAUSE, token=None), 403, "View only")
    assert len(server.engine.commands) == before


@pytest.mark.parametrize(
    ("engine", "control", "view"),
    [
        ("e", "c" * 31, "v" * 32),
        ("e", "c" * 32, ""),
        ("e", "c" * 32, "c" * 32),
        ("e;x=1", "c" * 32, "v" * 32),
        ("", "c" * 32, "v" * 32),
    ],
)
def test_keys_that_protect_nothing_are_refused(engine: str, control: str, view: str) -> None:
    with pytest.raises(ValueError, match=r"token|cookie"):
        Access(engine, control, view)


def test_tokens_are_long_new_and_not_printed() -> None:
    one, two = Access.fresh("e"), Access.fresh("e")
    tokens = {one.control_token, one.view_token, two.control_token, two.view_token}
    assert len(tokens) == 4
    assert all(len(token) >= 43 for token in tokens)  # 32 bytes
    assert not any(token in f"{one!r} {one}" for token in tokens)


def test_tokens_are_never_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = server.access.control_token
    server.send(f"/?token={token}", token=None)
    server.send(f"/nothing?token={token}", token=None)
    server.send(f"/api/state?token={token}")
    for broken in ("GET /?token={} HTTP/9.9\r\n\r\n", "GET /?token={}\x00 HTTP/1.1\r\n\r\n"):
        reply = server.raw(broken.format(token).encode())
        assert reply is not None
        assert token not in reply.body.decode()
    assert token not in caplog.text


# Where a request comes from


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:1", "localhost:65535", "LOCALHOST", "[::1]", "[::1]:8080"],
)
def test_hosts_that_are_this_machine(server: Server, way: Way, host: str) -> None:
    assert server.send("/api/state", {"Host": host}, way=way).status == 200


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#localhost",
        "localhost.",
        "127.0.0.1:",
        "127.0.0.1:port",
        "127.0.0.1:123456",
        "127.0.0.1:80:80",
        "127.0.0.2",
        "0.0.0.0",
        "::1",
        "[::1",
        "[::2]",
        "127.1",
        "2130706433",
        "localhost, evil.example",
        "",
    ],
)
def test_foreign_hosts(server: Server, way: Way, host: str) -> None:
    assert refused(server.send("/api/state", {"Host": host}, way=way), 403, "Foreign Host")


@pytest.mark.parametrize(
    "request_lines",
    [
        "GET /api/state HTTP/1.0\r\n\r\n",
        "GET /api/state HTTP/1.1\r\n\r\n",
        "GET /api/state HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET /api/state HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n",
        "GET /api/state HTTP/1.1\r\nhost: localhost\r\nHost: localhost\r\n\r\n",
    ],
)
def test_exactly_one_host(server: Server, request_lines: str) -> None:
    reply = server.raw(request_lines.encode(), "socket")
    assert reply is not None
    assert reply.status in (400, 403)
    assert reply.error


def test_a_host_that_the_user_named_is_known(tmp_path: Path) -> None:
    access = Access.fresh(ENGINE, hosts=["GPU-Box.example", "[fd00::1]"])
    with running(tmp_path, access=access) as server:
        for host in ("gpu-box.example:8080", "[fd00::1]:8080", "127.0.0.1"):
            assert server.send("/api/state", {"Host": host}).status == 200
        reply = server.send("/api/state", {"Host": "other.example"})
        assert refused(reply, 403, "Foreign Host")


ORIGINS = [
    ("http://localhost:8080", True),
    ("https://localhost:8080", True),
    ("http://localhost", False),
    ("http://localhost:8081", False),
    ("http://127.0.0.1:8080", False),
    ("http://evil.example", False),
    ("http://localhost:8080.evil.example", False),
    ("http://localhost:8080@evil.example", False),
    ("ws://localhost:8080", False),
    ("null", False),
    ("", False),
    ("file://", False),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("origin", "allowed"), ORIGINS)
def test_origin(server: Server, way: Way, origin: str, allowed: bool) -> None:
    headers = {"Host": "localhost:8080", "Origin": origin}
    before = len(server.engine.commands)
    post = server.send("/api/command", headers, PAUSE, way=way)
    get = server.send("/api/state", headers, way=way)
    stream = server.send("/api/stream", {**headers, **UPGRADE}, way=way)
    if allowed:
        assert (post.status, get.status, stream.status) == (200, 200, 101)
    else:
        assert all(refused(reply, 403, "Foreign Origin") for reply in (post, get, stream))
    assert len(server.engine.commands) - before == allowed


def test_without_an_origin_it_is_a_script(server: Server) -> None:
    assert server.send("/api/command", body=PAUSE).status == 200
    assert server.send("/api/stream", UPGRADE).status == 101


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH_SITES = [
    ("same-origin", {}, True, True),
    ("none", NAVIGATION, True, False),
    ("none", {}, True, False),
    ("none", {"Sec-Fetch-Mode": "cors"}, False, False),
    ("none", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False, False),
    ("cross-site", {}, False, False),
    ("cross-site", NAVIGATION, False, False),
    ("same-site", {}, False, False),
    ("", {}, False, False),
    ("unknown", {}, False, False),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("site", "more", "get_allowed", "post_allowed"), FETCH_SITES)
def test_fetch_metadata(
    server: Server,
    way: Way,
    site: str,
    more: Mapping[str, str],
    get_allowed: bool,
    post_allowed: bool,
) -> None:
    headers = {"Sec-Fetch-Site": site, **more}
    get = server.send("/", headers, way=way)
    post = server.send("/api/command", headers, PAUSE, way=way)
    for reply, allowed in ((get, get_allowed), (post, post_allowed)):
        assert reply.status == 200 if allowed else refused(reply, 403, "Foreign page")


# Headers and methods


def test_every_answer_has_the_headers_and_none_opens_it_to_other_pages(server: Server) -> None:
    origin = {"Origin": "http://127.0.0.1"}
    replies = [
        server.send("/"),
        server.send("/api/state", origin),
        server.send("/api/stream", {**UPGRADE, **origin}),
        server.send(f"/?token={server.access.control_token}"),
        server.send("/api/nothing"),
        server.send("/api/state", token=None),
        server.send("/api/state", {"Host": "evil.example"}),
        server.send("/api/command", body=b"{"),
        server.send("/api/state", method="DELETE"),
        server.send("/api/state", {"Expect": "wonders"}),
        server.send("/api/state", {"X-Long": "x" * 9000}),
        server.raw(b"nonsense\r\n\r\n"),
    ]
    statuses = {reply.status for reply in replies if reply is not None}
    assert statuses == {101, 200, 303, 400, 401, 403, 404, 405, 417}
    for reply in replies:
        assert reply is not None
        assert reply.headers["cache-control"] == "no-store"
        assert not any(name.startswith("access-control") for name in reply.headers)
        for name, value in HEADERS.items():
            assert reply.headers[name.lower()] == value
        if reply.status >= 400:
            assert reply.error


def test_the_policy_forbids_what_a_page_here_never_needs() -> None:
    policy = HEADERS["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("target", ["/", "/api/state", "/api/stream", "/api/schema"])
def test_other_methods(server: Server, method: str, target: str) -> None:
    reply = server.send(target, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "GET")
    if method != "HEAD":
        assert refused(reply, 405, "Wrong method")


def test_a_command_is_posted(server: Server) -> None:
    reply = server.send("/api/command?op=pause")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"],
)
def test_a_form_of_another_page_is_no_command(server: Server, content_type: str) -> None:
    before = len(server.engine.commands)
    reply = server.send("/api/command", {"Content-Type": content_type}, PAUSE)
    assert refused(reply, 415, "Not JSON")
    assert len(server.engine.commands) == before


# The socket


def test_socket_and_folder_are_the_users_alone(server: Server) -> None:
    path = server.addresses.socket
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_folder_that_others_could_enter_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "s"
    if kind == "open":
        folder.mkdir(mode=0o755)
    elif kind == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "real")
    else:
        folder.touch()
    with pytest.raises(PipelineError, match=r"Unsafe folder|No socket"), running(tmp_path):
        pass


AS_SOMEBODY = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /api/state HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    print(sock.recv(65536).decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_kept_out_by_the_folder_and_else_by_his_number() -> None:
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as server:
        Path(name).chmod(0o755)
        path = server.addresses.socket
        command = [sys.executable, "-I", "-S", "-c", AS_SOMEBODY, str(path)]
        ask = partial(subprocess.run, capture_output=True, text=True, check=False)
        assert "PermissionError" in ask([*command, "65534"]).stderr
        path.parent.chmod(0o755)
        path.chmod(0o666)
        theirs, ours = ask([*command, "65534"]), ask([*command, "0"])
    assert theirs.stdout.startswith("HTTP/1.1 403"), theirs.stderr
    assert "Another user" in theirs.stdout
    assert ours.stdout.startswith("HTTP/1.1 200"), ours.stderr
