"""What the client's scene shows where nobody has chosen, and what somebody's choice changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.modules import open_modules
from tests.browser.tab import Tab

SOURCE = 'export { bestMesh, openingSurfaces } from "./scene/opening";'
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
    ("best", "shown", "rendering", "chosen", "seen"),
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
    ],
)
def test_the_best_is_seen_and_a_choice_holds(
    page: Any, best: Any, shown: str, rendering: bool, chosen: Any, seen: Any
) -> None:
    offer = {"best": best, "shown": shown, "rendering": rendering}
    told = page.evaluate(
        "([offer, chosen]) => m.openingSurfaces({...offer, best: offer.best ?? undefined}, chosen)",
        [offer, chosen],
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
