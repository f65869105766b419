"""Meshes of a run: the best one is what is seen first, where it lies, unless somebody chooses."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route

from pipeline.formats.glb import write_glb
from pipeline.formats.triangle_mesh import Texture, TriangleMesh
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.bench.cloud_runs import streamed_run, terrain
from tests.browser.runs import viewed
from tests.browser.tab import Tab
from tests.engine_runs import Host

CORNERS = np.array([(-1, -1, 0.5), (1, -1, 0.5), (1, 1, 0.5), (-1, 1, 0.5)], np.float32)
FACES = np.array([(0, 1, 2), (0, 2, 3)], np.int64)
GREEN_CHANNEL, BLUE_CHANNEL = 1, 2
LEAST_PIXELS = 5000
GREEN = np.tile(np.array([20, 220, 20], np.uint8), (4, 1))
# How many pixels of the view are of one colour more than of the others.
COLOURED = """
channel => {
  const canvas = document.querySelector("canvas.view");
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const {data} = context.getImageData(0, 0, copy.width, copy.height);
  const others = [0, 1, 2].filter(one => one !== channel);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    count += others.every(one => data[at + channel] > data[at + one] + 150);
  return count;
}
"""


def give_mesh(root: Path, stage: str, mesh: TriangleMesh) -> None:
    """Let a stage of a run have made a mesh."""
    (root / stage).mkdir()
    write_glb(root / stage / "mesh.glb", mesh)
    with RunDirectory(root, VERSION) as directory:
        report = {"vertices": len(mesh.xyz), "triangles": len(mesh.faces)}
        directory.record(StageEntry(Ingredients(stage, 1, {}, {}, {}), 1.0, report))


def textured() -> TriangleMesh:
    """The same square, blue by a picture."""
    picture = BytesIO()
    Image.new("RGB", (4, 4), (20, 20, 220)).save(picture, "PNG")
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    return TriangleMesh(CORNERS, FACES, texture=Texture(picture.getvalue(), uv, FACES))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run with a small cloud, and a green draft above it."""
    root = tmp_path / "run"
    streamed_run(root, *terrain(2000))
    give_mesh(root, "draft", TriangleMesh(CORNERS, FACES, GREEN))
    return root


def pixels_of(tab: Tab, channel: int) -> int:
    count: int = tab.page.evaluate(COLOURED, channel)
    return count


def test_without_a_mesh_there_are_points(desk_host: Host, tmp_path: Path, tab: Tab) -> None:
    streamed_run(tmp_path / "run", *terrain(2000))
    tab.open(viewed(desk_host, tmp_path / "run")).until(lambda stats: stats.get("allPointsMs"))
    assert tab.stats()["layers"]["points"] and not tab.stats()["layers"]["mesh"]
    assert "triangles" not in tab.says(".status", "2,000 points")


def test_a_draft_is_seen_beneath_the_points(desk_host: Host, root: Path, tab: Tab) -> None:
    tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("mesh", "").startswith("draft"))
    tab.wait_for(lambda: pixels_of(tab, GREEN_CHANNEL) > LEAST_PIXELS)
    assert tab.stats()["layers"]["points"] and "layers" not in tab.options()
    tab.page.keyboard.press("5")
    tab.wait_for(lambda: pixels_of(tab, GREEN_CHANNEL) < LEAST_PIXELS / 2)
    assert tab.stats()["mesh"] == "" and tab.options()["layers"] == "-mesh"


def test_a_mesh_takes_the_place_of_points_and_draft(desk_host: Host, root: Path, tab: Tab) -> None:
    give_mesh(root, "mesh", textured())
    tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("mesh", "").startswith("mesh-"))
    tab.wait_for(lambda: pixels_of(tab, BLUE_CHANNEL) > LEAST_PIXELS)
    assert pixels_of(tab, GREEN_CHANNEL) < LEAST_PIXELS / 2
    tab.until(lambda stats: not stats["layers"]["points"])
    assert "layers" not in tab.options()
    tab.says(".status", "2 triangles")
    tab.says(".panel .about", "mesh of 2 triangles")
    tab.page.keyboard.press("5")  # and so there is something to see without it, too
    tab.until(lambda stats: stats["layers"]["points"] and stats["mesh"] == "")
    tab.reload()
    tab.until(lambda stats: stats.get("allPointsMs"))
    assert tab.options()["layers"] == "-mesh"
    assert tab.stats()["layers"]["points"] and not tab.stats()["layers"]["mesh"]


@pytest.mark.parametrize("is_switched_off", [False, True])
def test_a_mesh_that_comes_later_is_seen_unless_somebody_has_switched_meshes_off(
    is_switched_off: bool, desk_host: Host, root: Path, tab: Tab
) -> None:
    give_mesh(root, "mesh", textured())
    made: list[str] = ["draft"]
    asked: list[int] = []

    def answer(route: Route) -> None:
        scene = route.fetch().json()
        meshes = [mesh for mesh in scene["meshes"] if mesh["stage"] in made]
        working = [] if "mesh" in made else [{"name": "mesh", "why": "it is asked for again"}]
        asked.append(len(meshes))
        route.fulfill(
            json={**scene, "meshes": meshes, "preparing": working, "version": str(len(meshes))}
        )

    tab.page.route("**/api/scene", answer)
    tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("mesh", "").startswith("draft"))
    if is_switched_off:
        tab.page.keyboard.press("5")
    made.append("mesh")
    tab.wait_for(lambda: 2 in asked)
    if is_switched_off:
        tab.says(".panel .about", "· mesh of 2 triangles")
        stats = tab.stats()
        assert stats["layers"]["points"] and stats["mesh"] == "" and not stats["meshLoading"]
    else:
        tab.until(lambda stats: stats["mesh"].startswith("mesh-") and not stats["layers"]["points"])


def test_a_mesh_that_cannot_be_read_is_told(desk_host: Host, root: Path, tab: Tab) -> None:
    give_mesh(root, "mesh", textured())
    (root / "mesh" / "mesh.glb").write_bytes(b"no glTF at all, but of some length")
    stats = tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("problem"))
    assert stats["problem"].startswith("The mesh could not be loaded") and stats["mesh"] == ""
    assert stats["layers"]["points"]  # there is something to see
