"""What the client's scene shows where nobody has chosen, and what somebody's choice changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.modules import open_modules
from tests.browser.tab import Tab

SOURCE = 'export { bestMesh, openingCloud, openingSurfaces } from "./scene/opening";'
DRAFT = {"id": "draft-1", "stage": "draft"}
MESH = {"id": "mesh-1", "stage": "mesh"}
POINTS, BOTH, SURFACE, NOTHING = (
    {"points": points, "mesh": mesh}
    for points, mesh in ((True, False), (True, True), (False, True), (False, False))
)


@pytest.fixture
def page(tab: Tab) -> Any:
    open_modules(tab.page, SOURCE)
    return tab.page


@pytest.mark.parametrize(
    ("best", "shown", "instead", "chosen", "seen"),
    [
        (None, "", False, {}, POINTS),
        (DRAFT, "draft-1", False, {}, BOTH),
        (MESH, "", False, {}, BOTH),  # it is on its way
        (MESH, "draft-1", False, {}, BOTH),
        (MESH, "mesh-1", False, {}, SURFACE),
        (MESH, "mesh-1", True, {}, POINTS),  # it would cover the novel view
        (MESH, "mesh-1", False, {"points": True}, BOTH),
        (MESH, "mesh-1", False, {"mesh": False}, POINTS),
        (MESH, "mesh-1", True, {"mesh": True}, SURFACE),
        (MESH, "mesh-1", False, {"points": False, "mesh": False}, NOTHING),
        (DRAFT, "draft-1", False, {"points": False}, SURFACE),
        (None, "", False, {"mesh": True}, BOTH),
        (MESH, "mesh-1", "picked", {}, POINTS),
        (MESH, "mesh-1", "picked", {"mesh": True}, BOTH),
        (MESH, "mesh-1", "picked", {"points": False}, NOTHING),
        (DRAFT, "draft-1", "picked", {}, BOTH),  # it only lies beneath
    ],
)
def test_the_best_is_seen_and_a_choice_holds(
    page: Any, best: Any, shown: str, instead: bool | str, chosen: Any, seen: Any
) -> None:
    """instead: whether novel views are rendered; or that a cloud was picked."""
    offer = {
        "best": best, "shown": shown, "rendering": instead is True, "picked": instead == "picked",
    }  # fmt: skip
    told = page.evaluate(
        "([offer, chosen]) => m.openingSurfaces({...offer, best: offer.best ?? undefined}, chosen)",
        [offer, chosen],
    )
    assert told == seen


SPARSE, REFINED, DENSE = (
    {"id": f"{name}-1", "name": name, "format": "points"} for name in ("sparse", "refined", "dense")
)
TREE = {**SPARSE, "format": "potree"}


@pytest.mark.parametrize(
    ("clouds", "meshes", "wanted", "seen"),
    [
        ([], [], None, None),
        ([SPARSE, REFINED], [], None, "refined-1"),
        ([TREE, REFINED], [MESH], "sparse", "sparse-1"),
        ([SPARSE, DENSE], [DRAFT, MESH], None, "sparse-1"),  # beneath the mesh nobody sees it
        ([TREE, DENSE], [MESH], None, "sparse-1"),
        ([SPARSE, DENSE], [MESH], "dense", "dense-1"),
        ([SPARSE, DENSE], [MESH], "dense-1", "dense-1"),
        ([SPARSE, DENSE], [MESH], "refined", "sparse-1"),
        ([SPARSE, REFINED, DENSE], [DRAFT], None, "dense-1"),
        ([SPARSE, DENSE], [], "sparse", "sparse-1"),
        ([DENSE], [MESH], None, "dense-1"),
    ],
)
def test_the_dense_cloud_is_seen_where_it_is_picked_or_there_is_no_mesh(
    page: Any, clouds: Any, meshes: Any, wanted: str | None, seen: str | None
) -> None:
    told = page.evaluate(
        "([clouds, meshes, wanted]) => m.openingCloud({clouds, meshes}, wanted)?.id ?? null",
        [clouds, meshes, wanted],
    )
    assert told == seen


@pytest.mark.parametrize(
    ("meshes", "states", "best"),
    [
        ([], {}, None),
        ([DRAFT, MESH], {}, "mesh-1"),  # nothing is known of the stages yet
        ([DRAFT, MESH], {"draft": "done", "mesh": "done"}, "mesh-1"),
        ([DRAFT, MESH], {"draft": "skipped", "mesh": "stale"}, "draft-1"),
        ([DRAFT, MESH], {"draft": "waiting", "mesh": "waiting"}, None),
        ([DRAFT], {"draft": "done", "mesh": "failed"}, "draft-1"),
    ],
)
def test_the_best_mesh_is_the_last_that_is_not_made_anew(
    page: Any, meshes: Any, states: dict[str, str], best: str | None
) -> None:
    told = page.evaluate(
        "([meshes, states]) => m.bestMesh(meshes, (stage) => states[stage])?.id ?? null",
        [meshes, states],
    )
    assert told == best
