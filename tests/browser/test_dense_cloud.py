"""The cloud that depth maps agree on: seen by whoever picks it, or where there is no mesh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from pipeline.formats.glb import write_glb
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.browser.runs import viewed
from tests.browser.tab import Tab
from tests.browser.test_meshes import CORNERS, FACES, GREEN
from tests.dense.fused_run import fused_cloud, give_fused
from tests.dense.mapped_run import write_mapped_run
from tests.dense.models import floor_model
from tests.engine_runs import Host

SPARSE, DENSE = 3000, 20_000


@pytest.fixture
def root(tmp_path: Path, tab: Tab) -> Path:
    """A run with both clouds, which nobody has looked at, and without photographs."""
    tab.allow("/thumbnail")
    root = tmp_path / "run"
    write_mapped_run(root, floor_model()[0])
    with RunDirectory(root, VERSION) as directory:
        give_fused(directory, fused_cloud(DENSE))
    return root


def asked_for(page: Page, part: str) -> Callable[[], bool]:
    """Whether from now on an address with some part is asked for."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    return lambda: any(part in url for url in seen)


def test_the_dense_cloud_is_loaded_when_it_is_picked_and_then_in_the_place_of_the_mesh(
    desk_host: Host, root: Path, tab: Tab
) -> None:
    write_glb(root / "mesh/mesh.glb", TriangleMesh(CORNERS, FACES, GREEN))
    dense_is_loaded = asked_for(tab.page, "/clouds/dense-")
    tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("mesh", "").startswith("mesh-"))
    clouds = tab.page.get_by_label("Cloud", exact=True)
    clouds.wait_for()  # both are there
    tab.reload()
    tab.until(lambda stats: stats.get("mesh", "").startswith("mesh-") and stats["cameras"])
    tab.until(lambda stats: not stats["layers"]["points"] and stats["points"] == SPARSE)
    assert not dense_is_loaded()
    clouds.select_option(label=f"dense, {DENSE:,}")
    stats = tab.until(lambda stats: stats["points"] == stats["drawn"] == DENSE)
    assert stats["cloud"].startswith("dense-") and stats["mesh"] == stats["problem"] == ""
    assert stats["cameras"] == 6 and stats["layers"]["points"] and not stats["layers"]["mesh"]
    tab.says(".panel .about", f"{DENSE:,} points")
    tab.says(".status", f"{DENSE:,} points")
    assert tab.options() == {"cloud": "dense"}
    colours = tab.page.get_by_label("Colour", exact=True)
    assert colours.locator("option[value=error]").is_disabled()  # nobody knows them
    colours.select_option("track")
    tab.says(".legend", "5")  # photographs see a point, at most
    assert dense_is_loaded()
    tab.reload()
    tab.until(lambda stats: stats.get("points") == DENSE and stats["layers"]["points"])
    clouds.select_option(label=f"sparse, {SPARSE:,}")
    tab.until(lambda stats: stats["points"] == stats["total"] == SPARSE)


def test_without_a_mesh_the_dense_cloud_is_seen_first(
    desk_host: Host, root: Path, tab: Tab
) -> None:
    tab.open(viewed(desk_host, root)).until(lambda stats: stats.get("points") == DENSE)
    assert tab.options() == {}
    tab.reload()
    stats = tab.until(lambda stats: stats.get("points") == stats.get("drawn") == DENSE)
    assert stats["cloud"].startswith("dense-") and stats["cameraSet"] == "mapping"
