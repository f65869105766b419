"""The stage `draft`: a quick mesh from the sparse model, for people to look at meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from pipeline.config_base import StageConfig
from pipeline.events import Progress, Record, Report, Warned
from pipeline.mesh_config import DraftConfig
from pipeline.mesh_products import NoMesh
from pipeline.products import Reconstruction
from pipeline.stage import Control, Inputs, Products


class DraftMesh:
    """Stage `draft`: of the largest model."""

    name: ClassVar[str] = "draft"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("reconstruction",)
    makes: ClassVar[tuple[str, ...]] = ("draft",)
    Config: ClassVar[type[StageConfig]] = DraftConfig

    def run(
        self, inputs: Inputs, config: DraftConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make the mesh, or say why there is none."""
        from pipeline.dense.draft import STEPS, draft_mesh

        control.poll()
        reconstruction: Reconstruction = inputs["reconstruction"]
        if not reconstruction.models:
            return (yield from _refused("mapping found no model"))
        work = draft_mesh(reconstruction.models[0], config)
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                outcome = end.value
                break
            control.poll()
            yield Progress(step, len(STEPS), "steps", STEPS[step])
        if isinstance(outcome.mesh, NoMesh):
            return (yield from _refused(outcome.mesh.reason))
        yield Progress(len(STEPS), len(STEPS), "steps")
        yield Report(
            {
                "points": outcome.points,
                "used": outcome.used,
                "vertices": len(outcome.mesh.xyz),
                "triangles": len(outcome.mesh.faces),
            }
        )
        return {"draft": outcome.mesh}


def _refused(reason: str) -> Generator[Record, None, Products]:
    yield Warned(f"There is no draft mesh: {reason}.")
    yield Report({"triangles": 0, "reason": reason})
    return {"draft": NoMesh(reason)}
