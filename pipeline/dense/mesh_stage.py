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
    """Stage `mesh`."""

    name: ClassVar[str] = "mesh"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("depth",)
    makes: ClassVar[tuple[str, ...]] = ("mesh",)
    Config: ClassVar[type[StageConfig]] = MeshConfig

    def run(
        self, inputs: Inputs, config: MeshConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make the surfaces, or say why there are none."""
        from pipeline.dense.open3d_loader import NoOpen3d
        from pipeline.dense.surface_making import PARTS, make_surfaces

        control.poll()
        depth: DepthMaps | NoDepth = inputs["depth"]
        if isinstance(depth, NoDepth):
            return (yield from _refused(f"there are no depth maps: {depth.reason}"))
        views = len(depth.views)
        if views < 2:
            return (yield from _refused(f"{views} depth map, 2 needed"))
        work = make_surfaces(depth, config)
        parts = PARTS[: len(PARTS) if config.texture else -1]
        try:
            while True:
                part, view = next(work)
                control.poll()
                if control.due():
                    done = part * views + min(view, views)
                    yield Progress(done, len(parts) * views, "views", parts[part])
        except StopIteration as end:
            outcome = end.value
        except NoOpen3d as error:
            return (yield from _refused(f"open3d: {error}"))
        if isinstance(outcome, NoMesh):
            return (yield from _refused(outcome.reason))
        yield Progress(len(parts) * views, len(parts) * views, "views")
        yield Report(outcome.report)
        return {"mesh": outcome.product}


def _refused(reason: str) -> Generator[Record, None, Products]:
    yield Warned(f"There is no mesh: {reason}.")
    yield Report({"triangles": 0, "reason": reason})
    return {"mesh": NoMesh(reason)}
