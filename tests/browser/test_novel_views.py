"""Pictures that the server renders where the view's camera stands."""

from __future__ import annotations

import re

from pipeline.engine.runtime import EngineFile
from tests.browser.conftest import NewTab
from tests.browser.tab import Tab

SMALL = {"width": 480, "height": 320}
WITH_PANEL = {"width": 720, "height": 320}


def drag(tab: Tab) -> None:
    """Turn the view, slowly enough that pictures come in between."""
    tab.page.mouse.move(200, 200)
    tab.page.mouse.down()
    for step in range(12):
        tab.page.mouse.move(200 + 6 * step, 200 + 2 * step)
        tab.page.wait_for_timeout(40)


def test_a_view_is_coarse_while_it_moves_and_refines_when_it_rests(
    desk: EngineFile, new_tab: NewTab
) -> None:
    tab = new_tab(viewport=SMALL).open(desk)
    before = tab.settled()
    tab.page.keyboard.press("r")
    tab.until(lambda stats: stats["render"] and stats["render"]["final"])
    assert [frame["level"] for frame in tab.frames] == sorted(
        (frame["level"] for frame in tab.frames), reverse=True
    )
    last = tab.frames[-1]
    box = tab.page.locator("canvas.view").bounding_box()
    assert box is not None and last["level"] == 1 and last["error"] == ""
    assert (last["width"], last["height"]) == (round(box["width"]), round(box["height"]))
    assert last["step"] == tab.stats()["render"]["step"] > 0
    tab.wait_for(lambda: tab.pixels().hash != before.hash)
    tab.says(".render-status", "full")
    assert tab.options()["render"] == "1"
    still = len(tab.frames)
    # Until a picture of the moving view has come, whatever the machine.
    while len(tab.frames) == still:
        drag(tab)
    assert tab.frames[still]["level"] in (8, 4)
    tab.page.mouse.up()
    tab.wait_for(lambda: tab.frames[-1]["final"] and tab.frames[-1]["level"] == 1)
    assert {frame["level"] for frame in tab.frames[still:]} >= {1, 4}
    tab.until(lambda stats: stats["render"]["level"] == 1 and not stats["moving"])
    tab.page.keyboard.press("r")
    tab.until(lambda stats: not stats["rendering"])
    assert "render" not in tab.options()


def shown_depths(tab: Tab) -> list[float]:
    """The nearest and the farthest depth that the legend tells."""
    legend = tab.page.locator(".legend", has_text="near")
    legend.wait_for(state="visible")
    return [float(number) for number in re.findall(r"[\d.]+", legend.inner_text())]


def test_depths_are_shown_in_the_place_of_colours(desk: EngineFile, new_tab: NewTab) -> None:
    tab = new_tab(viewport=WITH_PANEL).open(desk)
    tab.settled()
    tab.page.keyboard.press("r")
    tab.until(lambda stats: stats["render"] and stats["render"]["final"])
    colours, frames = tab.settled(), len(tab.frames)
    tab.page.keyboard.press("9")
    tab.until_other_than(colours)
    assert len(tab.frames) == frames  # they had come with the colours
    near, far = shown_depths(tab)
    assert 0 < near < far
    assert tab.options()["layers"] == "depth" and tab.options()["render"] == "1"
    depths = tab.settled()
    tab.reload()
    tab.until(lambda stats: stats.get("render") and stats["render"]["final"])
    tab.wait_for(lambda: tab.settled().hash == depths.hash)
    assert shown_depths(tab) == [near, far]
    tab.page.keyboard.press("r")
    tab.until(lambda stats: not stats["rendering"] and not stats["layers"]["depth"])
    assert tab.page.locator(".legend", has_text="near").is_hidden()
    assert "layers" not in tab.options() and "render" not in tab.options()


def test_to_ask_for_depths_is_to_ask_for_a_view(desk: EngineFile, new_tab: NewTab) -> None:
    tab = new_tab(viewport=WITH_PANEL).open(desk)
    tab.settled()
    tab.page.get_by_text("With the points, by depth").click()  # only then depths come anyway
    tab.page.keyboard.press("9")
    near, far = shown_depths(tab)
    assert 0 < near < far and tab.stats()["rendering"]
