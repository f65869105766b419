"""The formats of points and meshes: the stages `draft` and `mesh` make the meshes.

Files of the run are copied: modelling programs write into the file that they have read. What is
damaged is refused, and nothing lesser taken in its place. They raise PipelineError for what the
user can mend, and OSError where writing fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.array_files import DamagedFile
from pipeline.dense_codecs import DRAFT, FUSED, MESH
from pipeline.dense_verdict import DenseVerdict, read_verdict
from pipeline.errors import PipelineError
from pipeline.exports.models import cloud_of
from pipeline.exports.scene import Export
from pipeline.formats.glb import GlbCamera, read_glb_counts, write_glb
from pipeline.formats.obj import read_obj_counts, write_obj
from pipeline.formats.ply import read_ply, write_ply
from pipeline.formats.ply_mesh import read_ply_mesh

_MESH_PLY, _MESH_GLB = f"{MESH}/mesh.ply", f"{MESH}/mesh.glb"
_DRAFT_PLY, _DRAFT_GLB = f"{DRAFT}/mesh.ply", f"{DRAFT}/mesh.glb"
_TEXTURED = "textured/"
_Read = TypeVar("_Read")


def write_ply_folder(export: Export, folder: Path) -> None:
    """points.ply, and fused.ply and mesh.ply where the stage `mesh` has made them."""
    if len(export.model.points):
        _write_points(export, folder / "points.ply")
    if (fused := _made(export, FUSED)) is not None:
        _copy_points(export, fused, folder / fused.name)
    if (found := _made(export, _MESH_PLY)) is not None:
        mesh = _whole(export, read_ply_mesh, found)
        shutil.copyfile(found, folder / found.name)
        _tell_mesh(export, found.name, len(mesh.xyz), len(mesh.faces))
    if not export.holds:
        raise _nothing("PLY")


def write_ply_file(export: Export, path: Path) -> None:
    """The densest points that there are: the fused cloud, else the model's points."""
    found = _made(export, FUSED)
    if found is not None:
        _copy_points(export, found, path)
        export.notes.append("These are the points of the fused depth maps.")
    elif len(export.model.points):
        _write_points(export, path)
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
            _tell_mesh(export, path.name, *_whole(export, read_glb_counts, found))
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
    export.holds[path.name] = {"cameras": len(cameras), "points": len(model.points)}
    export.notes.append("There is no mesh yet: these are the points and cameras of the model.")


def write_obj_folder(export: Export, folder: Path) -> None:
    """mesh.obj: the textured mesh with its material and texture, else the mesh or the draft of one
    with colours of vertices."""
    target = folder / "mesh.obj"
    if textured := _textured(export):
        source = textured[0].with_name(target.name)
        _tell_mesh(export, target.name, *_whole(export, read_obj_counts, source))
        for part in textured:
            shutil.copyfile(part, folder / part.name)
        export.notes.append("This is the mesh with its texture.")
        return
    for name, what in ((_MESH_PLY, "the mesh"), (_DRAFT_PLY, "the draft mesh")):
        found = _made(export, name)
        if found is not None:
            mesh = _whole(export, read_ply_mesh, found)
            write_obj(target, mesh)
            _tell_mesh(export, target.name, len(mesh.xyz), len(mesh.faces))
            export.notes.append(f"This is {what}, with colours of vertices.")
            return
    if reasons := _reasons(export):
        raise PipelineError(
            "No mesh", f"{export.run}: {reasons[0]}.", "ply and glb can be exported without."
        )
    ways = [f"`barfield run-until {export.run.name} {stage}`" for stage in (DRAFT, MESH)]
    raise PipelineError(
        "No mesh yet",
        f"{export.run} has neither a mesh nor a draft of one that is up to date.",
        f"{' or '.join(ways)} makes one; ply and glb can be exported without.",
    )


def _write_points(export: Export, path: Path) -> None:
    write_ply(path, cloud_of(export))
    export.holds[path.name] = {"points": len(export.model.points)}


def _copy_points(export: Export, source: Path, path: Path) -> None:
    export.holds[path.name] = {"points": len(_whole(export, read_ply, source).xyz)}
    shutil.copyfile(source, path)


def _tell_mesh(export: Export, name: str, vertices: int, triangles: int) -> None:
    export.holds[name] = {"vertices": vertices, "triangles": triangles}


def _made(export: Export, name: str) -> Path | None:
    """A file that the stage `draft` or `mesh` makes with every mesh, if it has made one for the run
    as it is now. Raises PipelineError where the file is damaged."""
    stage, _, file = name.partition("/")
    if stage not in export.meshes or (verdict := _verdict(export, stage)).reason is not None:
        return None
    _whole(export, lambda folder: verdict.check([file]), verdict.folder)
    return verdict.folder / file


def _textured(export: Export) -> list[Path]:
    """The files of the mesh with a texture, if `mesh` has made one for the run as it is now. Raises
    PipelineError where one is damaged."""
    if MESH not in export.meshes:
        return []
    verdict = _verdict(export, MESH)
    names = [name for name in verdict.files() if name.startswith(_TEXTURED)]
    _whole(export, lambda folder: verdict.check(names), verdict.folder)
    return [verdict.folder / name for name in names]


def _verdict(export: Export, stage: str) -> DenseVerdict:
    return _whole(export, read_verdict, export.run / stage)


def _reasons(export: Export) -> list[str]:
    """Why stages that are done made no mesh, in their own words."""
    verdicts = {stage: _verdict(export, stage) for stage in sorted(export.meshes)}
    return [
        f"the stage {stage} made none: {verdict.reason}"
        for stage, verdict in verdicts.items()
        if verdict.reason is not None
    ]


def _whole(export: Export, read: Callable[[Path], _Read], path: Path) -> _Read:
    """What a reader makes of a path of the run. Raises PipelineError, which tells how to make it
    anew, where it is damaged."""
    try:
        return read(path)
    except (DamagedFile, PipelineError) as error:
        what = error.message if isinstance(error, PipelineError) else str(error)
        stage = path.relative_to(export.run).parts[0]
        raise PipelineError(
            "Damaged run",
            f"{what}.",
            f"`barfield retry {export.run.name} --from {stage}` makes it anew.",
        ) from error


def _nothing(kind: str) -> PipelineError:
    return PipelineError(
        "No points",
        f"The model has no points, and there is no mesh: nothing that {kind} could hold.",
        "Run with mapping, or choose another model with --model.",
    )
