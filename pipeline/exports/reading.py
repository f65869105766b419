"""A run as an export needs it."""

from __future__ import annotations

from pathlib import Path

from pipeline.codecs import LostProduct, load_product
from pipeline.errors import PipelineError
from pipeline.export_request import Listener
from pipeline.exports.scene import Export
from pipeline.formats.colmap_model import is_model, read_model
from pipeline.item_store import DiskStore


def read_export(run_directory: Path, model: str, meshes: frozenset[str], tell: Listener) -> Export:
    """Read a model of a run, as a folder of it, and the index of its photographs.

    meshes: which of the stages draft and mesh are done and up to date. Raises PipelineError where
    there is no model, or what there is cannot be read.
    """
    if not is_model(run_directory / model):
        raise PipelineError(
            "No model yet",
            f"{run_directory} has no {model}: mapping is not done, or could register nothing.",
            "Run it until mapping is done; `barfield report RUN` says why photographs are not in.",
        )
    found = read_model(run_directory / model)
    if not found.images:
        raise PipelineError("No cameras", f"{run_directory / model} has no photographs.")
    try:
        index = load_product("photos", run_directory, DiskStore(run_directory, writes=False))
    except LostProduct as error:
        raise PipelineError(
            "Damaged run",
            f"{run_directory}: {error}.",
            "Give the command of the run again: what is damaged is made anew.",
        ) from error
    photos = {photo.name: photo for photo in index.photos}
    export = Export(found, photos, run_directory, meshes, tell)
    models = sum(path.name.isdigit() for path in (run_directory / "sparse").iterdir())
    if models > 1:
        export.notes.append(
            f"The photographs fell apart into {models} models; this is the largest, with "
            f"{len(found.images)} of {len(photos)} photographs."
        )
    return export
