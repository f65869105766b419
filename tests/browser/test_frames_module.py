"""The client's end of `/api/frames` alone: what it asks, acknowledges, shows, and tries again."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import WebSocketRoute

from pipeline.view_requests import FrameAsk, FrameHeader, ViewFrame, ViewRequest
from tests.browser.modules import open_modules
from tests.browser.tab import Tab
from viewer.frames import as_bundle

SOURCE = 'export { Frames } from "./scene/frames";'
BEGIN = """
() => {
  window.frames_ = new m.Frames();
  window.shown = [];
  window.problems = [];
  frames_.frame.on((frame) => {
    shown.push({
      seq: frame.header.seq, width: frame.picture.width, asked: frame.request.seq,
      depth: frame.depth && Array.from(frame.depth), lag: frame.lag,
    });
    if (!window.holdBack) frame.shown();
  });
  frames_.problem.on((words) => problems.push(words));
}
"""
LOOK = """
(width) => frames_.look({
  width, height: 24, fov_y_deg: 50, coarsest: 8, finest: 1, jpeg_quality: 80, depth: true,
  cam_from_world: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]],
})
"""
HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
# The first picture is read last.
SLOW_FIRST = """
() => {
  const read = window.createImageBitmap;
  let first = true;
  window.createImageBitmap = async (blob) => {
    const wait = first;
    first = false;
    if (wait) await new Promise((done) => { window.release = done; });
    return read(blob);
  };
}
"""


class Server:
    """The server's end: what clients have asked on each connection, and answers."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.sockets: list[WebSocketRoute] = []
        self.asked: list[list[FrameAsk]] = []
        tab.page.route_web_socket("**/api/frames", self._connect)
        open_modules(tab.page, SOURCE)
        tab.page.evaluate(BEGIN)

    def _connect(self, socket: WebSocketRoute) -> None:
        asked: list[FrameAsk] = []
        self.sockets.append(socket)
        self.asked.append(asked)
        socket.on_message(lambda text: asked.append(FrameAsk.model_validate_json(text)))

    def look(self, width: int = 32) -> int:
        """Have the client look; the number that its request has at least."""
        seq: int = self.tab.page.evaluate(LOOK, width)
        return seq

    def looks(self, connection: int = 0) -> list[ViewRequest]:
        """The requests on a connection."""
        return [ask.look for ask in self._on(connection) if ask.look is not None]

    def acknowledged(self, connection: int = 0) -> int:
        """How many pictures were acknowledged on a connection."""
        return sum(ask.shown is True for ask in self._on(connection))

    def _on(self, connection: int) -> list[FrameAsk]:
        return self.asked[connection] if connection < len(self.asked) else []

    def send(self, seq: int, width: int = 32, picture: bytes | None = None, **about: Any) -> None:
        """Send a picture to the newest connection."""
        file = BytesIO()
        Image.new("RGB", (width, 24)).save(file, "JPEG")
        depth = bytes(range(8)) if "depth_width" in about else b""
        header = FrameHeader(viewer="", seq=seq, width=width, height=24, **about)
        data = as_bundle(ViewFrame(header, file.getvalue() if picture is None else picture, depth))
        self.sockets[-1].send(data)

    def shown(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many pictures; they."""
        found: list[dict[str, Any]] = self.tab.wait_for(
            lambda: self.tab.page.evaluate("count => shown.length >= count && shown", count)
        )
        assert len(found) == count
        return found


@pytest.fixture
def server(tab: Tab) -> Server:
    return Server(tab)


def test_a_picture_comes_with_its_request_and_is_acknowledged_once_shown(server: Server) -> None:
    tab = server.tab
    wanted = server.look()
    (asked,) = tab.wait_for(server.looks)
    assert asked.seq >= wanted and (asked.width, asked.depth) == (32, True)
    tab.page.evaluate("window.holdBack = true")
    server.send(asked.seq, depth_width=2, depth_height=2)
    (frame,) = server.shown(1)
    assert (frame["seq"], frame["asked"], frame["width"]) == (asked.seq, asked.seq, 32)
    assert frame["depth"] == [0x0100, 0x0302, 0x0504, 0x0706] and frame["lag"] > 0
    assert server.acknowledged() == 0
    tab.page.evaluate("window.holdBack = false")
    server.send(asked.seq)
    assert server.shown(2)[1]["depth"] is None
    tab.wait_for(lambda: server.acknowledged() == 1)


def test_a_picture_that_is_read_after_a_newer_one_is_not_shown(server: Server) -> None:
    tab = server.tab
    tab.page.evaluate(SLOW_FIRST)
    server.look()
    (asked,) = tab.wait_for(server.looks)
    server.send(asked.seq, 8)
    server.send(asked.seq, 32)
    assert server.shown(1)[0]["width"] == 32
    tab.page.evaluate("release()")
    tab.wait_for(lambda: server.acknowledged() == 2)
    assert server.shown(1)[0]["width"] == 32


def test_what_cannot_be_shown_is_acknowledged_and_told(server: Server) -> None:
    tab = server.tab
    server.look()
    (asked,) = tab.wait_for(server.looks)
    server.send(asked.seq, picture=b"", error="the field is busy")
    server.send(asked.seq, picture=b"no picture")
    server.send(asked.seq + 1)  # nobody has asked for it
    tab.wait_for(lambda: server.acknowledged() == 3)
    assert "the field is busy" in tab.page.evaluate("problems")
    server.send(asked.seq)
    server.shown(1)
    assert tab.page.evaluate("problems").pop() == ""


def test_a_hidden_page_rests_and_looks_again_when_it_is_seen(server: Server) -> None:
    tab = server.tab
    server.look()
    tab.wait_for(server.looks)
    tab.page.evaluate(HIDE, True)
    tab.wait_for(lambda: server.asked[0][-1].rest is True)
    server.look(48)
    tab.page.evaluate(HIDE, False)
    looks = tab.wait_for(lambda: len(server.looks()) == 2 and server.looks())
    assert [look.width for look in looks] == [32, 48] and looks[0].seq < looks[1].seq


def test_after_a_break_it_connects_again_and_asks_the_last_thing(server: Server) -> None:
    tab = server.tab
    server.look()
    server.look(48)
    tab.wait_for(lambda: any(look.width == 48 for look in server.looks()))
    server.sockets[0].close(code=1011, reason="the engine ends")
    tab.wait_for(lambda: "the engine ends" in tab.page.evaluate("problems"))
    (again,) = tab.wait_for(lambda: server.looks(1))
    assert again.width == 48
    server.send(again.seq)
    assert server.shown(1)[0]["asked"] == again.seq
    tab.wait_for(lambda: server.acknowledged(1) == 1)


def test_once_closed_it_stays_so(server: Server) -> None:
    tab = server.tab
    server.look()
    tab.wait_for(server.looks)
    tab.page.evaluate("frames_.close()")
    tab.page.wait_for_timeout(1500)  # the first attempt would come within one
    assert len(server.sockets) == 1 and tab.page.evaluate("frames_.open") is False
    server.look()
    tab.wait_for(lambda: server.looks(1))
