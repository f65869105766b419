"""Whether a run directory holds the run of the photographs that a start is given.

Commands and the engine look before anything of the run is written, and import no numerical library
for that. Once all photographs are read, it is known for certain.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.hashing import file_digest
from pipeline.manifest import Hashes, Manifest
from pipeline.photo_places import folder_read
from pipeline.request import GivenPaths


def check_scene(
    root: Path, known: Manifest, paths: GivenPaths, most_read: int | None = None
) -> None:
    """See that a run is of these photographs: more or others of the same folder, or a folder that
    was moved with all of them.

    most_read: how many photographs of a moved folder are compared at most; None: all. Raises
    PipelineError where the run is of others. The run's own folder is no other where it cannot be
    read.
    """
    if not known.scene:
        return
    scene = paths.scene
    places = _places(known, paths)
    if known.scene != str(scene):
        same = len(places) == len(known.photos) and all(
            file_digest(path) == known.photos[name]
            for name, path in islice(places.items(), most_read)
        )
    else:
        same = not known.photos or bool(places) or not _can_be_read(scene)
    if not same:
        raise _another_scene(root, known.scene, scene)


def check_hashed(root: Path, known: Manifest, scene: Path, photos: Hashes) -> None:
    """As `check_scene`, with the content hashes of all photographs that are given."""
    if not known.scene:
        return
    if known.scene == str(scene):
        same = not known.photos or bool(known.photos.keys() & photos.keys())
    else:
        same = known.photos.items() <= photos.items()
    if not same:
        raise _another_scene(root, known.scene, scene)


def _places(known: Manifest, paths: GivenPaths) -> dict[str, Path]:
    """Where photographs with the names of those of the run are, among those that are given."""
    scene = paths.scene
    if paths.files:
        given = {file.relative_to(scene).as_posix(): file for file in paths.files}
        return {name: given[name] for name in known.photos if name in given}
    if _is_file(scene):
        return {scene.name: scene} if scene.name in known.photos else {}
    try:
        folder = folder_read(scene)
    except OSError:
        return {}
    return {name: folder / name for name in known.photos if _is_file(folder / name)}


def _can_be_read(scene: Path) -> bool:
    """Whether there is a video or a folder that can be listed."""
    try:
        return scene.is_file() or os.access(folder_read(scene), os.R_OK | os.X_OK)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    """Whether there is a file, as far as can be seen."""
    try:
        return path.is_file()
    except OSError:
        return False


def _another_scene(root: Path, known: str, scene: Path) -> PipelineError:
    """The error where a run is of other photographs than a start is given. known: its own."""
    if known == str(scene):
        return PipelineError(
            "Another scene",
            f"{root} holds a run whose photographs are gone from {scene}.",
            "Put them back, or give another --out for what is there now.",
        )
    return PipelineError(
        "Another scene",
        f"{root} holds the run of {known}, not of {scene}.",
        f"Give another --out, or go on with the run that is there: `barfield resume {root}`.",
    )
