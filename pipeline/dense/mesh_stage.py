"""The stage `mesh`: depth maps become a cloud, a mesh, and a mesh with a texture."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from pipeline.config_base import StageConfig
from pipeline.dense_products import DepthMaps, NoDepth
from pipeline.events import Progress, Record, Report, Warned
from pipeline.mesh_config import MeshConfig
from pipeline.mesh_products import NoMesh
from pipeline.stage import Control, Inputs, Products


class MakeMesh:
    """Stage `mesh`, of the depth of photographs or that of the radiance field."""

    name: ClassVar[str] = "mesh"
    version: ClassVar[int] = 5
    needs: ClassVar[tuple[str, ...]] = ("depth", "field_depth")
    makes: ClassVar[tuple[str, ...]] = ("mesh",)
    Config: ClassVar[type[StageConfig]] = MeshConfig

    def run(
        self, inputs: Inputs, config: MeshConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make the surfaces, or say why there are none."""
        source = "depth" if config.source == "photographs" else "field_depth"
        return (yield from _meshed(inputs[source], config, control))


class MakeFieldMesh:
    """Stage `mesh` of a run whose poses the radiance field finds: there is no other depth."""

    name: ClassVar[str] = "mesh"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("field_depth",)
    makes: ClassVar[tuple[str, ...]] = ("mesh",)
    Config: ClassVar[type[StageConfig]] = MeshConfig

    def run(
        self, inputs: Inputs, config: MeshConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """As `MakeMesh`, whatever `source` says."""
        field = config.model_copy(update={"source": "field"})
        return (yield from _meshed(inputs["field_depth"], field, control))


def _meshed(
    depth: DepthMaps | NoDepth, config: MeshConfig, control: Control
) -> Generator[Record, None, Products]:
    from pipeline.dense.depth_views import MeshViews
    from pipeline.dense.open3d_loader import NoOpen3d
    from pipeline.dense.surface_making import PARTS, make_surfaces

    control.poll()
    if isinstance(depth, NoDepth):
        return (yield from _refused(f"there are no depth maps: {depth.reason}"))
    count = len(depth.views)
    if count < 2:
        return (yield from _refused(f"{count} depth map, 2 needed"))
    views = MeshViews(depth)
    work = make_surfaces(views, config)
    parts = PARTS[: len(PARTS) if config.texture else -1]
    try:
        while True:
            part, view = next(work)
            control.poll()
            if control.due():
                done = part * count + min(view, count)
                yield Progress(done, len(parts) * count, "views", parts[part])
    except StopIteration as end:
        outcome = end.value
    except NoOpen3d as error:
        return (yield from _refused(f"open3d: {error}"))
    for name, pixels in views.no_numbers.items():
        yield Warned(f"depth or normals of {pixels} pixels are no numbers, and not used", name)
    if isinstance(outcome, NoMesh):
        return (yield from _refused(outcome.reason))
    yield Progress(len(parts) * count, len(parts) * count, "views")
    yield Report({"source": config.source, **outcome.report})
    return {"mesh": outcome.product}


def _refused(reason: str) -> Generator[Record, None, Products]:
    yield Warned(f"There is no mesh: {reason}.")
    yield Report({"triangles": 0, "reason": reason})
    return {"mesh": NoMesh(reason)}
