"""One export from its request to its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.export_request import ExportRequest, Format
from pipeline.exports import models, surfaces
from pipeline.exports.destination import ABOUT, destination, files_in, write_about, writing
from pipeline.exports.scene import Export

_FOLDERS: Mapping[Format, Callable[[Export, Path], None]] = {
    "colmap": models.write_colmap,
    "nerfstudio": models.write_nerfstudio,
    "instant-ngp": models.write_instant_ngp,
    "llff": models.write_llff_folder,
    "nvm": models.write_nvm_folder,
    "tum": models.write_tum,
    "opensfm": models.write_opensfm,
    "ply": surfaces.write_ply_folder,
    "glb": surfaces.write_glb_folder,
    "obj": surfaces.write_obj_folder,
}
_FILES: Mapping[Format, Callable[[Export, Path], None]] = {
    "ply": surfaces.write_ply_file,
    "glb": surfaces.write_glb_file,
}


@dataclass(frozen=True)
class Made:
    """What was exported. out: the folder or file. model: which of the run's, as a folder of it.
    files: relative to the folder. photographs, points: whose cameras, and which, the files hold;
    holds: the same and more of each file of points or a mesh. linked, copied, written: photographs,
    the last made anew; bytes: of the last two. notes: what the user ought to know."""

    run: str
    format: Format
    model: str
    out: str
    files: tuple[str, ...]
    photographs: int
    points: int
    holds: Mapping[str, Mapping[str, int]]
    linked: int
    copied: int
    written: int
    bytes: int
    notes: tuple[str, ...]


def make_export(export: Export, model: str, request: ExportRequest) -> Made:
    """Write what is asked for; all of it appears at once, or nothing.

    model: which of the run's models `export` holds. Raises PipelineError for a place that is
    taken, and for what the writers cannot do.
    """
    path, is_file = destination(export.run, request)
    with writing(path, is_file) as temporary:
        if is_file:
            _FILES[request.format](export, temporary)
            files: list[str] = [path.name]
        else:
            _FOLDERS[request.format](export, temporary)
            files = [*files_in(temporary), ABOUT]
            about: dict[str, Any] = {
                "barfield_export": request.format,
                "run": str(export.run),
                "model": model,
                "notes": export.notes,
                "names": export.new_names,
            }
            write_about(temporary, about)
    counts = export.counts
    holds = {path.name if is_file else name: held for name, held in export.holds.items()}
    photographs, points = len(export.model.images), len(export.model.points)
    if holds:
        photographs, points = (
            sum(held.get(kind, 0) for held in holds.values()) for kind in ("cameras", "points")
        )
    return Made(
        str(export.run), request.format, model, str(path), tuple(files), photographs, points, holds,
        counts.linked, counts.copied, counts.written, counts.bytes, tuple(export.notes),
    )  # fmt: skip
