"""The formats of points and meshes: the stages `draft` and `mesh` make the meshes.

Files of the run are copied: modelling programs write into the file that they have read.
They raise PipelineError for what the user can mend, and OSError where writing fails.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.exports.models import cloud_of
from pipeline.exports.scene import Export
from pipeline.formats.glb import GlbCamera, write_glb
from pipeline.formats.obj import write_obj
from pipeline.formats.ply import write_ply
from pipeline.formats.ply_mesh import read_ply_mesh
from pipeline.stages import STAGE_NAMES

_FUSED, _MESH_PLY, _MESH_GLB = "mesh/fused.ply", "mesh/mesh.ply", "mesh/mesh.glb"
_DRAFT_PLY, _DRAFT_GLB = "draft/mesh.ply", "draft/mesh.glb"
_TEXTURED = "mesh/textured"


def write_ply_folder(export: Export, folder: Path) -> None:
    """points.ply, and fused.ply and mesh.ply where the stage `mesh` has made them."""
    written = []
    if len(export.model.points):
        write_ply(folder / "points.ply", cloud_of(export))
        written.append("points.ply")
    for name in (_FUSED, _MESH_PLY):
        found = _made(export, name)
        if found is not None:
            shutil.copyfile(found, folder / found.name)
            written.append(found.name)
    if not written:
        raise _nothing("PLY")


def write_ply_file(export: Export, path: Path) -> None:
    """The densest points that there are: the fused cloud, else the model's points."""
    found = _made(export, _FUSED)
    if found is not None:
        shutil.copyfile(found, path)
        export.notes.append("These are the points of the fused depth maps.")
    elif len(export.model.points):
        write_ply(path, cloud_of(export))
        export.notes.append("These are the points of the sparse model.")
    else:
        raise _nothing("PLY")


def write_glb_folder(export: Export, folder: Path) -> None:
    """scene.glb: as `write_glb_file`."""
    write_glb_file(export, folder / "scene.glb")


def write_glb_file(export: Export, path: Path) -> None:
    """The mesh, else the draft of one, else the model's points with its cameras."""
    for name, what in ((_MESH_GLB, "the mesh"), (_DRAFT_GLB, "the draft mesh")):
        found = _made(export, name)
        if found is not None:
            shutil.copyfile(found, path)
            export.notes.append(f"This is {what}.")
            return
    model = export.model
    if not len(model.points):
        raise _nothing("GLB")
    cameras = [
        GlbCamera(image.name, model.cameras[image.camera], image.cam_from_world)
        for image in model.images.values()
    ]
    write_glb(path, cloud_of(export), cameras)
    export.notes.append("There is no mesh yet: these are the points and cameras of the model.")


def write_obj_folder(export: Export, folder: Path) -> None:
    """mesh.obj: the textured mesh with its material and texture, else the mesh or the draft of one
    with colours of vertices."""
    textured = _made(export, f"{_TEXTURED}/mesh.obj")
    if textured is not None:
        for part in sorted(textured.parent.iterdir()):
            if part.is_file() and not part.name.startswith("."):
                shutil.copyfile(part, folder / part.name)
        export.notes.append("This is the mesh with its texture.")
        return
    for name, what in ((_MESH_PLY, "the mesh"), (_DRAFT_PLY, "the draft mesh")):
        found = _made(export, name)
        if found is not None:
            write_obj(folder / "mesh.obj", read_ply_mesh(found))
            export.notes.append(f"This is {what}, with colours of vertices.")
            return
    if reasons := _reasons(export):
        raise PipelineError(
            "No mesh", f"{export.run}: {reasons[0]}.", "ply and glb can be exported without."
        )
    ways = [
        f"`barfield run-until {export.run.name} {stage}`"
        for stage in ("draft", "mesh")
        if stage in STAGE_NAMES
    ]
    raise PipelineError(
        "No mesh yet",
        f"{export.run} has neither a mesh nor a draft of one that is up to date.",
        f"{' or '.join(ways)} makes one; ply and glb can be exported without."
        if ways
        else "ply and glb can be exported without.",
    )


def _made(export: Export, name: str) -> Path | None:
    """A file of the stage `draft` or `mesh`, if it is there and of the run as it is now."""
    path = export.run / name
    return path if name.split("/")[0] in export.meshes and path.is_file() else None


def _reasons(export: Export) -> list[str]:
    """Why stages that are done made no mesh, in their own words."""
    found = []
    for stage in sorted(export.meshes):
        try:
            verdict = json.loads((export.run / stage / "verdict.json").read_bytes())
        except (OSError, ValueError):
            continue
        if verdict.get("reason"):
            found.append(f"the stage {stage} made none: {verdict['reason']}")
    return found


def _nothing(kind: str) -> PipelineError:
    return PipelineError(
        "No points",
        f"The model has no points, and there is no mesh: nothing that {kind} could hold.",
        "Run with mapping, or choose another model with --model.",
    )
