"""A cloud that is too large to send whole: its octree is shown in the page."""

from __future__ import annotations

from pathlib import Path

from tests.bench.bench_octree import octree_run
from tests.browser.conftest import NewTab
from tests.browser.runs import viewed
from tests.engine_runs import Host

POINTS = 60_000


def test_an_octree_is_shown_of_which_no_stream_is_asked_for(
    desk_host: Host, tmp_path: Path, new_tab: NewTab
) -> None:
    root = tmp_path / "run"
    octree_run(root, POINTS)
    tab = new_tab()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    tab.open(viewed(desk_host, root))
    stats = tab.until(lambda stats: stats.get("drawn", 0) > 1000)
    assert stats["total"] == POINTS and stats["problem"] == ""
    assert tab.wait_for(lambda: tab.pixels().variance > 20)
    assert "octree.bin" in asked and "points.bin" not in asked
