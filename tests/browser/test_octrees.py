"""A cloud that is too large to send whole: its octree is shown in the page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from playwright.sync_api import Request

from pipeline.dense.clouds import cameras_of
from tests.bench.bench_octree import octree_run
from tests.browser.conftest import NewTab
from tests.browser.runs import viewed
from tests.browser.tab import Tab
from tests.dense.models import floor_model
from tests.engine_runs import Host

POINTS = 60_000


def test_an_octree_is_shown_of_which_no_stream_is_asked_for(
    desk_host: Host, tmp_path: Path, new_tab: NewTab
) -> None:
    root = tmp_path / "run"
    octree_run(root, POINTS)
    tab = new_tab()
    asked: Counter[str] = Counter()
    parts: list[str] = []

    def note(request: Request) -> None:
        asked[request.url.rpartition("/")[2]] += 1
        if "range" in request.headers:
            parts.append(request.headers["range"])

    tab.page.on("request", note)
    tab.open(viewed(desk_host, root))
    stats = tab.until(lambda stats: stats.get("drawn", 0) > 1000)
    assert stats["total"] == POINTS and stats["problem"] == ""
    assert tab.wait_for(lambda: tab.pixels().variance > 20)
    assert "points.bin" not in asked
    # What was begun before the code for octrees had come is not asked for by that again.
    assert asked["hierarchy.bin"] == asked["metadata.json"] == 1
    assert asked["octree.bin"] == len(parts) == len(set(parts)) > 0


def test_a_view_without_points_in_sight_is_drawn_too(
    desk_host: Host, tmp_path: Path, tab: Tab
) -> None:
    root = tmp_path / "run"
    octree_run(root, POINTS)
    tab.open(viewed(desk_host, root))
    tab.page.goto(f"{tab.page.url.partition('#')[0]}#scene?view=0,0,9,0,5,18")
    tab.reload()
    stats = tab.until(lambda stats: stats.get("draws"))
    assert stats["drawn"] == 0 and stats["total"] == POINTS and stats["problem"] == ""


def test_cameras_that_come_before_an_octree_are_as_large_as_suits_it(
    desk_host: Host, tmp_path: Path, tab: Tab
) -> None:
    root, size = tmp_path / "run", 100.0
    octree_run(root, POINTS, size)
    (file,) = root.glob("clouds/*/cameras.json")
    file.write_text(json.dumps(cameras_of(floor_model()[0], {})))
    stats = tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("drawn", 0) > 1000)
    assert stats["cameras"] == 6 and size / 8 > stats["frusta"] > size / 100
