"""What is shown of a stage: one panel class for each kind of stage.

To add one: a subclass of `panels.base.Panel` in a module here, and a line in `PANELS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.dashboard.panels.base import Panel

_HERE = "tui.dashboard.panels"
# By name of the stage. Imported when first shown: first paint does not wait for all of them.
PANELS: dict[str, str] = {
    "features": f"{_HERE}.features:FeaturesPanel",
    "matching": f"{_HERE}.pairs:MatchingPanel",
    "verification": f"{_HERE}.pairs:VerificationPanel",
    "mapping": f"{_HERE}.mapping:MappingPanel",
    "depth": f"{_HERE}.depth:DepthPanel",
    "radiance": f"{_HERE}.radiance:RadiancePanel",
}
OTHERS = f"{_HERE}.general:GeneralPanel"
FAILURE = f"{_HERE}.failure:FailurePanel"


def panel_class(stage: str, state: str) -> type[Panel]:
    """The panel for a stage in a state; that of failures for one that failed."""
    target = FAILURE if state == "failed" else PANELS.get(stage, OTHERS)
    module, _, name = target.partition(":")
    found: type[Panel] = getattr(import_module(module), name)
    return found
