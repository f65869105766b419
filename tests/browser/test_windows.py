"""A window as small as a phone's, and names of files that are meant to do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.runtime import EngineFile
from pipeline.run_directory import RunDirectory
from tests.browser.conftest import NewTab
from tests.browser.runs import viewed
from tests.browser.tab import Tab
from tests.browser.test_scene import places_inside
from tests.dashboard.photograph_run import write_run
from tests.engine_runs import Host
from tests.viewer.run_to_browse import STAGES, finish

PHONE = {
    "viewport": {"width": 390, "height": 720},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
HOSTILE = (
    "<img src=x onerror=window.harmed=1>.jpg",
    '"><script>window.harmed=1<⁄script>.jpg',
    "\u202egpj.exe.jpg",
    "javascript:window.harmed=1;.jpg",
    "&lt;b&gt;bold&amp;.jpg",
    "a" * 180 + ".jpg",
)
PAGES = ("photographs", "photograph/0", "photograph/5", "pairs", "pair/0/1", "method", "log")


def overflow(tab: Tab) -> int:
    """How many pixels the page is wider than the window."""
    found: int = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return found


def test_on_a_phone(desk: EngineFile, new_tab: NewTab) -> None:
    tab = new_tab(**PHONE).open(desk)
    assert tab.settled().variance > 20.0
    assert overflow(tab) <= 0
    assert not tab.page.locator("aside.panel").is_visible()
    tab.page.get_by_role("button", name="Panel", exact=True).tap()
    tab.page.locator("aside.panel").wait_for(state="visible")
    tab.page.get_by_role("button", name="Panel", exact=True).tap()
    tab.page.locator("aside.panel").wait_for(state="hidden")
    place = places_inside(tab)[0]
    canvas = tab.page.locator("canvas.view").bounding_box()
    assert canvas is not None
    tab.page.touchscreen.tap(canvas["x"] + place["x"], canvas["y"] + place["y"])
    tab.until(lambda stats: stats["selected"] >= 0)
    tab.page.locator(".photo-panel img").wait_for(state="visible")
    assert overflow(tab) <= 0
    for page in ("photographs", "photograph/1", "pairs", "pair/0/1", "method", "log"):
        tab.go(page)
        tab.page.wait_for_timeout(200)
        assert overflow(tab) <= 0, page
        assert tab.page.locator("nav a").last.is_visible(), page


@pytest.fixture
def hostile(desk_host: Host, tmp_path: Path) -> EngineFile:
    """Shows a run whose photographs have such names."""
    root = tmp_path / "<b>run<⁄b>"
    with RunDirectory(root, "0.1.0"):
        pass
    write_run(root, list(HOSTILE), frozenset({4}))
    finish(root, *STAGES)
    return viewed(desk_host, root)


def test_names_of_files_are_shown_as_they_are(hostile: EngineFile, tab: Tab) -> None:
    tab.open(hostile, "photographs").until(lambda stats: stats["cards"] == len(HOSTILE) + 1)
    names = tab.page.locator(".card strong").all_text_contents()
    assert names == [*HOSTILE, "broken.jpg"]
    assert overflow(tab) <= 0
    tab.wait_for(lambda: tab.text(".run-name") == "<b>run<⁄b>")  # that comes by another way
    tab.wait_for(lambda: tab.page.title().startswith("<b>run<⁄b>"))
    for page in PAGES:
        tab.go(page)
        tab.page.wait_for_timeout(200)
        assert overflow(tab) <= 0, page
        if page.startswith("photograph/"):
            tab.says("h1", HOSTILE[int(page[-1])])
    assert tab.page.evaluate("window.harmed") is None
    assert tab.page.locator("main img[src=x], main script, main b").count() == 0
