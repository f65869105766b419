"""The browser viewer against viser: the same cloud, the same browser, one after the other.

usage: python -m tests.bench.bench_viewer [--points 300000,1000000,3000000] [--rounds 3]
           [--peer PYTHON] [--without-peer]

Times are from the begin of the navigation to the end of a draw, forced by reading a pixel: the
first one of at least 1,000 points, and the first one of all of them. Bytes are those that a link
carries in front of the server. The last row is through a link of 20 Mbit/s and 80 ms. PYTHON has
viser (`make bench-viewer` makes an environment for it). Exit code: 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from tests.bench.cloud_runs import streamed_run, terrain
from tests.bench.slow_link import slow_link

PEER = Path(__file__).with_name("viser_peer.py")
FAST = (10_000.0, 0.0)  # a link that only counts
SLOW = (20.0, 0.08)
SLOW_POINTS = 300_000
SIZE = {"width": 1280, "height": 720}
MOST_S = 120.0
# Share of the peer's time at most: points, then first and all of the must, and of the goal.
BARS = {
    300_000: ((0.35, 0.7), (0.25, 0.5)),
    1_000_000: ((0.30, 0.7), (0.20, 0.5)),
    3_000_000: ((0.22, 0.95), (0.12, 0.5)),
}
SLOW_BARS = (0.30, 0.85)
MOST_BYTES_SHARE = 1.1
# Adds up the points of every picture; a picture begins when the canvas is cleared.
HOOK = """(() => {
  const seen = window.__seen = {first: null, all: null, most: 0};
  const wanted = %d;
  let drawn = 0;
  const kind = WebGL2RenderingContext.prototype;
  const clear = kind.clear;
  kind.clear = function (mask) { if (mask & 0x4000) drawn = 0; return clear.call(this, mask); };
  for (const name of ["drawArrays", "drawElements", "drawArraysInstanced"]) {
    const draw = kind[name];
    kind[name] = function (mode, ...rest) {
      const result = draw.call(this, mode, ...rest);
      if (mode !== this.POINTS) return result;
      drawn += name === "drawElements" ? rest[0] : rest[1];
      seen.most = Math.max(seen.most, drawn);
      if ((seen.first === null && drawn >= 1000) || (seen.all === null && drawn >= wanted)) {
        this.readPixels(0, 0, 1, 1, this.RGBA, this.UNSIGNED_BYTE, new Uint8Array(4));
        const now = performance.now() / 1000;
        if (seen.first === null) seen.first = now;
        if (drawn >= wanted) seen.all = now;
      }
      return result;
    };
  }
})()"""


@dataclass(frozen=True)
class Seen:
    """Seconds until the first points and until all of them were drawn, and megabytes."""

    first_s: float
    all_s: float
    mb: float


Address = Callable[[int], str]  # of a page, for the port of a link


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    options = _parse(arguments)
    missed = False
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True)
        print(f"{'points':>10} {'link':>16} {'':>6} {'first s':>8} {'all s':>8} {'MB':>7}")
        for count in options.points:
            cloud = terrain(count)
            peer_file = Path(folder) / f"{count}.npz"
            np.savez(peer_file, xyz=cloud[0], rgb=cloud[1])
            root = Path(folder) / f"run-{count}"
            streamed_run(root, *cloud)
            links = [FAST, SLOW] if count == SLOW_POINTS else [FAST]
            for link in links:
                with our_viewer(root) as (port, address):
                    ours = _measured(browser, port, address, count, link, options.rounds)
                _print(count, link, "ours", ours)
                if options.peer is None:
                    continue
                with _peer(options.peer, peer_file) as (port, address):
                    peer = _measured(browser, port, address, count, link, options.rounds)
                _print(count, link, "viser", peer)
                missed |= _judge(count, link, ours, peer)
        browser.close()
    return int(missed)


def _measured(
    browser: Browser,
    port: int,
    address: Address,
    count: int,
    link: tuple[float, float],
    rounds: int,
) -> Seen:
    """Medians of some rounds, each with a browser that has seen nothing before."""
    found = []
    for _ in range(rounds):
        with slow_link(port, *link) as way:
            context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
            page = context.new_page()
            page.add_init_script(HOOK % count)
            page.goto(address(way.port), wait_until="commit")
            seen = _wait_for_all(page)
            context.close()
            found.append(Seen(seen["first"], seen["all"], way.down.carried / 1e6))
    return Seen(
        statistics.median(seen.first_s for seen in found),
        statistics.median(seen.all_s for seen in found),
        statistics.median(seen.mb for seen in found),
    )


def _wait_for_all(page: Page) -> dict[str, float]:
    """What the hook has seen, once all points were drawn. Asked seldom: asking costs time, too."""
    last = time.monotonic() + MOST_S
    while time.monotonic() < last:
        page.wait_for_timeout(250)
        seen: dict[str, float] = page.evaluate("window.__seen")
        if seen["all"] is not None:
            return seen
    raise TimeoutError(f"only {seen['most']} points were drawn within {MOST_S:g} s")


@contextmanager
def our_viewer(root: Path) -> Iterator[tuple[int, Address]]:
    """Our viewer of a run: its port, and its address through another one."""
    command = [sys.executable, "-m", "tui.cli", "view", str(root), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        told = _read_json(process)
        port, url = int(str(told["port"])), str(told["url"])
        yield port, lambda at: url.replace(f":{port}/", f":{at}/")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _peer(python: Path, cloud: Path) -> Iterator[tuple[int, Address]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(python), str(PEER), str(cloud), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and "ready" not in line:
            pass
        yield port, lambda at: f"http://127.0.0.1:{at}/"
    finally:
        process.kill()
        process.wait()


def _read_json(process: subprocess.Popen[str]) -> dict[str, object]:
    """The first JSON object that a process prints."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        try:
            found: dict[str, object] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return found
    raise RuntimeError(f"no address was printed: {text}")


def _print(count: int, link: tuple[float, float], who: str, seen: Seen) -> None:
    figures = f"{seen.first_s:8.2f} {seen.all_s:8.2f} {seen.mb:7.2f}"
    print(f"{count:>10,} {words_of(link):>16} {who:>6} {figures}", flush=True)


def words_of(link: tuple[float, float]) -> str:
    """A link as the tables name it."""
    return "loopback" if link is FAST else f"{link[0]:g} Mbit/s {link[1] * 1e3:g} ms"


def _judge(count: int, link: tuple[float, float], ours: Seen, peer: Seen) -> bool:
    """Print our shares of the peer's figures against the bars; whether one is missed."""
    shares = (ours.first_s / peer.first_s, ours.all_s / peer.all_s, ours.mb / peer.mb)
    must, goal = (SLOW_BARS, None) if link is SLOW else BARS.get(count, (None, None))
    missed = must is not None and (
        shares[0] > must[0] or shares[1] > must[1] or shares[2] > MOST_BYTES_SHARE
    )
    told = "" if must is None else f"  must {must[0]:g} {must[1]:g} {MOST_BYTES_SHARE:g}"
    told += "" if goal is None else f", goal {goal[0]:g} {goal[1]:g}"
    print(
        f"{'share':>34} {shares[0]:8.2f} {shares[1]:8.2f} {shares[2]:7.2f}{told}"
        f"{'  MISSED' if missed else ''}",
        flush=True,
    )
    return missed


def chromium() -> str:
    """Where the system's browser is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("Chromium is not installed (Debian, Ubuntu: apt install chromium).")
    return found


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_viewer")
    parser.add_argument("--points", default="300000,1000000,3000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=Path, default=os.environ.get("BARFIELD_VISER_PYTHON"))
    parser.add_argument("--without-peer", action="store_true")
    options = parser.parse_args(arguments)
    options.points = [int(text) for text in options.points.split(",")]
    if options.without_peer:
        options.peer = None
    elif options.peer is None:
        parser.error("--peer names a Python that has viser; --without-peer does without")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
