"""Addresses that try to lead out of the run, in every spelling; the headers of every answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.viewer.run_to_browse import write_client, write_run_to_browse
from tests.viewer.server import Reply, Server, Way, running, short_id
from tests.viewer.test_browse import cloud_of
from tests.viewer.test_security import UPGRADE, refused
from viewer.app import create_app
from viewer.security import HEADERS

WAYS: tuple[Way, ...] = ("socket", "tcp")
UP = (
    "..", ".", "%2e%2e", "%2E%2E", "..%2f", "..%2F..", "%252e%252e", "%252e%252e%252f", "..%5c",
    "..\\", "%5c..", "..;", "..%00", "%00", "....//", "..%c0%af", "%c0%ae%c0%ae", "%uff0e%uff0e",
    "\u2025", "..%09", "~", "~root", "C:", "%7e", "*", "", "...", ".git", ".lock", "{cloud}%2f..",
)  # fmt: skip
PLACES = (
    "/{up}/run.toml",
    "/assets/{up}/index.html",
    "/assets/{up}",
    "/clouds/{up}/points.bin",
    "/clouds/{cloud}/{up}/points.bin",
    "/clouds/{cloud}/{up}",
    "/meshes/{up}/mesh.glb",
    "/api/previews/{up}/00000012.scene",
    "/api/previews/mapping/{up}",
    "/photographs/{up}/picture",
    "/photographs/0/{up}/picture",
    "/pairs/0/{up}/matches",
    "/renders/{up}",
    "/renders/{up}/flight/film.mp4",
    "/planar/{up}/animation.gif",
)


@pytest.fixture(scope="module")
def planted(browsed: Server) -> Server:
    """That server, with something to be found all around what it serves."""
    folder = browsed.addresses.socket.parent.parent
    for place in (folder, folder / "run", folder / "client", folder / "run" / "clouds"):
        for name in ("index.html", "run.toml", "points.bin", "picture", "passwd"):
            if not (place / name).exists():
                (place / name).write_text("root:secret")
    return browsed


@pytest.mark.parametrize("place", PLACES)
def test_no_spelling_leads_out(planted: Server, place: str) -> None:
    cloud = cloud_of(planted).rpartition("/")[2]
    for up in UP:
        target = place.replace("{up}", up).replace("{cloud}", cloud)
        reply = planted.raw(
            f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("utf-8", "surrogateescape"),
            "socket",
        )
        assert reply is not None, target
        assert b"root:secret" not in reply.body, target
        served = reply.status in (200, 206)
        # `/clouds/X//points.bin` and the like are no addresses; one that is asks for what is there.
        assert not served or target in ("/planar/animation.gif",), target
        assert served or reply.status in (400, 404), (target, reply.status)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/api/state",
        "http://evil.example/api/state",
        "https://localhost/renders/flight.mp4",
        "file:///etc/passwd",
        "//evil.example/api/state",
        "///etc/passwd",
        "*",
        "api/state",
        "/etc/passwd",
        "/api//state",
        "/api/state/",
        "/api/./state",
        "/api/state#x",
        "/api/state%00",
        "/api/state%0d%0aX:1",
        "/api/state;x",
        "/api\\state",
        "?token=x",
        "",
    ],
    ids=short_id,
)
def test_targets_that_are_no_paths(planted: Server, way: Way, target: str) -> None:
    token = planted.access.control_token
    lines = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    reply = planted.raw(lines.encode(), way)
    assert reply is not None
    assert reply.status in (400, 404) and reply.error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("socket", ["/api/stream", "/api/frames"])
@pytest.mark.parametrize(
    ("headers", "title"),
    [
        ({"Origin": "http://evil.example"}, "Foreign Origin"),
        ({"Origin": "null"}, "Foreign Origin"),
        ({"Origin": "http://localhost:1"}, "Foreign Origin"),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, "Foreign Host"),
        ({"Host": "rebound.example"}, "Foreign Host"),
        ({"Sec-Fetch-Site": "cross-site"}, "Foreign page"),
        ({"Sec-Fetch-Site": "same-site"}, "Foreign page"),
    ],
)
def test_both_sockets_are_closed_to_other_pages(
    planted: Server, way: Way, socket: str, headers: dict[str, str], title: str
) -> None:
    before = len(planted.engine.windows), len(planted.engine.subscriptions)
    reply = planted.send(socket, {**UPGRADE, **headers}, way=way)
    assert refused(reply, 403, title)
    assert (len(planted.engine.windows), len(planted.engine.subscriptions)) == before


@pytest.mark.parametrize("socket", ["/api/stream", "/api/frames"])
def test_both_sockets_need_a_token_over_tcp(planted: Server, socket: str) -> None:
    assert refused(planted.send(socket, UPGRADE, token=None), 401, "No valid token")
    assert planted.send(socket, UPGRADE, token=planted.access.view_token).status == 101


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Sec-Fetch-Site": "cross-site"}])  # fmt: skip
@pytest.mark.parametrize("target", ["/api/command", "/api/port"])
def test_other_pages_post_nothing(planted: Server, target: str, headers: dict[str, str]) -> None:
    before = len(planted.engine.commands)
    for way in WAYS:
        reply = planted.send(target, headers, b'{"op": "stop"}', way=way)
        assert reply.status == 403
    assert len(planted.engine.commands) == before


def all_replies(server: Server) -> list[Reply]:
    """An answer of every address, refused and not, by every kind of caller."""
    root = server.addresses.socket.parent.parent / "run"
    app = create_app(server.engine, server.access, root=root, client=root.parent / "client")
    words = {
        "cloud": cloud_of(server).rpartition("/")[2], "file": "points.bin", "stage": "mapping",
        "mesh": "mesh-0123456789ab", "i": "0", "j": "1", "name": "main-ABC123.js",
    }  # fmt: skip
    targets = []
    for resource in app.router.resources():
        about = resource.get_info()
        target = about.get("path") or about["formatter"].format(**words)
        for general, ours in (
            ("mapping/points.bin", "mapping/00000012.scene"),
            ("renders/main-ABC123.js", "renders/orbit.mp4"),
        ):
            target = target.replace(general, ours)
        targets.append(target)
    assert len(targets) > 25
    callers: list[str | None] = ["", None]
    return [
        server.send(target, headers, token=token)
        for target, token, headers in itertools.product(
            targets, callers, ({}, {"Host": "evil.example"}, {"Range": "bytes=0-1"})
        )
    ]


def test_every_answer_of_every_address_has_the_headers(planted: Server) -> None:
    replies = all_replies(planted)
    statuses = {reply.status for reply in replies}
    assert {200, 206, 401, 403, 404, 405} <= statuses
    for reply in replies:
        assert not any(name.startswith("access-control") for name in reply.headers)
        assert reply.headers["cache-control"]
        for name, value in HEADERS.items():
            assert reply.headers[name.lower()] == value
        if reply.status >= 400:
            assert reply.headers["cache-control"] == "no-store"
            assert reply.error or reply.status == 416
        if reply.headers.get("content-type", "").startswith("text/html"):
            assert b"<script>" not in reply.body and b"onerror" not in reply.body


def test_nothing_of_a_run_that_others_wrote_becomes_a_page(tmp_path: Path) -> None:
    """Names and texts of a run are shown as text; its files never have the type of a page."""
    write_run_to_browse(tmp_path / "run")
    write_client(tmp_path / "client")
    index = tmp_path / "run" / "photos" / "index.json"
    index.write_text(index.read_text().replace("00000.jpg", "<script>alert(1)</script>"))
    (tmp_path / "originals" / "a.jpg").write_text("<html><script>alert(1)</script>")
    (tmp_path / "run" / "renders" / "page.html").write_text("<script>alert(1)</script>")
    with running(tmp_path, root=tmp_path / "run") as server:
        for target in ("/api/photographs", "/photographs/0/picture", "/api/renders"):
            kind = server.send(target).headers["content-type"]
            assert kind.startswith(("application/json", "image/jpeg"))
        assert server.send("/renders/page.html").status == 404
