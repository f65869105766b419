"""The run directory with its products: items, products of finished stages, checkpoints.

Only this module, `run_directory` and what they use (`codecs`, `item_store`, `atomic_files`) open
the files of a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from pydantic import JsonValue

from pipeline.array_files import DamagedFile, encode_arrays, read_arrays
from pipeline.atomic_files import replacing_file, storage_error, write_bytes, write_json
from pipeline.checkpoint_file import checkpoint_path, drop_checkpoint
from pipeline.codecs import load_product, save_product
from pipeline.errors import PipelineError
from pipeline.item_store import Arrays, DiskStore
from pipeline.manifest import StageEntry
from pipeline.run_directory import RunDirectory

MOST_PREVIEWS = 8
_DATA = "data.json"  # an array of the file that holds the plain data as text


class Workspace(RunDirectory):
    """A run directory for those who make and read products; opened as a RunDirectory is."""

    def __init__(
        self, root: Path, program: str, *, lock: int | None = None, wait_s: float = 0.0
    ) -> None:
        super().__init__(root, program, lock=lock, wait_s=wait_s)
        self.store = DiskStore(self.root)

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
            super().__exit__(kind, error, trace)

    def load(self, product: str) -> Any:
        """A product of a finished stage. Raises codecs.LostProduct if it is not whole."""
        return load_product(product, self.root, self.store)

    def save(self, entry: StageEntry, products: Mapping[str, Any]) -> None:
        """Save a stage's products, then record it as done; its checkpoint is of no use any more.

        The old record goes first: a kill in between leaves a stage that has to run again, never a
        record beside products that it does not describe. Raises PipelineError if writing fails.
        """
        stage = entry.ingredients.stage
        self.forget(stage)
        for name, value in products.items():
            save_product(name, value, self.root)
        self.store.flush()
        write_json(self.stage_folder(stage) / "report.json", dict(entry.report))
        self.record(entry)
        self.drop_checkpoint(stage)

    def write_database(self, write: Callable[[Path], None]) -> None:
        """Replace `database.db` by what `write` puts at the path it gets; may run in a thread.

        Only `record_database` makes it count. Raises PipelineError if writing fails.
        """
        with replacing_file(self.root / "database.db") as temporary:
            write(temporary)

    def save_checkpoint(
        self, stage: str, arrays: Mapping[str, np.ndarray], data: Mapping[str, JsonValue]
    ) -> None:
        """Keep durably where a stage is, in place of its last checkpoint.

        Items that the stage has put before are durable then, too. Raises PipelineError if writing
        fails; then the last checkpoint stands.
        """
        self.store.flush()
        text = np.frombuffer(json.dumps(data).encode(), np.uint8)
        chunks = encode_arrays({**arrays, _DATA: text})
        with (
            replacing_file(checkpoint_path(self.root, stage)) as temporary,
            temporary.open("xb") as file,
        ):
            file.writelines(chunks)

    def load_checkpoint(self, stage: str) -> tuple[Arrays, dict[str, JsonValue]] | None:
        """The arrays and the plain data of a stage's checkpoint, or None if there is none.

        A damaged one counts as none: it is removed, and `store.take_warnings` names it.
        """
        try:
            return read_checkpoint(self.root, stage)
        except DamagedFile as error:
            self.store.warn(f"{error} and was removed")
            self.drop_checkpoint(stage)
            return None

    def drop_checkpoint(self, stage: str) -> None:
        """Remove a stage's checkpoint, if there is one."""
        drop_checkpoint(self.root, stage)

    def save_preview(self, stage: str, name: str, picture: bytes) -> str:
        """Keep a small picture of where a stage is, and of the older ones of its kind only the
        newest few; its path below the run directory. Raises PipelineError if writing fails."""
        folder = self.root / stage / "previews"
        write_bytes(folder / name, picture)
        try:
            kind = folder.glob(f"*{Path(name).suffix}")
            pictures = sorted(kind, key=lambda path: path.stat().st_mtime_ns)
            for old in pictures[:-MOST_PREVIEWS]:
                old.unlink()
        except OSError as error:
            raise storage_error(error, folder) from error
        return f"{stage}/previews/{name}"


def read_checkpoint(root: Path, stage: str) -> tuple[Arrays, dict[str, JsonValue]] | None:
    """The arrays and the plain data of a stage's checkpoint, or None if there is none; also while
    the run goes on. Raises DamagedFile naming it where it is not whole, and PipelineError where the
    disk does not give it."""
    path = checkpoint_path(root, stage)
    try:
        arrays = read_arrays(path)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        raise DamagedFile(f"{path} is damaged ({error})") from error
    except OSError as error:
        raise PipelineError(
            "Cannot read", f"{path}: {error.strerror or error}.", "Check the disk."
        ) from error
    data: dict[str, JsonValue] = json.loads(arrays.pop(_DATA).tobytes())
    return arrays, data
