"""Parts that the tests of the run directory share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import (
    Pairs,
)
from pipeline.workspace import Workspace

VERSION = "0.1.0"


def ingredients(stage: str = "pairs", **changed: Any) -> Ingredients:
    plain = Ingredients(stage, 1, {"method": "auto"}, {"features": "f1"}, {})
    return replace(plain, **changed)


def two_pairs() -> Pairs:
    return Pairs(np.array([[0, 1], [0, 2]], np.int64), "exhaustive")


def save_pairs(workspace: Workspace) -> None:
    workspace.save(StageEntry(ingredients(), 1.5, {"pairs": 2}), {"pairs": two_pairs()})
