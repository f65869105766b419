"""The items of a run directory: immutable files of arrays, named by the hash of what decides them.

A file lies under ``<kind>/<first two letters of the key>/<key>.arrays``, or flat in one of
FLAT_FOLDERS where a kind has few files. `put` returns at once; one thread writes behind it, several
files to a sync, because a sync costs milliseconds during which a worker could compute. What a kill
loses of that queue is computed again: at most one item where the disk keeps up, never more than
QUEUE_ITEMS.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.array_files import SUFFIX, DamagedFile, encode_arrays, read_arrays
from pipeline.atomic_files import storage_error, sync, temporary_beside
from pipeline.errors import PipelineError

Name = tuple[str, str]
Arrays = dict[str, np.ndarray]

MEMORY_BYTES = 256 * 2**20
QUEUE_BYTES = 64 * 2**20
QUEUE_ITEMS = 128
FILES_PER_SYNC = 64
FLAT_FOLDERS = {
    "inspections": "photos/inspections",
    "fits": "matches/fits",
    "geometries": "matches/geometries",
    "undistorted": "stages/depth/undistorted",
    "photometric": "stages/depth/photometric",
    "agreed": "stages/depth/agreed",
}


class LostItem(KeyError):
    """An item is not in the store, or its file was damaged (and is removed); says which."""

    def __str__(self) -> str:
        return str(self.args[0])


class RecentItems:
    """The most recently used items, up to a number of bytes. Not thread-safe by itself."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._items: OrderedDict[Name, Arrays] = OrderedDict()

    def get(self, name: Name) -> Arrays | None:
        """The item, now the most recent one, or None."""
        arrays = self._items.get(name)
        if arrays is not None:
            self._items.move_to_end(name)
        return arrays

    def discard(self, name: Name) -> None:
        """Forget the item, if it is there."""
        arrays = self._items.pop(name, None)
        if arrays is not None:
            self._bytes -= _size(arrays)

    def add(self, name: Name, arrays: Arrays) -> None:
        """Keep the item, and forget the oldest ones beyond the limit."""
        if name in self._items:
            return
        self._items[name] = arrays
        self._bytes += _size(arrays)
        while self._bytes > self._most_bytes:
            _, oldest = self._items.popitem(last=False)
            self._bytes -= _size(oldest)


class DiskStore:
    """An `ItemStore` in a run directory, safe to use from several threads.

    Arrays that `get` returns are shared with other readers: treat them as read-only. A short or
    damaged file counts as absent; it is removed and `take_warnings` names it. Pickled, it becomes
    the other process's store of the same run, which only reads.
    """

    def __init__(
        self, root: Path, memory_bytes: int = MEMORY_BYTES, *, writes: bool = True
    ) -> None:
        self.root = root
        self._writes = writes
        self._recent = RecentItems(memory_bytes)
        self._pending: OrderedDict[Name, Arrays] = OrderedDict()
        self._pending_bytes = 0
        self._on_disk: set[Name] = set()
        self._folders: set[Path] = set()
        self._warnings: list[str] = []
        self._failure: PipelineError | None = None
        self._writer: threading.Thread | None = None
        self._changed = threading.Condition()

    def has(self, kind: str, key: str) -> bool:
        """Whether the item is there and whole."""
        with self._changed:
            if (kind, key) in self._pending or (kind, key) in self._on_disk:
                return True
        try:
            self.get(kind, key)
        except LostItem:
            return False
        return True

    def exists(self, kind: str, key: str) -> bool:
        """Whether there is a file of the item; its content is not looked at."""
        return self.path_of(kind, key).exists()

    def get(self, kind: str, key: str) -> Arrays:
        """The item's arrays; LostItem if it is not there or damaged."""
        name = (kind, key)
        with self._changed:
            arrays = self._recent.get(name) or self._pending.get(name)
        if arrays is not None:
            return arrays
        path = self.path_of(kind, key)
        try:
            arrays = read_arrays(path)
        except FileNotFoundError:
            raise LostItem(f"{path} is missing") from None
        except OSError as error:
            raise PipelineError(
                "Cannot read", f"{path}: {error.strerror or error}.", "Check the disk."
            ) from error
        except DamagedFile as error:
            with self._changed:
                self._on_disk.discard(name)
                self._warnings.append(f"{path} is damaged and was removed: {error}")
            if self._writes:
                path.unlink(missing_ok=True)
            raise LostItem(f"{path} is damaged") from error
        with self._changed:
            self._on_disk.add(name)
            self._recent.add(name, arrays)
        return arrays

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store an item; storing it again changes nothing. Raises PipelineError after a failed
        write, ValueError in a store that only reads."""
        if not self._writes:
            raise ValueError(f"only the process that runs a stage writes items into {self.root}")
        name = (kind, key)
        if self.has(kind, key):
            return
        kept = {label: np.ascontiguousarray(array) for label, array in arrays.items()}
        with self._changed:
            # A single item larger than the queue must pass too, hence the test for emptiness.
            self._changed.wait_for(
                lambda: (
                    (self._pending_bytes < QUEUE_BYTES and len(self._pending) < QUEUE_ITEMS)
                    or not self._pending
                    or self._failure
                )
            )
            self._raise_failure()
            if name in self._pending:
                return
            self._pending[name] = kept
            self._pending_bytes += _size(kept)
            self._recent.add(name, kept)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_pending, daemon=True)
                self._writer.start()
            self._changed.notify_all()

    def settle(self, kind: str, key: str) -> None:
        """Wait until another process can read the item. Raises PipelineError if it could not be
        written."""
        with self._changed:
            self._changed.wait_for(lambda: (kind, key) not in self._pending or self._failure)
            if (kind, key) in self._pending:
                self._raise_failure()

    def flush(self) -> None:
        """Wait until every item is durable. Raises PipelineError if one could not be written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending or self._failure)
            self._raise_failure()

    def begin_anew(self) -> None:
        """Wait for what is being written, and forget a failure that nobody has heard of, with the
        items that it lost: an earlier attempt made them when it had failed already."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending or self._failure)
            self._take_failure()

    def warn(self, message: str) -> None:
        """Have `take_warnings` tell of something that was found damaged."""
        with self._changed:
            self._warnings.append(message)

    def take_warnings(self) -> list[str]:
        """What was found damaged since the last call, in words."""
        with self._changed:
            taken, self._warnings = self._warnings, []
        return taken

    def path_of(self, kind: str, key: str) -> Path:
        """Where the item is or would be."""
        folder = self.root / FLAT_FOLDERS.get(kind, f"{kind}/{key[:2]}")
        return folder / f"{key}{SUFFIX}"

    def __reduce__(self) -> tuple[Callable[[Path], DiskStore], tuple[Path]]:
        return reader_of, (self.root,)

    def _raise_failure(self) -> None:
        """Called with the condition held. The next write is tried again afterwards."""
        failure = self._take_failure()
        if failure is not None:
            raise failure

    def _take_failure(self) -> PipelineError | None:
        """Called with the condition held. The failure of a write, if there was one; the items that
        waited are as if they were never put."""
        failure, self._failure = self._failure, None
        if failure is not None:
            for name in self._pending:
                self._recent.discard(name)
            self._pending.clear()
            self._pending_bytes = 0
        return failure

    def _write_pending(self) -> None:
        """Body of the writer thread: ends when nothing is left to write."""
        while True:
            with self._changed:
                batch = list(self._pending.items())[:FILES_PER_SYNC]
                if not batch or self._failure:
                    self._writer = None
                    return
            failure = self._write_batch(batch)
            with self._changed:
                self._failure = failure
                if failure is None:
                    for name, arrays in batch:
                        self._on_disk.add(name)
                        del self._pending[name]
                        self._pending_bytes -= _size(arrays)
                self._changed.notify_all()

    def _write_batch(self, batch: list[tuple[Name, Arrays]]) -> PipelineError | None:
        """Write some items durably; syncing them after all are written lets the disk take them
        together."""
        temporaries: list[tuple[Path, Path]] = []
        folders: set[Path] = set()
        path = self.root
        try:
            with ExitStack() as files:
                written = []
                for (kind, key), arrays in batch:
                    path = self.path_of(kind, key)
                    folders |= self._make_folder(path.parent)
                    temporary = temporary_beside(path)
                    temporaries.append((temporary, path))
                    file = files.enter_context(temporary.open("xb"))
                    file.writelines(encode_arrays(arrays))
                    file.flush()
                    written.append(file)
                for file, (temporary, path) in zip(written, temporaries, strict=True):
                    os.fsync(file.fileno())
                    temporary.replace(path)
            for path in sorted(folders):
                sync(path)
        except OSError as error:
            for temporary, _ in temporaries:
                temporary.unlink(missing_ok=True)
            self._folders.clear()  # what is above them may not be durable
            return storage_error(error, path)
        return None

    def _make_folder(self, folder: Path) -> set[Path]:
        """Make the folder of an item; the folders that get new entries by that, and by the item."""
        if folder in self._folders:
            return {folder}
        folder.mkdir(parents=True, exist_ok=True)
        self._folders.add(folder)
        return {folder, *(above for above in folder.parents if above.is_relative_to(self.root))}


@lru_cache(maxsize=4)
def reader_of(root: Path) -> DiskStore:
    """The store of a run as a process reads it that only computes: one for all of its tasks, so
    that they share what is in memory."""
    return DiskStore(root, writes=False)


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
