"""What the user gives to a run: photographs, intrinsics, poses; read and hashed at its start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import PipelineError
from pipeline.formats.posed import camera_at_size, photo_size
from pipeline.formats.reference import read_intrinsics, read_posed_photos
from pipeline.geometry.cameras import Camera
from pipeline.hashing import file_digest, is_digest
from pipeline.manifest import Hashes
from pipeline.photos.masks import mask_folder
from pipeline.photos.source import PhotoSource, list_photos
from pipeline.request import GivenPaths
from pipeline.run_directory import MANIFEST, RunDirectory

Told = Callable[[int, int], None]
SECONDS_BETWEEN_SAVES = 5.0  # of the hashes: reading thousands of photographs takes minutes


@dataclass(frozen=True, eq=False)
class FoundFiles:
    """The user's files, before any is read.

    photos: path of each photograph (or of the video) by its name in the run. others: for each
    product that the user gives, what belongs to it besides, by a name that says what it is.
    """

    source: PhotoSource
    scene: Path
    photos: Mapping[str, Path]
    others: Mapping[str, Mapping[str, Path]]


@dataclass(frozen=True, eq=False)
class GivenInputs:
    """The user's part of the inputs.

    products: `source`, and `poses` where they are given. hashes: for each product the content
    hashes of the files behind it, by name. scene: the absolute path of the photographs. photos:
    the content hashes of the photographs alone.
    """

    products: Mapping[str, Any]
    hashes: Mapping[str, Hashes]
    scene: Path
    photos: Hashes


def find_files(paths: GivenPaths, config: RunConfig, run_directory: Path) -> FoundFiles:
    """Find the user's files; touches nothing. A run directory among the photographs is not read.

    Raises PipelineError naming what is missing or cannot be opened.
    """
    source = PhotoSource.of_files(paths.files) if paths.files else PhotoSource(paths.scene)
    scene = source.root
    others: dict[str, Mapping[str, Path]] = {"source": {}}
    if source.is_video:
        source = replace(source, frames_folder=run_directory.absolute() / "photos" / "frames")
        photos = {scene.name: scene}
    else:
        source, photos, masks = _list_folder(source, config)
        if masks is not None:
            others["source"] = _files_below(masks, "masks/")
    if paths.intrinsics is not None:
        others["source"] = {**others["source"], **_files_below(paths.intrinsics, "intrinsics ")}
    if paths.poses is not None:
        others["poses"] = _files_below(paths.poses, "poses ")
    return FoundFiles(source, scene, photos, others)


def read_inputs(
    paths: GivenPaths,
    found: FoundFiles,
    directory: RunDirectory,
    executor: Executor,
    told: Told | None = None,
) -> GivenInputs:
    """Hash the files that were found, and read the given intrinsics and poses.

    executor: of this machine, where the files are. told: called after every file with how many
    are hashed, and of how many; what it raises ends the reading, and the next one goes on there.
    Raises PipelineError naming the file that cannot be read as asked.
    """
    source = found.source
    if paths.intrinsics is not None:
        source = replace(source, intrinsics=_fitting_intrinsics(paths.intrinsics, found.photos))
    products: dict[str, Any] = {"source": source}
    if paths.poses is not None:
        products["poses"] = read_posed_photos(paths.poses, tuple(found.photos))
    hashes = _Hashes(directory)
    hashes.read(
        [path for files in (found.photos, *found.others.values()) for path in files.values()],
        executor,
        told or (lambda done, total: None),
    )
    photos = hashes.of(found.photos)
    given = {product: hashes.of(files) for product, files in found.others.items()}
    given["source"] = {**photos, **given["source"], "the folder's path": str(found.scene)}
    return GivenInputs(products, given, found.scene, photos)


def _list_folder(
    source: PhotoSource, config: RunConfig
) -> tuple[PhotoSource, dict[str, Path], Path | None]:
    """The source without what lies in run directories, its files by name, and its masks."""
    root_listing = list_photos(source)
    masks = mask_folder(config.ingest.masks, root_listing.folder)
    listing = list_photos(source, masks) if masks is not None else root_listing
    in_run = cache(lambda folder: (folder / MANIFEST).exists())
    files = {
        name: path
        for name, path in listing.photos
        if not any(map(in_run, _parents_below(path, listing.folder)))
    }
    if len(files) == len(listing.photos):
        return source, files, masks
    if not files:
        raise PipelineError(
            "No photographs",
            f"{listing.folder} holds no photographs but those of a run directory.",
            "Give the folder that holds the photographs.",
        )
    return PhotoSource(listing.folder, tuple(files.values())), files, masks


def _fitting_intrinsics(path: Path, files: Mapping[str, Path]) -> dict[str, Camera]:
    """The given cameras, scaled to the photographs that they are given for."""
    fitted = {}
    for name, camera in read_intrinsics(path, tuple(files)).items():
        size = photo_size(files[name])
        fitted[name] = camera_at_size(camera, *size) if size else camera
    return fitted


def _parents_below(path: Path, folder: Path) -> list[Path]:
    parents = list(path.parents)
    return parents[: parents.index(folder)]


def _files_below(path: Path, prefix: str) -> dict[str, Path]:
    """The file, or all files of the folder, by a name that says what they are for."""
    if not path.is_dir():
        return {f"{prefix}{path.name}": path}
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in sorted(names))
    return {f"{prefix}{file.relative_to(path).as_posix()}": file for file in found}


class _Hashes:
    """Content hashes, remembered from run to run by path, size, times and inode."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._known: dict[str, list[Any]] = {}

    def read(self, files: Iterable[Path], executor: Executor, told: Told) -> None:
        """Hash the files that are new or have changed, and remember all of them."""
        states = {str(path): _state(path) for path in files}
        before = self._directory.read_hash_cache()
        known = {path: before[path] for path in states if path in before}
        self._known = {path: entry for path, entry in known.items() if entry[:-1] == states[path]}
        new = [path for path in states if path not in self._known]
        saved = time.monotonic()
        try:
            for done, (path, digest) in enumerate(
                zip(new, executor.map(file_digest, new), strict=True)
            ):
                self._known[path] = [*states[path], digest]
                if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    self._remember(before)
                    saved = time.monotonic()
                told(done + 1, len(new))
        finally:
            self._remember(before)

    def _remember(self, before: Mapping[str, list[Any]]) -> None:
        readable = {path: entry for path, entry in self._known.items() if is_digest(entry[-1])}
        if readable != before:
            self._directory.write_hash_cache(readable)

    def of(self, files: Mapping[str, Path]) -> dict[str, str]:
        """The hash of each file, by name: see `file_digest`."""
        return {name: self._known[str(path)][-1] for name, path in files.items()}


def _state(path: Path) -> list[int]:
    """What changes whenever a file's content does; [] where it cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
