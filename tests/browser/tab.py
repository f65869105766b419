"""One tab of the browser that a test looks at, and what went wrong in it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, WebSocket

from pipeline.engine.runtime import EngineFile
from pipeline.formats.bundle import read_head

MOST_SECONDS = 60.0
_EVERY_MS = 100
THUMBNAILS_MS = 1500
# Of reading pixels in software, and of 3d-tiles-renderer on every cloud of Potree's kind.
_ALLOWED = re.compile(r"GPU stall due to ReadPixels|tiles versions at 1\.1 or higher")
# A page that is left while something loads gives that up.
_GIVEN_UP = "net::ERR_ABORTED"
# What is drawn in WebGL stays in its canvas, so that a test can read it.
KEPT_PIXELS = """
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  const kept = /^webgl/.test(kind) ? {...options, preserveDrawingBuffer: true} : options;
  return original.call(this, kind, kept);
};
"""
NO_WEBGL = """
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return /^webgl/.test(kind) ? null : original.call(this, kind, options);
};
"""
_PIXELS = """
([selector]) => {
  const canvas = document.querySelector(selector);
  if (!canvas || !canvas.width || !canvas.height) return null;
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d", {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const {data} = context.getImageData(0, 0, copy.width, copy.height);
  let [sum, squares, hash] = [0, 0, 2166136261];
  for (let at = 0; at < data.length; at += 4) {
    const light = (data[at] + data[at + 1] + data[at + 2]) / 3;
    sum += light;
    squares += light * light;
    hash = Math.imul(hash ^ (data[at] | data[at + 1] << 8 | data[at + 2] << 16), 16777619);
  }
  const count = data.length / 4;
  return {variance: squares / count - (sum / count) ** 2, hash: hash >>> 0};
}
"""


class Pixels(NamedTuple):
    """What a canvas shows: variance of its light, and a number that stands for every pixel."""

    variance: float
    hash: int


class Tab:
    """A page, with its troubles noted from the beginning."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.troubles: list[str] = []
        self._allowed: tuple[str, ...] = ()
        self.frames: list[dict[str, Any]] = []
        """Headers of the pictures that came, in their order."""
        page = self.page
        page.set_default_timeout(MOST_SECONDS * 1000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(f"error in the page: {error}"))
        page.on("crash", lambda _: self.troubles.append("the page has crashed"))
        page.on(
            "requestfailed",
            lambda request: self._note(request.failure or "failed", request.url),
        )
        page.on(
            "response",
            lambda answer: self._note(str(answer.status), answer.url, answer.status >= 400),
        )
        page.on("websocket", self._watch)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _ALLOWED.search(message.text):
            self._note(f"console: {message.text}", message.location.get("url", ""))

    def _note(self, what: str, where: str, is_trouble: bool = True) -> None:
        if is_trouble and what != _GIVEN_UP:
            self.troubles.append(f"{what} ({where.partition('?')[0]})")

    def _watch(self, socket: WebSocket) -> None:
        if socket.url.endswith("/api/frames"):
            socket.on("framereceived", self._take)

    def _take(self, payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            self.frames.append(dict(read_head(payload)[0]))

    def open(self, engine: EngineFile, at: str = "", token: str | None = None) -> Tab:
        """Sign in, with the token that may steer unless another one is given, and go to a page of
        the client, such as `photographs`."""
        self.page.goto(address_of(engine, token))
        if at:
            self.go(at)
        return self

    def go(self, at: str) -> None:
        """To another page of the client, as a link does."""
        self.page.evaluate("at => { location.hash = at; }", f"#{at}")
        self.on_page(re.split(r"[/?]", at)[0])

    def reload(self) -> None:
        """Load the page again."""
        self.page.reload()

    def stats(self) -> dict[str, Any]:
        """What the client tells of itself; {} while it is not there."""
        found: dict[str, Any] = self.page.evaluate("window.__viewer ? __viewer.stats() : {}")
        return found

    def until(
        self, right: Callable[[dict[str, Any]], object], most_s: float = MOST_SECONDS
    ) -> dict[str, Any]:
        """Wait for statistics that are right; they."""
        found: dict[str, Any] = self.wait_for(lambda: right_one(self.stats(), right), most_s)
        return found

    def on_page(self, page: str) -> None:
        """Wait until a page is shown."""
        self.until(lambda stats: stats["page"] == page)

    def until_other_than(self, before: Pixels, selector: str = "canvas.view") -> None:
        """Wait until a canvas shows something else."""
        self.wait_for(lambda: self.pixels(selector).hash != before.hash)

    def wait_for(self, found: Callable[[], Any], most_s: float = MOST_SECONDS) -> Any:
        """Wait for something that is true, while the page goes on. On a slow machine all takes long
        but nothing is left out, so there is a limit for what never comes only."""
        last = time.monotonic() + most_s
        while True:
            result = found()
            if result:
                return result
            if time.monotonic() > last:
                told = json.dumps(self.stats(), indent=1)
                raise AssertionError(f"it did not come; the page says {told}\n{self.troubles}")
            self.page.wait_for_timeout(_EVERY_MS)

    def pixels(self, selector: str = "canvas.view") -> Pixels:
        """What a canvas shows at the moment."""
        found = self.wait_for(lambda: self.page.evaluate(_PIXELS, [selector]))
        return Pixels(found["variance"], found["hash"])

    def settled(self, quiet_ms: int = 4 * _EVERY_MS) -> Pixels:
        """The scene's picture, when all of it has come and nothing was drawn for a while. Until
        `THUMBNAILS_MS` after they came thumbnails may not be seen yet."""

        def still() -> Pixels | None:
            before = self.stats()
            if not before.get("points") or before["drawn"] < before["points"]:
                return None
            if before["moving"] or not before["thumbnails"] >= before["cameras"] > 0:
                return None
            if before["meshLoading"]:
                return None
            seen = self.pixels()
            self.page.wait_for_timeout(quiet_ms)
            return seen if self.stats()["draws"] == before["draws"] else None

        found: Pixels = self.wait_for(still)
        return found

    def text(self, selector: str) -> str:
        """Of the first element that is found so."""
        return self.page.locator(selector).first.inner_text()

    def says(self, selector: str, words: str) -> str:
        """Wait until some element has these words; its text."""
        element: Locator = self.page.locator(selector).filter(has_text=words).first
        element.wait_for(state="visible")
        return element.inner_text()

    def options(self) -> dict[str, str]:
        """What the address says besides the page."""
        return dict(self.page.evaluate(
            "[...new URLSearchParams(location.hash.split('?')[1] ?? '')]"
        ))  # fmt: skip

    def allow(self, *words: str) -> None:
        """Pass over troubles with one of these words in them: the test makes them itself."""
        self._allowed += words

    def is_sound(self) -> None:
        """See that nothing went wrong."""
        left = [one for one in self.troubles if not any(word in one for word in self._allowed)]
        assert not left, "\n".join(left)


def keep_two_places(tab: Tab) -> None:
    """Keep two places of the camera path."""
    tab.page.keyboard.press("k")
    tab.page.mouse.move(600, 200)
    tab.page.mouse.down()
    tab.page.mouse.move(660, 230, steps=4)
    tab.page.mouse.up()
    tab.page.keyboard.press("k")


def right_one(
    stats: dict[str, Any], right: Callable[[dict[str, Any]], object]
) -> dict[str, Any] | None:
    """The statistics, if they are there and right."""
    return stats if stats and right(stats) else None


def address_of(engine: EngineFile, token: str | None = None) -> str:
    """What the terminal prints."""
    return f"http://127.0.0.1:{engine.port}/?token={token or engine.token}"
