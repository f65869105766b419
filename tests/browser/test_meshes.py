"""Meshes of a run: the best one is shown when it is asked for, where it lies."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.formats.glb import write_glb
from pipeline.formats.triangle_mesh import Texture, TriangleMesh
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.bench.cloud_runs import streamed_run, terrain
from tests.browser.conftest import NewTab
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


def switched_on(tab: Tab) -> Tab:
    tab.until(lambda stats: stats.get("allPointsMs"))
    tab.page.locator("label.switch", has_text="Mesh").first.click()
    return tab


def pixels_of(tab: Tab, channel: int) -> int:
    count: int = tab.page.evaluate(COLOURED, channel)
    return count


def test_a_draft_is_shown_where_it_lies(desk_host: Host, root: Path, new_tab: NewTab) -> None:
    tab = switched_on(new_tab().open(viewed(desk_host, root)))
    tab.until(lambda stats: stats["mesh"].startswith("draft-"))
    tab.wait_for(lambda: pixels_of(tab, GREEN_CHANNEL) > LEAST_PIXELS)
    assert tab.options()["layers"] == "mesh"
    tab.page.keyboard.press("5")
    tab.wait_for(lambda: pixels_of(tab, GREEN_CHANNEL) < LEAST_PIXELS / 2)
    assert tab.stats()["mesh"] == ""


def test_a_mesh_with_a_texture_takes_the_place_of_a_draft(
    desk_host: Host, root: Path, new_tab: NewTab
) -> None:
    give_mesh(root, "mesh", textured())
    tab = switched_on(new_tab().open(viewed(desk_host, root)))
    tab.until(lambda stats: stats["mesh"].startswith("mesh-"))
    tab.wait_for(lambda: pixels_of(tab, BLUE_CHANNEL) > LEAST_PIXELS)
    assert pixels_of(tab, GREEN_CHANNEL) < LEAST_PIXELS / 2


def test_a_mesh_that_cannot_be_read_is_told(desk_host: Host, root: Path, new_tab: NewTab) -> None:
    (root / "draft" / "mesh.glb").write_bytes(b"no glTF at all, but of some length")
    tab = switched_on(new_tab().open(viewed(desk_host, root)))
    stats = tab.until(lambda stats: stats["problem"])
    assert stats["problem"].startswith("The mesh could not be loaded") and stats["mesh"] == ""
