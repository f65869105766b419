"""The method on one page: its stages in order, with what each needs and makes.

The table is data, so that whoever plans or shows a run does not import OpenCV or numba; `load`
imports a stage when it is to run, and checks that the stage says of itself what the table says.

Whatever no stage makes is given by the user: `source` (the photographs) and `poses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.stage import Stage


@dataclass(frozen=True)
class StageEntry:
    """A stage of the method: where its class is, and the products that it needs and makes.

    libraries: name of the set of libraries that it uses. Stages with different sets never run in
    one process: some libraries do not bear each other, and their memory is returned between them.
    imports: the module with what the stage imports when it runs, for a worker that has the time.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    libraries: str
    imports: str = ""

    def load(self) -> Stage:
        """Import the stage. Raises TypeError if it declares other products or another name."""
        module, _, attribute = self.target.partition(":")
        factory: Callable[[], Stage] = getattr(import_module(module), attribute)
        stage = factory()
        declared = (stage.name, stage.needs, stage.makes)
        if declared != (self.name, self.needs, self.makes):
            raise TypeError(f"{self.target} declares {declared}, the table says {self}")
        return stage


_VISION = "vision"
_MAPPING = "mapping"

METHOD = (
    StageEntry(
        "ingest",
        "pipeline.photos.ingest:Ingest",
        ("source",),
        ("photos", "thumbnails"),
        _VISION,
    ),
    StageEntry(
        "features",
        "pipeline.features.stage:ExtractFeatures",
        ("photos",),
        ("features",),
        _VISION,
    ),
    StageEntry(
        "pairs",
        "pipeline.matching.pairs:SelectPairs",
        ("photos", "features"),
        ("pairs",),
        _VISION,
    ),
    StageEntry(
        "matching",
        "pipeline.matching.stage:MatchFeatures",
        ("photos", "features", "pairs"),
        ("matches",),
        _VISION,
    ),
    StageEntry(
        "verification",
        "pipeline.matching.verification:VerifyMatches",
        ("photos", "features", "matches"),
        ("geometries",),
        _VISION,
    ),
    StageEntry(
        "mapping",
        "pipeline.mapping.stage:MapIncrementally",
        ("photos", "features", "geometries"),
        ("reconstruction",),
        _MAPPING,
        "pipeline.mapping.mapper",
    ),
)

IMPORTED_POSES = StageEntry(
    "mapping",
    "pipeline.mapping.imported:ImportPoses",
    ("photos", "features", "geometries", "poses"),
    ("reconstruction",),
    _MAPPING,
)

STAGE_NAMES = tuple(entry.name for entry in METHOD)


def plan(*, poses_given: bool = False, until: str | None = None) -> tuple[StageEntry, ...]:
    """The stages to run, in order: all of them or those up to `until`.

    poses_given: the camera poses are the user's, so mapping only triangulates.
    Raises ValueError for a name that is not in STAGE_NAMES.
    """
    last = len(METHOD) - 1 if until is None else STAGE_NAMES.index(until)
    chosen = METHOD[: last + 1]
    if not poses_given:
        return chosen
    return tuple(IMPORTED_POSES if entry.name == "mapping" else entry for entry in chosen)
