"""Pictures that the server renders where the view's camera stands."""

from __future__ import annotations

from pipeline.engine.runtime import EngineFile
from tests.browser.conftest import NewTab
from tests.browser.tab import Tab

SMALL = {"width": 480, "height": 320}


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
