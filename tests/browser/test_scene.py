"""The scene of a finished run: points, cameras, layers, colours, and what the address remembers."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, WebSocketRoute

from pipeline.engine.runtime import EngineFile
from tests.bench.cloud_runs import streamed_run, terrain
from tests.browser.conftest import WINDOW, NewTab
from tests.browser.runs import PHOTOGRAPHS, viewed
from tests.browser.tab import THUMBNAILS_MS, Tab, keep_two_places
from tests.engine_runs import Host

LEAST_VARIANCE = 20.0
ADDRESS_MS = 800  # so long after the view came to rest, the address says where it stands
# Each layer's key, and how the picture changes by it; the others have nothing to show here.
LAYERS = {"points": "1", "cameras": "3", "thumbnails": "4", "grid": "6", "axes": "7"}


# Cameras that can be clicked on: on the canvas, and under no panel.
PLACES = """
places => {
  const canvas = document.querySelector("canvas.view");
  const box = canvas.getBoundingClientRect();
  return places.filter(({x, y}) => document.elementFromPoint(box.x + x, box.y + y) === canvas);
}
"""


def places_inside(tab: Tab) -> list[dict[str, Any]]:
    """Where on the canvas cameras are seen and can be clicked on."""
    found: list[dict[str, Any]] = tab.page.evaluate(PLACES, tab.stats()["cameraPlaces"])
    return found


def click_a_camera(tab: Tab) -> str:
    """Click one of the cameras; name of its photograph."""
    place = places_inside(tab)[0]
    at = {"x": place["x"], "y": place["y"]}
    tab.page.locator("canvas.view").click(position=at)  # type: ignore[arg-type]
    stats = tab.until(lambda stats: stats["selected"] >= 0)
    name: str = stats["cameraPlaces"][stats["selected"]]["name"]
    return name


def until_turned(tab: Tab, layer: str, was: bool) -> None:
    """Wait until a layer is no longer as it was, on or off."""
    tab.until(lambda stats: stats["layers"][layer] is not was)


def eye(tab: Tab) -> list[float]:
    """Where the view's camera stands, by the address."""
    view = tab.wait_for(lambda: tab.options().get("view"))
    return [float(value) for value in view.split(",")[:3]]


def without_mesh(tab: Tab) -> Tab:
    """Take away the mesh, so that its points are seen."""
    tab.settled()
    tab.page.keyboard.press("5")
    tab.until(lambda stats: stats["layers"]["points"])
    return tab


def test_points_and_cameras_are_seen(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk).until(lambda stats: stats.get("points"))
    seen = without_mesh(tab).settled()
    assert seen.variance > LEAST_VARIANCE
    stats = tab.until(lambda stats: stats["connection"] == "live")  # that comes by another way
    assert stats["points"] == stats["total"] == stats["drawn"] > 500
    assert stats["cameras"] == stats["thumbnails"] == PHOTOGRAPHS
    assert stats["problem"] == "" and stats["software"]
    assert "token" not in tab.page.url
    tab.page.keyboard.press("1")
    tab.page.keyboard.press("6")
    without = tab.wait_for(lambda: seen.variance - tab.pixels().variance > 0 and tab.pixels())
    assert without.variance < seen.variance


def test_the_sheet_of_keys_comes_when_somebody_asks_for_it(
    desk_host: Host, tmp_path: Path, tab: Tab
) -> None:
    streamed_run(tmp_path / "run", *terrain(2000))
    tab.open(viewed(desk_host, tmp_path / "run")).until(lambda stats: stats.get("points"))
    sheet = tab.page.locator("dialog.help")
    tab.page.keyboard.press("?")
    tab.says("dialog.help", "smaller, larger points")
    tab.page.keyboard.press("Escape")
    sheet.wait_for(state="hidden")
    tab.page.get_by_role("button", name="Keys", exact=True).click()
    sheet.wait_for(state="visible")
    assert sheet.count() == 1


def test_each_layer_changes_the_picture_and_back(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    before = tab.settled(THUMBNAILS_MS)
    for layer, key in LAYERS.items():
        on = tab.stats()["layers"][layer]
        tab.page.locator("label.switch", has_text=layer.capitalize()).first.click()
        until_turned(tab, layer, on)
        tab.wait_for(lambda: tab.pixels().hash != before.hash)
        assert tab.options()["layers"] == (f"-{layer}" if on else layer)
        tab.page.keyboard.press(key)
        tab.wait_for(lambda: tab.pixels().hash == before.hash)
        assert tab.stats()["layers"][layer] is on and "layers" not in tab.options()
    for layer, offered in (("Strays", None), ("Mesh", True), ("Live", True)):
        switch = tab.page.locator("label.switch", has_text=layer).first.locator("input")
        if offered is not None:
            assert switch.is_enabled() is offered, layer
        if switch.is_enabled():
            was = tab.stats()["layers"][layer.lower()]
            switch.click()
            until_turned(tab, layer.lower(), was)


def test_each_colouring_changes_the_picture(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    seen = {without_mesh(tab).settled().hash}
    colour = tab.page.get_by_label("Colour", exact=True)
    for by in ("error", "track", "stage", "height", "plain"):
        colour.select_option(by)
        seen.add(tab.wait_for(lambda: tab.pixels().hash not in seen and tab.settled().hash))
        assert tab.options()["colour"] == by
        if by == "stage":
            tab.says(".legend", f"late, of {PHOTOGRAPHS} photographs")
    assert len(seen) == 6


def test_a_link_shows_the_colouring_that_its_sender_saw(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    photographs = without_mesh(tab).settled(THUMBNAILS_MS).hash
    tab.page.get_by_label("Colour", exact=True).select_option("error")
    tab.wait_for(lambda: tab.pixels().hash != photographs)
    sent = tab.settled()
    legend = tab.page.locator(".legend").first.inner_text()
    tab.reload()
    assert tab.settled(THUMBNAILS_MS).hash == sent.hash
    assert tab.page.locator(".legend").first.inner_text() == legend


def test_colours_that_a_cloud_does_not_have_are_not_offered(
    desk_host: Host, tmp_path: Path, tab: Tab
) -> None:
    streamed_run(tmp_path / "run", *terrain(5000))
    tab.open(viewed(desk_host, tmp_path / "run"))
    tab.page.goto(f"{tab.page.url.partition('#')[0]}#scene?colour=stage")
    tab.reload()
    tab.until(lambda stats: stats.get("points") == 5000)
    colour = tab.page.get_by_label("Colour", exact=True)
    tab.wait_for(lambda: colour.input_value() == "photo")
    assert "colour" not in tab.options()
    assert colour.locator("option[value=stage]").is_disabled()
    assert colour.locator("option[value=track]").is_enabled()


def test_a_path_that_loses_its_places_while_it_is_played_stops(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    tab.settled()
    tab.page.get_by_text("Camera path", exact=True).click()
    keep_two_places(tab)
    tab.page.get_by_role("button", name="Play", exact=True).click()
    tab.page.get_by_role("button", name="Stop", exact=True).wait_for()
    tab.page.get_by_label("Remove place 1").click()
    assert tab.page.get_by_role("button", name="Play", exact=True).is_disabled()
    draws = tab.stats()["draws"]
    tab.page.keyboard.press("6")
    tab.until(lambda stats: stats["draws"] > draws)


def test_an_address_that_is_cut_short_shows_the_scene(desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    tab.page.evaluate("location.hash = '#%E0%A4%A'")
    tab.reload()
    tab.until(lambda stats: stats.get("points"))


def test_a_click_on_a_camera_flies_there_and_shows_photograph_and_render(
    desk: EngineFile, tab: Tab
) -> None:
    tab.open(desk)
    tab.settled()
    name = click_a_camera(tab)
    assert tab.says(".photo-panel .title", name) == name
    tab.page.locator(".photo-panel img").wait_for(state="visible")
    tab.wait_for(lambda: tab.page.evaluate(
        "document.querySelector('.photo-panel img').naturalWidth > 100"
    ))  # fmt: skip
    pose = _pose_of(tab, name)
    centre = [-sum(pose[r][c] * pose[r][3] for r in range(3)) for c in range(3)]
    near = 0.2 * _spread(tab)
    tab.wait_for(lambda: math.dist(eye(tab), centre) < near)
    tab.until(lambda stats: stats["compared"] >= 1)
    tab.wait_for(lambda: tab.frames and tab.frames[-1]["final"])
    tab.wait_for(lambda: tab.pixels(".photo-panel canvas").variance > LEAST_VARIANCE)
    tab.page.keyboard.press("Escape")
    tab.until(lambda stats: stats["selected"] == -1)


def _cameras(tab: Tab) -> list[dict[str, Any]]:
    cloud = tab.stats()["cloud"]
    answer = tab.page.request.get(f"{tab.page.url.split('#')[0]}clouds/{cloud}/cameras.json")
    images: list[dict[str, Any]] = json.loads(answer.body())["images"]
    return images


def _pose_of(tab: Tab, name: str) -> list[list[float]]:
    return next(image["cam_from_world"] for image in _cameras(tab) if image["name"] == name)


def _spread(tab: Tab) -> float:
    """How large the scene is, as the view from above says."""
    answer = tab.page.request.get(f"{tab.page.url.split('#')[0]}api/scene")
    return float(json.loads(answer.body())["clouds"][0]["radius"])


def test_what_is_shown_survives_a_reload(desk: EngineFile, tab: Tab, new_tab: NewTab) -> None:
    tab.open(desk)
    tab.settled()
    tab.page.keyboard.press("6")
    tab.page.get_by_label("Colour", exact=True).select_option("height")
    tab.page.mouse.move(300, 300)
    tab.page.mouse.down()
    tab.page.mouse.move(420, 330, steps=4)
    tab.page.mouse.up()
    place = eye(tab)
    name = click_a_camera(tab)
    tab.until(lambda stats: not stats["moving"])
    tab.wait_for(lambda: eye(tab) != place)
    tab.settled(ADDRESS_MS)
    there, address = eye(tab), tab.page.url
    for again in (tab, new_tab(beside=tab)):
        if again is tab:
            tab.reload()
        else:
            again.page.goto(address)
        again.settled()
        stats = again.until(lambda stats: stats["selected"] >= 0)
        assert stats["layers"]["grid"] is False
        assert again.page.get_by_label("Colour", exact=True).input_value() == "height"
        assert again.says(".photo-panel .title", name)
        assert again.options()["layers"] == "-grid" and again.options()["colour"] == "height"
        assert math.dist(eye(again), there) < 0.02 * _spread(again)


def test_opened_while_the_field_is_trained_and_the_cloud_prepared(
    desk: EngineFile, new_tab: NewTab
) -> None:
    """Snapshots of the field have cameras only: it is seen as always when the cloud comes."""
    usual = new_tab().open(desk)
    usual.settled()
    tab = new_tab()
    _pretend_training(tab, desk.root)
    tab.open(desk).until(lambda stats: stats.get("live") and not stats["total"])
    tab.settled()
    places, usually = ({one["name"]: one for one in _places(each)} for each in (tab, usual))
    assert places.keys() == usually.keys() and len(places) == PHOTOGRAPHS
    for name, place in places.items():  # training has moved them a little
        apart = math.dist(*((one["x"], one["y"]) for one in (place, usually[name])))
        assert apart < 0.05 * WINDOW["height"]


def _places(tab: Tab) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = tab.stats()["cameraPlaces"]
    return places


def _pretend_training(tab: Tab, root: Path) -> None:
    """Let the page believe that the stage radiance goes on, and first that no cloud is there."""
    snapshot = max((root / "radiance" / "previews").glob("*.scene"))
    live = {"stage": "radiance", "url": f"/api/previews/radiance/{snapshot.name}"}
    early = {"version": "0", "clouds": [], "cameras": [], "preparing": [{"name": "", "why": ""}]}
    before = [early]

    def answer(route: Route) -> None:
        scene = {**route.fetch().json(), "live": {**live, "file": "", "step": 1}}
        route.fulfill(json={**scene, **(before.pop() if before else {})})

    def forward(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def tell(message: str | bytes) -> None:
            told = json.loads(message)
            for stage in told.get("view", {}).get("stages", ()):
                if stage["name"] == "radiance":
                    stage["state"] = "started"
            socket.send(json.dumps(told))

        server.on_message(tell)

    tab.page.route("**/api/scene", answer)
    tab.page.route_web_socket("**/api/stream", forward)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_points_it_says_why_and_can_be_read(
    scheme: str, desk: EngineFile, new_tab: NewTab
) -> None:
    trouble = "The cloud sparse could not be made."
    lacking: dict[str, list[str]] = {
        part: [] for part in ("clouds", "cameras", "meshes", "preparing")
    }
    nothing = {**lacking, "troubles": [trouble]}
    tab = new_tab(color_scheme=scheme)
    tab.page.route(
        "**/api/scene", lambda route: route.fulfill(json={**route.fetch().json(), **nothing})
    )
    tab.open(desk).says(".nothing", trouble)
    assert "no points to show" in tab.text(".nothing")
    picture = Image.open(io.BytesIO(tab.page.locator(".nothing").screenshot()))
    light = np.asarray(picture.convert("L"), np.float32)[60:-60, 280:-80]
    ground = light[0, -1]
    assert ground > 200 if scheme == "light" else ground < 50
    assert np.ptp(light) > 150


@pytest.mark.parametrize("surface", ["mesh", "points"])
def test_two_places_are_measured(surface: str, desk: EngineFile, tab: Tab) -> None:
    tab.open(desk)
    if surface == "points":
        without_mesh(tab)
    tab.settled()
    tab.page.keyboard.press("m")
    canvas = tab.page.locator("canvas.view")
    box = canvas.bounding_box()
    assert box is not None
    middle = (box["width"] / 2, box["height"] / 2)

    def measured() -> bool:
        for dx, dy in ((0.0, 0.0), (25.0, -15.0)):
            canvas.click(position={"x": middle[0] + dx, "y": middle[1] + dy})
        return bool(tab.stats()["measured"])

    tab.wait_for(measured)
    assert tab.stats()["measured"] > 0
