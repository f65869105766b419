"""The method on one page: its stages in order, with what each needs and makes.

The table is data, so that whoever plans or shows a run does not import OpenCV, numba or torch;
`load` imports a stage when it is to run, and checks that the stage says of itself what the table
says.

Whatever no stage makes is given by the user: `source` (the photographs) and `poses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.stage import Stage

Route = Literal["mapped", "posed", "unposed", "planar"]


@dataclass(frozen=True)
class StageEntry:
    """A stage of the method: where its class is, and the products that it needs and makes.

    libraries: name of the set of libraries that it uses. Stages with different sets never run in
    one process: some libraries do not bear each other, and their memory is returned between them.
    imports: modules that the stage imports when it runs, for a worker that has the time.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    libraries: str
    imports: tuple[str, ...] = ()

    def load(self) -> Stage:
        """Import the stage. Raises TypeError if it declares other products or another name."""
        module, _, attribute = self.target.partition(":")
        factory: Callable[[], Stage] = getattr(import_module(module), attribute)
        stage = factory()
        declared = (stage.name, stage.needs, stage.makes)
        if declared != (self.name, self.needs, self.makes):
            raise TypeError(f"{self.target} declares {declared}, the table says {self}")
        return stage


# Imported with the first compiled function that is called, a third of a second.
_FIRST_USE_OF_NUMBA = "numba.np.arraymath"

_VISION = "vision"
_MAPPING = "mapping"
_RADIANCE = "radiance"
_SURFACES = "surfaces"

METHOD: tuple[StageEntry, ...] = (
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
        ("pipeline.mapping.mapper", _FIRST_USE_OF_NUMBA),
    ),
    StageEntry(
        "draft",
        "pipeline.dense.draft_stage:DraftMesh",
        ("reconstruction",),
        ("draft",),
        _MAPPING,
        ("pipeline.dense.draft",),
    ),
    StageEntry(
        "radiance",
        "pipeline.radiance.stage:TrainRadiance",
        ("photos", "reconstruction"),
        ("radiance", "refined", "field_depth"),
        _RADIANCE,
        ("pipeline.radiance.outcome",),
    ),
    StageEntry(
        "depth",
        "pipeline.depth.stage:EstimateDepth",
        ("photos", "reconstruction"),
        ("depth",),
        _RADIANCE,
        ("pipeline.depth.photometric", "pipeline.depth.geometric"),
    ),
    StageEntry(
        "mesh",
        "pipeline.dense.mesh_stage:MakeMesh",
        ("depth", "field_depth"),
        ("mesh",),
        _SURFACES,
        ("pipeline.dense.surface_making",),
    ),
)

IMPORTED_POSES = StageEntry(
    "mapping",
    "pipeline.mapping.imported:ImportPoses",
    ("photos", "features", "geometries", "poses"),
    ("reconstruction",),
    _MAPPING,
)

UNPOSED_RADIANCE = StageEntry(
    "radiance",
    "pipeline.radiance.stage:TrainUnposed",
    ("photos",),
    ("radiance", "refined", "field_depth"),
    _RADIANCE,
    ("pipeline.radiance.outcome",),
)

FIELD_MESH = StageEntry(
    "mesh",
    "pipeline.dense.mesh_stage:MakeFieldMesh",
    ("field_depth",),
    ("mesh",),
    _SURFACES,
    ("pipeline.dense.surface_making",),
)

PLANAR = StageEntry(
    "planar",
    "pipeline.radiance.planar.stage:AlignPlanar",
    ("source",),
    ("planar",),
    _RADIANCE,
    ("pipeline.radiance.planar.race",),
)

# One entry of every name.
ENTRIES = (*METHOD, PLANAR)

VIEW_SERVER = "pipeline.radiance.novel_views", "serve_field"
"""Module and function that open a trained field for those who look at a run that is done."""

VIEWED_STAGE = "radiance"
"""The stage whose worker renders views while it runs."""

STAGE_NAMES = tuple(entry.name for entry in METHOD)


def plan(*, route: Route = "mapped", until: str | None = None) -> tuple[StageEntry, ...]:
    """The stages to run, in order: all of a route or those up to `until`.

    route: where the poses come from: "mapped" (mapping finds them), "posed" (the user gives them,
    mapping only triangulates), "unposed" (the radiance field finds them, from the identity); or
    "planar", the alignment of patches of one image. Raises ValueError for a stage that is not on
    the route.
    """
    match route:
        case "mapped":
            stages = METHOD
        case "posed":
            stages = tuple(IMPORTED_POSES if e.name == "mapping" else e for e in METHOD)
        case "unposed":
            stages = (METHOD[0], UNPOSED_RADIANCE, FIELD_MESH)
        case "planar":
            stages = (PLANAR,)
    if until is None:
        return stages
    return stages[: [entry.name for entry in stages].index(until) + 1]
