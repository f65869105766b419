"""A cloud that is too large to send whole, in a browser: first picture, megabytes, memory.

usage: python -m tests.bench.bench_octree [--millions 10,50]

Times are from the begin of the navigation to the end of the first draw of at least 1,000 points,
on this machine and through a link of 20 Mbit/s and 80 ms. Megabytes are those that the link carries
until the overview is as fine as the view wants it. Memory is that of the page's process. Exit code:
1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.formats.point_stream import extent_of
from pipeline.formats.potree import write_potree
from tests.bench.bench_viewer import FAST, HOOK, SIZE, SLOW, chromium, our_viewer, words_of
from tests.bench.cloud_runs import cloud_folder_of, tell_cloud, terrain
from tests.bench.slow_link import slow_link

MOST_FIRST_S = {FAST: 1.0, SLOW: 2.0}
MOST_MB = 60.0
MOST_MEMORY_MB = 1000.0
_NEVER = 10**12  # points, all of which are never drawn
_QUIET_S = 3.0  # without another draw: the overview is there
_MOST_S = 120.0


@dataclass(frozen=True)
class Seen:
    """Seconds until the first points, megabytes until the overview, its points, and megabytes of
    the page's process."""

    first_s: float
    mb: float
    drawn: int
    memory_mb: float

    def is_within(self, link: tuple[float, float]) -> bool:
        """Whether no bar is missed."""
        return (
            self.first_s <= MOST_FIRST_S[link]
            and self.mb <= MOST_MB
            and self.memory_mb <= MOST_MEMORY_MB
        )


def main(arguments: Sequence[str]) -> int:
    """Print a row for each size and link; the exit code."""
    parser = argparse.ArgumentParser(prog="bench_octree")
    parser.add_argument("--millions", default="10,50")
    sizes = [float(text) for text in parser.parse_args(arguments).millions.split(",")]
    missed = False
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        for millions in sizes:
            root = Path(folder) / f"run-{millions:g}"
            octree_run(root, int(1e6 * millions))
            for link in (FAST, SLOW):
                browser = playwright.chromium.launch(executable_path=chromium(), headless=True)
                with our_viewer(root) as (port, address), slow_link(port, *link) as way:
                    page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
                    page.add_init_script(HOOK % _NEVER)
                    page.goto(address(way.port), wait_until="commit")
                    first_s, drawn = _overview(page)
                    memory_mb = _memory_mb(browser)
                    seen = Seen(first_s, way.down.carried / 1e6, drawn, memory_mb)
                browser.close()
                missed |= not seen.is_within(link)
                print(
                    f"{millions:6g} M {words_of(link):>16}: first {seen.first_s:.2f} s (must"
                    f" {MOST_FIRST_S[link]:g}), {seen.mb:.1f} MB (must {MOST_MB:g}) for"
                    f" {seen.drawn:,} points, {seen.memory_mb:.0f} MB of memory (must"
                    f" {MOST_MEMORY_MB:g}){'' if seen.is_within(link) else '  MISSED'}",
                    flush=True,
                )
    return int(missed)


def octree_run(root: Path, count: int, size: float = 1.0) -> None:
    """Make a run whose cloud of so many points, of that size, is ready as an octree."""
    xyz, rgb = terrain(count)
    places = size * xyz.astype("f8")
    folder = cloud_folder_of(root)
    write_potree(folder, places, rgb)
    extent = extent_of(places)
    tell_cloud(
        folder,
        format="potree",
        count=count,
        strays=0,
        bounds=extent.bounds,
        center=extent.center,
        radius=extent.radius,
    )


def _overview(page: Page) -> tuple[float, int]:
    """When the first points were seen, and how many are drawn once nothing more comes."""
    last = time.monotonic() + _MOST_S
    draws, since = -1, time.monotonic()
    while time.monotonic() < last:
        page.wait_for_timeout(500)
        stats = page.evaluate("window.__viewer?.stats() ?? {}")
        first_s = page.evaluate("window.__seen.first")
        if first_s is None or stats.get("draws") != draws:
            draws, since = stats.get("draws", -1), time.monotonic()
        elif time.monotonic() - since > _QUIET_S:
            return float(first_s), int(stats["drawn"])
    raise TimeoutError(f"the overview was not there within {_MOST_S:g} s")


def _memory_mb(browser: Browser) -> float:
    """Of the largest process that shows a page."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    pages = [process["id"] for process in processes if process["type"] == "renderer"]
    return max(_resident_mb(int(page)) for page in pages)


def _resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
