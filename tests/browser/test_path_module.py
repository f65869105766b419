"""The client's camera path alone: how it is played, and that its files are those of `render`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.path_entries import PathEntry
from tests.browser.modules import open_modules
from tests.browser.tab import Tab

SOURCE = """
export { CameraPath } from "./scene/path";
export { Vector3 } from "three";
"""
# A view that stands where it is put.
BEGIN = """
() => {
  window.stand = [0, 0, -5, 0, 0, 0];
  const vector = (at) => new m.Vector3(stand[at], stand[at + 1], stand[at + 2]);
  window.view = {
    controls: {
      getPosition: () => vector(0),
      getTarget: () => vector(3),
      setLookAt: async (...numbers) => { stand = numbers.slice(0, 6); },
    },
    camera: {fov: 50},
    up: new m.Vector3(0, -1, 0),
    animations: new Set(),
    invalidate: () => {},
    setFov: (fov) => { view.camera.fov = fov; },
  };
  window.path = new m.CameraPath(view);
  window.changes = 0;
  path.changed.on(() => { changes += 1; });
}
"""
ADD = """
([stand, fov]) => { window.stand = stand; view.camera.fov = fov; path.add(); }
"""
# One frame of the view.
STEP = """
(seconds) => {
  const more = [...view.animations].map((animate) => animate(seconds)).some(Boolean);
  return {stand, fov: view.camera.fov, more, playing: path.playing};
}
"""
PLACES = [([0, 0, -5, 0, 0, 0], 50), ([4, 0, -5, 0, 1, 0], 30), ([8, 0, -5, 0, 2, 0], 40)]
ENTRY = {"position": [1, 2, 3], "look_at": [4, 5, 6]}


@pytest.fixture
def page(tab: Tab) -> Any:
    open_modules(tab.page, SOURCE)
    tab.page.evaluate(BEGIN)
    return tab.page


def keep_places(page: Any) -> None:
    for place in PLACES:
        page.evaluate(ADD, list(place))


def test_a_path_goes_through_its_places_and_ends_at_the_last(page: Any) -> None:
    keep_places(page)
    page.evaluate("path.play()")
    assert page.evaluate("path.seconds") == 4
    first = page.evaluate(STEP, 0.0)
    assert first["stand"] == PLACES[0][0] and first["fov"] == 50
    seen = [page.evaluate(STEP, 0.5) for _ in range(8)]
    assert seen[3]["stand"] == pytest.approx(PLACES[1][0]) and seen[3]["fov"] == 30
    assert seen[1]["fov"] == 40 and 0 < seen[1]["stand"][0] < 4  # between the two
    assert seen[7]["stand"] == pytest.approx(PLACES[2][0]) and seen[7]["fov"] == 40
    assert [one["more"] for one in seen] == [True] * 7 + [False] and not seen[7]["playing"]
    assert page.evaluate("view.animations.size") == 0


def test_a_path_of_less_than_two_places_is_not_played(page: Any) -> None:
    page.evaluate(ADD, list(PLACES[0]))
    page.evaluate("path.play()")
    assert page.evaluate("path.playing") is False
    page.evaluate(ADD, list(PLACES[1]))
    page.evaluate("path.play()")
    page.evaluate("path.remove(0)")
    assert page.evaluate("path.playing") is False and page.evaluate("view.animations.size") == 0
    page.evaluate("path.clear()")
    assert page.evaluate("path.places.length") == 0 and page.evaluate("path.seconds") == 0


def test_what_is_saved_is_taken_by_render_and_read_again(page: Any) -> None:
    keep_places(page)
    page.evaluate("path.secondsEach = 3")
    saved = page.evaluate("path.toJson()")
    entries = TypeAdapter(list[PathEntry]).validate_python(saved)
    assert [entry.position for entry in entries] == [tuple(place[:3]) for place, _ in PLACES]
    assert [entry.fov_y_deg for entry in entries] == [50, 30, 40]
    assert [entry.seconds for entry in entries] == [0, 3, 6]
    page.evaluate("path.clear(); path.secondsEach = 1")
    page.evaluate("(saved) => path.fromJson(saved)", saved)
    assert page.evaluate("path.toJson()") == saved
    page.evaluate("path.show(1)")
    assert page.evaluate("[stand, view.camera.fov]") == list(PLACES[1])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "no list of cameras"),
        ([], "no list of cameras"),
        ("orbit", "no list of cameras"),
        ([ENTRY, {"position": [1, 2, 3]}], "Entry 2"),
        ([{**ENTRY, "look_at": [1, 2]}], "Entry 1"),
        ([{**ENTRY, "position": [1, 2, "3"]}], "Entry 1"),
    ],
)
def test_what_is_no_path_is_refused_in_words_and_changes_nothing(
    page: Any, data: Any, words: str
) -> None:
    keep_places(page)
    before = page.evaluate("[path.toJson(), changes]")
    told = page.evaluate(
        "(data) => { try { path.fromJson(data); } catch (error) { return error.message; } }", data
    )
    assert words in told
    assert page.evaluate("[path.toJson(), changes]") == before
