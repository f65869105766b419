"""A film of the camera path, asked for in the page and rendered by the server."""

from __future__ import annotations

from pipeline.engine.runtime import EngineFile
from tests.browser.conftest import NewTab
from tests.browser.tab import keep_two_places

SMALL_FILM = """
() => fetch("/api/command", {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify({
    op: "render-path", name: "small", frames: 3, width: 48, height: 32,
    keyframes: [0, 1].map((x) => ({position: [x, 0, -3], look_at: [0, 0, 0], up: [0, -1, 0]})),
  }),
}).then((answer) => answer.json())
"""
FILM = ".film-maker"


def test_a_film_is_watched_called_off_and_found_in_the_list(
    desk: EngineFile, new_tab: NewTab
) -> None:
    tab = new_tab().open(desk)
    tab.settled()
    tab.page.get_by_text("Camera path", exact=True).click()
    start = tab.page.get_by_role("button", name="Render film")
    assert start.is_disabled()
    keep_two_places(tab)
    # It takes minutes, and without PyAV a GIF can hold it.
    tab.page.get_by_label("Size", exact=True).last.select_option("1280 × 720")
    tab.page.get_by_label("Length", exact=True).fill("18")
    start.click()
    tab.says(FILM, "of 433 frames")
    beside = new_tab(beside=tab).open(desk)  # a late client knows of it, too
    beside.settled()
    beside.page.get_by_text("Camera path", exact=True).click()
    beside.says(FILM, "of 433 frames")
    tab.page.get_by_role("button", name="Cancel").click()
    tab.says(FILM, "film-1: called off: by browser")
    beside.says(FILM, "called off")

    tab.page.get_by_text("Films", exact=True).click()
    tab.says(".films", "None yet")
    answer = tab.page.evaluate(SMALL_FILM)
    assert answer["ok"], answer
    link = tab.page.locator(f"{FILM} a")
    link.wait_for()
    name = link.inner_text()
    assert name.startswith("small.") and link.get_attribute("href") == f"/renders/{name}"
    tab.says(".films", name)
    fetched = "url => fetch(url).then((answer) => answer.blob()).then((blob) => blob.size)"
    assert tab.page.evaluate(fetched, f"/renders/{name}") > 100

    looking = new_tab().open(desk, token=desk.view_token)
    looking.settled()
    looking.page.get_by_text("Camera path", exact=True).click()
    keep_two_places(looking)
    looking.allow("403")
    looking.page.get_by_role("button", name="Render film").click()
    looking.says(FILM, "may look at the run")
