"""The run directory: who may write it, what it holds, what is done. Only this module and those it
uses (`codecs`, `item_store`, `atomic_files`) open the files of a run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.atomic_files import (
    clean_leftovers,
    is_leftover,
    replacing_file,
    storage_error,
    write_bytes,
    write_json,
)
from pipeline.codecs import load_product, save_product
from pipeline.errors import PipelineError
from pipeline.item_store import DiskStore
from pipeline.manifest import Hashes, Ingredients, Manifest, StageEntry, differences

FORMAT = 1
RUNS = Path("runs")
MANIFEST = "manifest.json"
_LOCK = ".lock"


class Workspace:
    """One run directory, held by one runner at a time: use it in a `with` block.

    Opening creates the folder where it is missing and removes what a killed run left half-written.
    Raises PipelineError where another runner holds it, where it holds something else than a run,
    or a run of another version, and where it cannot be written.
    """

    def __init__(self, root: Path, program: str) -> None:
        self.root = root.absolute()
        self._program = program
        self._lock = self._take_lock()
        try:
            self._manifest = self._open_manifest()
            clean_leftovers(self.root)
        except BaseException:
            os.close(self._lock)
            raise
        self.store = DiskStore(self.root)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.store.flush()
        except PipelineError:
            if error is None:  # an error that is under way says more than its consequence
                raise
        finally:
            os.close(self._lock)

    def claim(self, scene: Path, photos: Hashes) -> None:
        """Take the directory for a scene, or refuse it if it holds another one.

        The same folder with more or other photographs is the same scene, and so is a folder that
        was moved with all its photographs; PipelineError for anything else.
        """
        known = self._manifest
        if known.scene:
            if known.scene == str(scene):
                same = not known.photos or bool(known.photos.keys() & photos.keys())
            else:
                same = known.photos.items() <= photos.items()
            if not same:
                raise PipelineError(
                    "Another scene",
                    f"{self.root} holds the run of {known.scene}, not of {scene}.",
                    "Choose another folder with --out, or remove that run.",
                )
        if (known.scene, known.photos) != (str(scene), dict(photos)):
            self._write_manifest(replace(known, scene=str(scene), photos=dict(photos)))

    @property
    def manifest(self) -> Manifest:
        """What is done here, and from what it was made."""
        return self._manifest

    def entry(self, stage: str) -> StageEntry | None:
        """What is recorded of a finished stage, or None."""
        return self._manifest.stages.get(stage)

    def changes(self, ingredients: Ingredients) -> list[str] | None:
        """What differs from the recorded run of a stage, in words; empty: it need not run.

        None if the stage was never finished here.
        """
        entry = self.entry(ingredients.stage)
        return None if entry is None else differences(entry.ingredients, ingredients)

    def load(self, product: str) -> Any:
        """A product of a finished stage. Raises codecs.LostProduct if it is not whole."""
        return load_product(product, self.root, self.store)

    def save(self, entry: StageEntry, products: Mapping[str, Any]) -> None:
        """Save a stage's products, then record it as done.

        The old record goes first: a kill in between leaves a stage that has to run again, never a
        record beside products that it does not describe. Raises PipelineError if writing fails.
        """
        stage = entry.ingredients.stage
        if stage in self._manifest.stages:
            others = {k: v for k, v in self._manifest.stages.items() if k != stage}
            self._write_manifest(replace(self._manifest, stages=others))
        for name, value in products.items():
            save_product(name, value, self.root)
        self.store.flush()
        write_json(self.stage_folder(stage) / "report.json", dict(entry.report))
        stages = {**self._manifest.stages, stage: entry}
        self._write_manifest(replace(self._manifest, stages=stages))

    def database_is_of(self, fingerprint: str) -> bool:
        """Whether `database.db` holds the outcome of that verification."""
        return self._manifest.database == fingerprint and (self.root / "database.db").exists()

    def write_database(self, write: Callable[[Path], None]) -> None:
        """Replace `database.db` by what `write` puts at the path it gets; may run in a thread.

        Only `record_database` makes it count. Raises PipelineError if writing fails.
        """
        with replacing_file(self.root / "database.db") as temporary:
            write(temporary)

    def record_database(self, fingerprint: str) -> None:
        """Record which verification `database.db` holds; "" before it is written anew."""
        self._write_manifest(replace(self._manifest, database=fingerprint))

    def write_config(self, toml: str) -> None:
        """Write `run.toml`, the resolved configuration."""
        write_bytes(self.root / "run.toml", toml.encode())

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write `report.json`."""
        write_json(self.root / "report.json", report)

    def stage_folder(self, stage: str) -> Path:
        """Where a stage's report and log are."""
        return self.root / "stages" / stage

    def log(self, stage: str, text: str) -> Path:
        """Append text to a stage's `stdout.log`; its path."""
        path = self.stage_folder(stage) / "stdout.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            raise storage_error(error, path) from error
        return path

    def read_hash_cache(self) -> dict[str, list[Any]]:
        """Content hashes by path, with what tells that a file changed; {} if unreadable."""
        try:
            cache: dict[str, list[Any]] = json.loads(
                (self.root / "photos/hashes.json").read_bytes()
            )
        except (OSError, ValueError):
            return {}  # only a cache: everything is hashed again
        return cache

    def write_hash_cache(self, cache: Mapping[str, list[Any]]) -> None:
        """Counterpart of :meth:`read_hash_cache`."""
        write_json(self.root / "photos" / "hashes.json", cache)

    def _take_lock(self) -> int:
        path = self.root / _LOCK
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(error, self.root) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            raise PipelineError(
                "The run is in use",
                f"Process {owner or 'of another user'} is working in {self.root}.",
                "Wait for it or stop it, or choose another folder with --out.",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    def _open_manifest(self) -> Manifest:
        path = self.root / MANIFEST
        if not path.exists():
            strangers = [
                entry.name
                for entry in self.root.iterdir()
                if entry.name != _LOCK and not is_leftover(entry.name)
            ]
            if strangers:
                (self.root / _LOCK).unlink()
                raise PipelineError(
                    "Not a run directory",
                    f"{self.root} holds other files ({min(strangers)}) and no {MANIFEST}.",
                    "Choose an empty or a new folder with --out.",
                )
            fresh = Manifest(self._program)
            self._write_manifest(fresh)
            return fresh
        manifest = read_manifest(self.root)
        ours, theirs = self._program.split(".")[:2], manifest.program.split(".")[:2]
        if ours != theirs:
            raise _other_version(self.root, f"barfield {manifest.program}", self._program)
        return manifest

    def _write_manifest(self, manifest: Manifest) -> None:
        write_json(self.root / MANIFEST, {"format": FORMAT, **manifest.to_json()})
        self._manifest = manifest


def read_manifest(root: Path) -> Manifest:
    """The manifest of a run, to read only.

    Raises PipelineError where there is none, where it is damaged, or of another format.
    """
    path = root / MANIFEST
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise _other_version(root, f"format {data['format']}", f"format {FORMAT}")
        return Manifest.from_json(data)
    except OSError as error:
        raise PipelineError(
            "No run here", f"{path}: {error.strerror or error}.", "Name the folder of a run."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            "Damaged run",
            f"{path} is not a manifest: {error!r}.",
            "Choose another folder with --out.",
        ) from error


def read_report(root: Path) -> dict[str, Any]:
    """The content of a run's `report.json`.

    Raises PipelineError where there is no run or none that has come to an end.
    """
    read_manifest(root)
    path = root / "report.json"
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PipelineError(
            "No report yet", f"{path} does not exist: the run has not come to an end.",
            "Start the same `barfield run` command again; it continues.",
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise PipelineError(
            "Damaged report", f"{path} cannot be read: {error}.", "Run the same command again."
        ) from error
    return report


def default_run_directory(photos: Path) -> Path:
    """``runs/<name of the photo folder>``; a folder called images has its parent's name."""
    absolute = photos.resolve()
    name = absolute.parent.name if absolute.name == "images" else absolute.stem
    return RUNS / (name or "run")


def find_run(text: str) -> Path:
    """The run directory that the user means: a path, or the name of a folder in `runs`.

    Raises PipelineError if neither is one.
    """
    for candidate in (Path(text), RUNS / text):
        if (candidate / MANIFEST).exists():
            return candidate
    known = sorted(path.parent.name for path in RUNS.glob(f"*/{MANIFEST}"))
    raise PipelineError(
        "No such run",
        f"{text} is not a run directory, and neither is {RUNS / text}.",
        f"Runs here: {', '.join(known)}." if known else "Start one with `barfield run PHOTOS`.",
    )


def _other_version(root: Path, theirs: str, ours: str) -> PipelineError:
    return PipelineError(
        "A run of another version",
        f"{root} was made by {theirs}; this is {ours}.",
        "Choose another folder with --out, or use the version that made the run.",
    )
