"""The run directory without its products: who may write it, what is asked for, what is done.

It imports no numerical library, so that the process that supervises a run starts at once.
Only this module, `workspace` and what they use open the files of a run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from pipeline.atomic_files import (
    clean_leftovers,
    is_leftover,
    make_folder,
    storage_error,
    write_bytes,
    write_json,
)
from pipeline.errors import PipelineError
from pipeline.manifest import Hashes, Ingredients, Manifest, StageEntry, differences
from pipeline.request import RunRequest
from pipeline.run_lock import LOCK, is_lock_of, release_lock, take_lock
from pipeline.scene_claim import check_hashed

FORMAT = 1
RUNS = Path("runs")
MANIFEST = "manifest.json"
REQUEST = "request.json"
_MANIFEST_LOCK = ".manifest.lock"


class DamagedManifest(PipelineError):
    """A run's manifest is there, but cannot be understood."""


class RunDirectory:
    """One run directory, held by one run at a time: use it in a `with` block.

    Opening takes the lock, waiting up to `wait_s` seconds for it, creates the folder where it is
    missing and removes what a killed run left half-written. Raises PipelineError where another
    run holds it, where it holds something else than a run, or a run of another version, and where
    it cannot be written. A manifest that cannot be understood is put aside and begun anew.

    damages: what was put aside, in words for the user. lock: the inherited descriptor of a lock
    that another process of the same run has taken: then the directory is as that process left it,
    and the lock stays its own.
    """

    def __init__(
        self, root: Path, program: str, *, lock: int | None = None, wait_s: float = 0.0
    ) -> None:
        self.root = root.absolute()
        self._program = program
        self.damages: list[str] = []
        self._known: tuple[list[int], Manifest] | None = None
        self._owns_lock = lock is None
        self._lock = take_lock(self.root, wait_s) if lock is None else lock
        if self._owns_lock:
            try:
                self._check_manifest()
                clean_leftovers(self.root)
            except BaseException:
                release_lock(self._lock)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owns_lock:
            release_lock(self._lock)

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock: hand it to every process that writes here."""
        return self._lock

    def is_in_place(self) -> bool:
        """Whether the directory was neither removed nor moved away since it was opened."""
        return is_lock_of(self._lock, self.root)

    def check_in_place(self) -> None:
        """Raises PipelineError where the directory was removed or moved away."""
        if not self.is_in_place():
            raise PipelineError(
                "The run directory is gone",
                f"The run directory {self.root} was removed or moved away while the run went on.",
                "A run that was moved goes on with `barfield run PHOTOS --out RUN`.",
            )

    def claim(self, scene: Path, photos: Hashes) -> None:
        """Take the directory for a scene, or refuse it if it holds another one.

        The same folder with more or other photographs is the same scene, and so is a folder that
        was moved with all its photographs; PipelineError for anything else.
        """
        check_hashed(self.root, self.manifest, scene, photos)
        self._update(lambda manifest: replace(manifest, scene=str(scene), photos=dict(photos)))

    @property
    def manifest(self) -> Manifest:
        """What is done here, and from what it was made; also what other processes have added."""
        signature = _signature(self.root / MANIFEST)
        if self._known is None or self._known[0] != signature:
            self._known = (signature, read_manifest(self.root))
        return self._known[1]

    def entry(self, stage: str) -> StageEntry | None:
        """What is recorded of a finished stage, or None."""
        return self.manifest.stages.get(stage)

    def changes(self, ingredients: Ingredients) -> list[str] | None:
        """What differs from the recorded run of a stage, in words; empty: it need not run.

        None if the stage was never finished here.
        """
        entry = self.entry(ingredients.stage)
        return None if entry is None else differences(entry.ingredients, ingredients)

    def record(self, entry: StageEntry) -> None:
        """Record a stage as finished: its products are there, and durable."""
        stage = entry.ingredients.stage
        self._update(lambda known: replace(known, stages={**known.stages, stage: entry}))

    def forget(self, *stages: str) -> None:
        """Record that these stages are not finished."""

        def without(known: Manifest) -> Manifest:
            others = {name: entry for name, entry in known.stages.items() if name not in stages}
            return replace(known, stages=others)

        self._update(without)

    def database_is_of(self, fingerprint: str) -> bool:
        """Whether `database.db` holds the outcome of that verification."""
        return self.manifest.database == fingerprint and (self.root / "database.db").exists()

    def record_database(self, fingerprint: str) -> None:
        """Record which verification `database.db` holds; "" before it is written anew."""
        self._update(lambda known: replace(known, database=fingerprint))

    def write_config(self, toml: str) -> None:
        """Write `run.toml`, the resolved configuration."""
        write_bytes(self.root / "run.toml", toml.encode())

    def read_request(self) -> RunRequest | None:
        """What the run was asked to do, as `read_request` does."""
        return read_request(self.root)

    def write_request(self, request: RunRequest) -> None:
        """Write `request.json`: what the run is asked to do."""
        # Not pydantic's own JSON: names of files may hold lone surrogates.
        write_json(self.root / REQUEST, request.model_dump(mode="json"))

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write `report.json`."""
        write_json(self.root / "report.json", report)

    def stage_folder(self, stage: str) -> Path:
        """Where a stage's report, log and checkpoint are."""
        return self.root / "stages" / stage

    def log_path(self, stage: str) -> Path:
        """Where what a stage prints is kept."""
        return stage_log(self.root, stage)

    def log(self, stage: str, text: str) -> Path:
        """Append text to a stage's log; its path."""
        path = self.log_path(stage)
        make_folder(path.parent)
        try:
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

    def _check_manifest(self) -> None:
        """Refuse what is no run of this version; an empty folder becomes one."""
        if not (self.root / MANIFEST).exists():
            ours = (LOCK, _MANIFEST_LOCK)
            strangers = [
                entry.name
                for entry in self.root.iterdir()
                if entry.name not in ours and not is_leftover(entry.name)
            ]
            if strangers:
                raise self._not_a_run(f"other files ({min(strangers)}) and no {MANIFEST}")
            self._write_manifest(Manifest(self._program))
        try:
            program = self.manifest.program
        except DamagedManifest:
            self._begin_manifest_anew()
            program = self._program
        if program.split(".")[:2] != self._program.split(".")[:2]:
            raise _other_version(self.root, f"barfield {program}", self._program)

    def _not_a_run(self, what: str) -> PipelineError:
        (self.root / LOCK).unlink()
        return PipelineError(
            "Not a run directory",
            f"{self.root} holds {what}.",
            "Choose an empty or a new folder with --out.",
        )

    def _begin_manifest_anew(self) -> None:
        """Put a damaged manifest aside. Raises PipelineError where this was never a run."""
        path = self.root / MANIFEST
        if not (self.root / _MANIFEST_LOCK).exists():  # other programs have manifests, too
            raise self._not_a_run(f"a {MANIFEST} that is not one of a run")
        aside = path.with_name(f"{MANIFEST}.damaged")
        try:
            damaged = path.read_bytes()
        except OSError as error:
            raise storage_error(error, path) from error
        # A copy: were it renamed, a kill at this point would leave no run directory.
        write_bytes(aside, damaged)
        self._write_manifest(Manifest(self._program))
        self.damages.append(
            f"{MANIFEST}: now {aside.name}, begins anew; all stages run again, and use what is "
            "stored of photographs and pairs"
        )

    def _update(self, change: Callable[[Manifest], Manifest]) -> None:
        """Change the manifest's newest content; the run's other processes wait meanwhile."""
        with self._manifest_lock():
            old = read_manifest(self.root)
            new = change(old)
            if new != old:
                self._write_manifest(new)

    @contextmanager
    def _manifest_lock(self) -> Iterator[None]:
        path = self.root / _MANIFEST_LOCK
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write_manifest(self, manifest: Manifest) -> None:
        write_json(self.root / MANIFEST, {"format": FORMAT, **manifest.to_json()})


def stage_log(root: Path, stage: str) -> Path:
    """Where what a stage prints is kept."""
    return root / "stages" / stage / "stdout.log"


def read_manifest(root: Path) -> Manifest:
    """The manifest of a run, to read only.

    Raises DamagedManifest where it cannot be understood, and PipelineError where there is none or
    one of another format.
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
        raise DamagedManifest(
            "Damaged run",
            f"{path}, which says what is done here, cannot be understood: it is cut or was edited.",
            f"Run `barfield run PHOTOS --out {root}` again: it begins a new one, and keeps what is "
            "stored of photographs and pairs.",
        ) from error


def read_request(root: Path) -> RunRequest | None:
    """What a run was asked to do; None for a run that nobody asked for yet.

    Raises PipelineError where the file is damaged.
    """
    path = root / REQUEST
    try:
        return RunRequest.model_validate(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged_request(path, f"{place}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise _damaged_request(path, str(error)) from error


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


def _signature(path: Path) -> list[int]:
    """What changes whenever the file is replaced; [] where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _damaged_request(path: Path, fault: str) -> PipelineError:
    return PipelineError(
        "Damaged request",
        f"{path} cannot be read: {fault}.",
        f"Start again with `barfield run PHOTOS --out {path.parent}`: what is done is kept.",
    )


def _other_version(root: Path, theirs: str, ours: str) -> PipelineError:
    return PipelineError(
        "A run of another version",
        f"{root} was made by {theirs}; this is {ours}.",
        "Choose another folder with --out, or use the version that made the run.",
    )
