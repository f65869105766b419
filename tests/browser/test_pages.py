"""The pages beside the scene: photographs, pairs, the method, the log, planar."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.engine.runtime import EngineFile
from pipeline.radiance.planar.drawing import METHOD_COLORS
from pipeline.stages import STAGE_NAMES
from tests.browser.conftest import NewTab
from tests.browser.runs import PHOTOGRAPHS
from tests.browser.tab import NO_WEBGL, Tab

PAIRS = PHOTOGRAPHS * (PHOTOGRAPHS - 1) // 2
PAGES = ("Scene", "Photographs", "Pairs", "Method", "Log")
LEAST_VARIANCE = 20.0


def test_each_page_is_reached_by_its_link(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    links = tab.page.locator("nav a")
    links.first.wait_for()
    assert tuple(links.all_inner_texts()) == PAGES
    for name in (*PAGES[1:], PAGES[0]):
        links.filter(has_text=re.compile(f"^{name}$")).click()
        tab.on_page(name.lower())
        assert tab.page.locator("nav a[aria-current=page]").inner_text() == name
    tab.page.go_back()
    tab.until(lambda stats: stats["page"] == "log")


def test_photographs_are_listed_found_and_opened(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "photographs").until(lambda stats: stats["cards"] == PHOTOGRAPHS)
    assert f"{PHOTOGRAPHS} registered" in tab.text(".summary")
    tab.wait_for(lambda: tab.page.evaluate(
        "[...document.querySelectorAll('.card img')].slice(0, 4).every(i => i.naturalWidth > 100)"
    ))  # fmt: skip
    tab.page.get_by_label("Part of the name").fill("_003")
    tab.until(lambda stats: stats["cards"] == 1)
    tab.page.locator(".card").click()
    stats = tab.until(lambda stats: stats["page"] == "photograph" and stats["keypoints"])
    assert stats["keypoints"] > 300 and 50 < stats["seeing"] <= stats["keypoints"]
    assert tab.says("h1", "desk_003.jpg")
    tab.wait_for(lambda: tab.pixels(".split canvas").variance > LEAST_VARIANCE)
    for words in ("Keypoints that see a point", "Scale and orientation"):
        before = tab.pixels(".split canvas")
        tab.page.locator("label.switch", has_text=words).click()
        tab.until_other_than(before, ".split canvas")
    tab.page.keyboard.press("ArrowRight")
    tab.says("h1", "desk_004.jpg")
    tab.page.get_by_role("link", name="Show in the scene").click()
    tab.until(lambda stats: stats["page"] == "scene" and stats["selected"] >= 0)


def test_a_depth_map_lies_beside_its_photograph(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "photograph/2").until(lambda stats: stats["keypoints"])
    tab.wait_for(lambda: tab.pixels(".split canvas").variance > LEAST_VARIANCE)
    before = tab.pixels(".split canvas")
    tab.page.get_by_label("Depth map").check()
    tab.until_other_than(before, ".split canvas")
    depth = tab.until(lambda stats: stats["depth"])["depth"]
    assert 0 < depth["near"] < depth["far"]
    box = tab.page.locator(".split canvas").bounding_box()
    assert box is not None
    here = []
    for share in (0.1, 0.2, 0.3, 0.4):  # of the height; not every place has a depth
        tab.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + share * box["height"])
        here += re.findall(r"[\d.]+", tab.says(".side .about", "Depth here"))
    assert here and all(depth["near"] / 2 < float(one) < 2 * depth["far"] for one in here)
    tab.page.keyboard.press("ArrowRight")
    tab.says("h1", "desk_004.jpg")
    tab.until(lambda stats: stats["depth"] and stats["depth"] != depth)
    tab.page.get_by_label("Depth map").uncheck()
    tab.until(lambda stats: stats["depth"] is None)
    assert "depth" not in tab.options()


def test_pairs_lead_to_a_pair_and_its_matches(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "pairs").until(lambda stats: stats["pairs"] == PAIRS)
    verified = re.search(r"(\d+) verified", tab.text(".summary"))
    assert verified is not None and int(verified[1]) >= PHOTOGRAPHS - 1
    assert tab.pixels("canvas.matrix").variance > LEAST_VARIANCE
    tab.page.locator(".pairs table a").first.click()
    stats = tab.until(lambda stats: stats["page"] == "pair" and stats["inliers"])
    assert stats["matches"] > 50 and stats["inliers"] > 50 and stats["epipolar"]
    assert tab.says(".verdict", "verified")
    canvas = tab.page.locator(".split canvas")
    tab.wait_for(lambda: tab.pixels(".split canvas").variance > LEAST_VARIANCE)
    before = tab.pixels(".split canvas")
    canvas.hover(position={"x": 100, "y": 60})
    tab.until_other_than(before, ".split canvas")
    tab.page.locator("label.switch", has_text="All matches").click()
    name = tab.text("h1")
    tab.page.get_by_label("The next pair").click()
    tab.wait_for(lambda: tab.text("h1") != name)
    tab.page.keyboard.press("Escape")
    tab.until(lambda stats: stats["page"] == "pairs")


def test_the_browsers_own_keys_are_left_to_it(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "photograph/1").until(lambda stats: stats["keypoints"])
    tab.page.keyboard.press("Control+ArrowRight")
    tab.page.wait_for_timeout(300)
    assert tab.page.url.endswith("#photograph/1")
    tab.page.keyboard.press("ArrowRight")
    tab.wait_for(lambda: tab.page.url.endswith("#photograph/2"))


def test_a_cell_of_the_matrix_is_a_pair(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "pairs").until(lambda stats: stats["pairs"] == PAIRS)
    box = tab.page.locator("canvas.matrix").bounding_box()
    assert box is not None
    cell = box["width"] / PHOTOGRAPHS
    at = {"x": 1.5 * cell, "y": 0.5 * cell}
    tab.page.locator("canvas.matrix").click(position=at)  # type: ignore[arg-type]
    tab.until(lambda stats: stats["page"] == "pair")
    assert tab.page.url.endswith("#pair/0/1")


def test_addresses_of_what_is_not_there_are_answered_in_words(desk: EngineFile, tab: Tab) -> None:
    last = f"from 0 to {PHOTOGRAPHS - 1}"
    tab.open(desk, "photograph/99")
    tab.says(".side .about", f"There is no photograph 99: photographs have numbers {last}")
    tab.go("photograph")
    tab.says(".side .about", "no photograph without a number")
    for wrong in ("0/99", "3/3", "3"):
        tab.go(f"pair/{wrong}")
        tab.says(".side .about", f"There is no pair {wrong.replace('/', ' and ')}")
    tab.go("pair/1/0")
    tab.until(lambda stats: stats["page"] == "pair" and stats.get("inliers"))
    tab.go("scene?layers=constructor,grid,-axes&colour=none")
    tab.reload()
    tab.until(lambda stats: stats.get("points"))


def test_the_method_has_stages_curves_and_parameters(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "method").until(
        lambda stats: stats["parameters"] > 50 and stats["stages"] == len(STAGE_NAMES)
    )
    rows = tab.page.locator("table.stages tr[data-state=done] th").all_inner_texts()
    assert rows == list(STAGE_NAMES)
    tab.page.locator(".plot canvas").first.wait_for()
    assert tab.wait_for(lambda: tab.pixels(".plot canvas").variance > 1.0)
    tab.page.get_by_label("Find a parameter").fill("guided_ratio")
    found = tab.page.locator(".parameters .lil-controller:visible")
    tab.wait_for(lambda: 0 < found.count() < 10)
    assert all("ratio" in (each.get_attribute("title") or "") for each in found.all())
    assert {mark.inner_text() for mark in found.locator(".mark").all()} == {"stage"}


def test_the_log_has_what_happened(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk, "log").until(lambda stats: stats["lines"] > 10 and stats["tail"])
    tab.says(".events li", "the run is done")
    tab.page.get_by_label("Part of the text").fill("checkpoint")
    tab.wait_for(lambda: all(
        "checkpoint" in words for words in tab.page.locator(".events .words").all_inner_texts()
    ))  # fmt: skip
    tab.page.get_by_label("Stage").select_option("mapping")
    tab.says("h2", "Log of mapping")


def test_a_planar_run_begins_with_its_own_page(planar: EngineFile, tab: Tab) -> None:
    stats = tab.open(planar).until(lambda stats: stats["page"] == "planar" and stats["methods"])
    assert stats["methods"] == 2 and stats["values"] > 1
    tab.says("h1", "desk_001.jpg")
    tab.wait_for(lambda: tab.page.evaluate(
        "document.querySelector('img.animation').naturalWidth > 10"
    ))  # fmt: skip
    tab.wait_for(lambda: tab.pixels(".plot canvas").variance > 1.0)
    dots: list[str] = tab.page.evaluate(
        "[...document.querySelectorAll('.dot')].map(dot => getComputedStyle(dot).backgroundColor)"
    )
    for drawn, dot in zip(tuple(METHOD_COLORS.values())[:2], dots, strict=True):
        listed = [int(one) for one in re.findall(r"\d+", dot)]
        assert np.argsort(drawn).tolist() == np.argsort(listed).tolist()  # the same hue, roughly
    links = tab.page.locator("nav a")
    tab.wait_for(lambda: links.all_inner_texts() == ["Planar", "Method", "Log"])


@pytest.mark.parametrize("page", ["photographs", "photograph/2", "pairs", "pair/0/1", "method"])
def test_without_webgl_the_scene_says_so_and_the_rest_works(
    page: str, desk: EngineFile, new_tab: NewTab
) -> None:
    tab = new_tab(NO_WEBGL).open(desk)
    tab.says("h1", "The scene needs WebGL 2")
    assert tab.stats()["webgl"]
    tab.go(page)
    tab.page.locator("main .empty, main h1, main h2, main table, .card").first.wait_for()
