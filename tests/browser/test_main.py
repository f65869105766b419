"""The frame around the pages: what it asks for first, and pages that come late or not at all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Route

from pipeline.engine.runtime import EngineFile
from tests.bench.cloud_runs import streamed_run, terrain
from tests.browser.runs import viewed
from tests.browser.tab import Tab
from tests.engine_runs import Host

PHOTOGRAPHS = re.compile(r"/assets/photographs-\w+\.js$")
SCENE = re.compile(r"/assets/page-\w+\.js$")


def test_what_the_scene_begins_with_is_asked_for_once(desk: EngineFile, tab: Tab) -> None:
    asked: Counter[str] = Counter()
    tab.open(desk)
    tab.settled()  # it may have been prepared meanwhile
    tab.page.on("request", lambda request: asked.update([_target(request.url)]))
    tab.reload()
    tab.settled()
    cloud = f"/clouds/{tab.stats()['cloud']}"
    for target in ("/api/scene", f"{cloud}/points.bin?first=131072", f"{cloud}/cameras.json"):
        assert asked[target] == 1, target
    assert asked[f"{cloud}/points.bin"] <= 1  # the rest of it, if there is more
    assert not any("details" in path or "steps" in path or "octree" in path for path in asked)


def test_a_cloud_that_is_asked_for_in_two_parts_is_whole(
    desk_host: Host, tmp_path: Path, tab: Tab
) -> None:
    points = 40_000  # a third of a megabyte
    streamed_run(tmp_path / "run", *terrain(points))
    asked: list[tuple[str, str]] = []
    tab.page.on(
        "request",
        lambda request: asked.append((_target(request.url), request.headers.get("range", ""))),
    )
    tab.open(viewed(desk_host, tmp_path / "run"))
    stats = tab.until(lambda stats: stats.get("points") == points)
    assert stats["problem"] == ""
    file = f"/clouds/{stats['cloud']}/points.bin"
    parts = [(target, part) for target, part in asked if target.startswith(file)]
    assert parts == [(f"{file}?first=131072", ""), (file, "bytes=131072-")]


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def test_on_another_page_there_is_no_scene(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    tab.settled()
    tab.go("log")
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.reload()
    tab.on_page("log")
    tab.until(lambda stats: stats["connection"] == "live")
    assert "points" not in tab.stats()
    assert not any("cameras.json" in url or "thumbnail" in url for url in asked)


def test_the_page_that_was_asked_for_last_is_shown(desk: EngineFile, tab: Tab) -> None:
    held: list[Route] = []
    tab.page.route(PHOTOGRAPHS, lambda route: held.append(route))
    tab.open(desk, "log")
    tab.page.evaluate("location.hash = '#photographs'")
    tab.wait_for(lambda: held)
    tab.go("method")
    held[0].continue_()
    tab.page.unroute(PHOTOGRAPHS)
    tab.page.wait_for_timeout(500)
    assert tab.stats()["page"] == "method" and tab.page.locator(".method").is_visible()
    tab.go("photographs")
    tab.page.locator(".card").first.wait_for(state="visible")


def test_a_page_that_could_not_be_loaded_is_told_and_may_be_loaded_again(
    desk: EngineFile, tab: Tab
) -> None:
    tab.allow("ERR_FAILED")
    tab.page.route(PHOTOGRAPHS, lambda route: route.abort())
    tab.open(desk, "log")
    tab.page.evaluate("location.hash = '#photographs'")
    tab.says(".empty", "This page could not be loaded")
    tab.page.unroute(PHOTOGRAPHS)
    tab.go("method")
    assert tab.page.locator(".method").is_visible()
    tab.page.go_back()
    tab.page.get_by_role("button", name="Load again").click()
    tab.page.locator(".card").first.wait_for(state="visible")


def test_the_scene_is_kept_while_other_pages_are_shown(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    tab.settled()
    tab.page.evaluate("document.querySelector('canvas.view').mark = 'kept'")
    draws = tab.stats()["draws"]
    tab.go("log")
    assert tab.page.locator("canvas.view").count() == 0
    tab.go("scene")
    assert tab.page.evaluate("document.querySelector('canvas.view').mark") == "kept"
    assert tab.stats()["draws"] >= draws


def test_a_scene_that_is_asked_for_twice_while_it_comes_is_made_once(
    desk: EngineFile, tab: Tab
) -> None:
    held: list[Route] = []
    tab.page.route(SCENE, lambda route: held.append(route))
    tab.open(desk, "log")
    tab.page.evaluate("location.hash = '#scene'")
    tab.wait_for(lambda: held)
    tab.go("method")
    tab.page.evaluate("location.hash = '#scene'")
    for route in held:
        route.continue_()
    tab.page.unroute(SCENE)
    tab.settled()
    assert tab.page.locator("canvas.view").count() == 1
    assert tab.page.evaluate("document.querySelectorAll('aside.panel').length") == 1
