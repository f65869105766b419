"""Makes the clouds that a run should have: reads products, has a cloud written, puts it in place.

For a worker process that has not loaded torch, and will not: open3d is loaded here.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from pipeline.atomic_files import remove_folder, replacing_folder
from pipeline.codecs import LostProduct, load_product, read_verdicts
from pipeline.dense.clouds import write_cloud, write_fused
from pipeline.dense_codecs import load_fused
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import read_model
from pipeline.formats.point_stream import stream_steps
from pipeline.item_store import DiskStore
from pipeline.products import SparseModel
from pipeline.registration_steps import steps_of
from pipeline.run_directory import read_manifest
from pipeline.scene_index import ABOUT, FOLDER, CloudSource, cloud_sources, is_ready, way_up

MOST_VERSIONS = 2
"""Of a cloud: somebody may still be reading the last one."""

_AGAIN = "Start the run again."


class _Overtaken(Exception):
    """What the cloud is made from has changed."""


def make_cloud(root: Path, cloud: str, without_open3d: str = "") -> None:
    """Make one of the clouds that a run should have.

    cloud: its id. without_open3d: why it is not to be loaded; "": it may be. Nothing is made where
    what it is made from changes meanwhile, or is no longer that: then the run should have another
    one. Raises PipelineError where products cannot be read or the disk refuses.
    """
    began = time.monotonic()
    source = _source(root, cloud)
    if source is None or is_ready(root, source):
        return
    try:
        photos = load_product("photos", root, DiskStore(root, writes=False))
        model = read_model(root / source.model)
        fused = load_fused(root) if source.fused else None
    except (LostProduct, PipelineError) as error:
        if _source(root, cloud) is None:
            return  # it is being replaced
        words = error.message if isinstance(error, PipelineError) else str(error)
        anew = f"`barfield retry RUN --from {source.stage}` makes it anew."
        hint = anew if source.fused else _AGAIN
        raise PipelineError("No cloud", f"{words}.", hint) from error
    numbers = {photo.name: i for i, photo in enumerate(photos.photos)}
    try:
        with replacing_folder(root / FOLDER / source.id) as folder:
            if fused is not None:
                about = write_fused(folder, fused, model, numbers, way_up(root, source))
            else:
                about = write_cloud(folder, model, numbers, without_open3d)
                if about["format"] == "points":
                    about["steps"] = _write_steps(folder, model, root)
            about |= {"id": source.id, "name": source.name, "stage": source.stage}
            about["seconds"] = round(time.monotonic() - began, 3)
            text = json.dumps(about, allow_nan=False, indent=1)
            (folder / ABOUT).write_text(text, encoding="ascii")
            if _source(root, cloud) is None:
                raise _Overtaken
    except _Overtaken:
        return
    remove_old(root, source.name)


def remove_old(root: Path, name: str) -> None:
    """Remove all but the newest versions of a cloud. Raises PipelineError where that fails."""
    folders = [path for path in (root / FOLDER).glob(f"{name}-*") if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime_ns)
    for folder in folders[:-MOST_VERSIONS]:
        remove_folder(folder)


def _write_steps(folder: Path, model: SparseModel, root: Path) -> int:
    """Write when the points came, where mapping tells; in how many steps, 0 where it does not."""
    try:
        verdicts = read_verdicts(root)
    except (OSError, ValueError, TypeError):
        return 0  # a cloud without is better than none
    steps = steps_of(model, verdicts)
    if steps is None:
        return 0
    (folder / "steps.bin").write_bytes(stream_steps(steps, len(model.images)))
    return len(model.images)


def _source(root: Path, cloud: str) -> CloudSource | None:
    found = {source.id: source for source in cloud_sources(root, read_manifest(root))}
    return found.get(cloud)
