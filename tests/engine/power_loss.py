"""A disk that is sure to keep only what was synced, and what a loss of power may leave of a run.

A process that records its syncs notes, in a folder beside the run, what each file held when it was
last synced and which entries each folder had. What was written since may survive or not, in part or
as zeros, each file and folder by its own luck; a rename happens or does not.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Entries = dict[str, tuple[int, bool]]  # inode, and whether it is a folder, by name


def _nothing() -> None:
    """What is done at a sync unless a test has more in mind."""


@dataclass(frozen=True)
class Luck:
    """What becomes of what was not synced. dice: None where all of it is lost."""

    dice: random.Random | None

    def entries(self, synced: Entries, now: Entries) -> Entries:
        """The entries of a folder."""
        if self.dice is None or synced == now:
            return synced
        found = dict(synced)
        for name, entry in now.items():
            if synced.get(name) != entry and self._smiles():
                # A rename is one step: the old name goes with it.
                found = {other: kept for other, kept in found.items() if kept != entry}
                found[name] = entry
        for name in synced.keys() - now.keys():
            if name in found and synced[name] not in now.values() and self._smiles():
                del found[name]
        return found

    def content(self, synced: bytes, now: bytes) -> bytes:
        """The content of a file."""
        if self.dice is None or synced == now:
            return synced
        if not now.startswith(synced):
            return now if self._smiles() else synced
        rest = len(now) - len(synced)
        end = len(synced) + self.dice.randint(0, rest)
        return self.dice.choice([synced, now, now[:end], synced + bytes(rest)])

    def _smiles(self) -> bool:
        return self.dice is not None and self.dice.random() < 0.5


class Disk:
    """What was synced below `root` by all processes that record it in `notes`, a folder of the same
    file system."""

    def __init__(self, root: Path, notes: Path) -> None:
        self._root = root
        self._notes = notes
        self._folders: dict[int, int] = {}  # open descriptors, so that no other becomes that number
        for kind in ("entries", "contents", "files"):
            (notes / kind).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def recording(self, at_sync: Callable[[], None] = _nothing) -> Iterator[None]:
        """Note the syncs of this process, in place of doing them. at_sync: is called just before
        and just after each counts, while nothing else gets synced."""
        fsync = os.fsync

        def note_sync(file: Any) -> None:
            descriptor = file if isinstance(file, int) else file.fileno()
            with self.alone():
                at_sync()
                self._note(descriptor)
                at_sync()

        vars(os)["fsync"] = note_sync
        try:
            yield
        finally:
            vars(os)["fsync"] = fsync
            while self._folders:
                os.close(self._folders.popitem()[1])

    def settle(self) -> None:
        """Count all that is there as synced: it was written long ago."""
        for path in self._paths():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                self._note(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing is synced in the time of the block."""
        handle = os.open(self._notes, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def leave(self, target: Path, luck: Luck) -> None:
        """Make at `target` what a loss of power leaves now; to be called `alone`."""
        paths = {path.stat().st_ino: path for path in self._paths()}
        _Remains(self._notes, paths, luck).make_folder(self._root.stat().st_ino, target)

    def _note(self, descriptor: int) -> None:
        status, itself = os.fstat(descriptor), f"/proc/self/fd/{descriptor}"
        if status.st_dev != self._notes.stat().st_dev or status.st_nlink == 0:
            return
        if stat.S_ISDIR(status.st_mode):
            text = json.dumps(_entries_of(Path(itself)))
            (self._notes / "entries" / str(status.st_ino)).write_text(text)
            if status.st_ino not in self._folders:
                self._folders[status.st_ino] = os.dup(descriptor)
        else:
            content = Path(itself).read_bytes()
            (self._notes / "contents" / str(status.st_ino)).write_bytes(content)
            name = self._notes / "files" / str(status.st_ino)
            with suppress(FileExistsError):  # as long as it has a name, no other file is it
                # Only with a folder's descriptor, of no use here, does Python follow the link.
                os.link(itself, name, src_dir_fd=descriptor, follow_symlinks=True)

    def _paths(self) -> Iterator[Path]:
        yield self._root
        for folder, folders, files in os.walk(self._root):
            for name in (*folders, *files):
                if (path := Path(folder, name)).exists():
                    yield path


class _Remains:
    """Makes an image. paths: where each inode is now, unless it is gone."""

    def __init__(self, notes: Path, paths: dict[int, Path], luck: Luck) -> None:
        self._notes = notes
        self._paths = paths
        self._luck = luck

    def make_folder(self, inode: int, target: Path) -> None:
        """A folder with all that is in it."""
        target.mkdir()
        try:
            text = (self._notes / "entries" / str(inode)).read_text()
        except FileNotFoundError:
            text = "{}"
        synced = {
            name: (number, is_folder) for name, (number, is_folder) in json.loads(text).items()
        }
        path = self._paths.get(inode)
        now = _entries_of(path) if path is not None and path.is_dir() else {}
        for name, (number, is_folder) in self._luck.entries(synced, now).items():
            if is_folder:
                self.make_folder(number, target / name)
            else:
                (target / name).write_bytes(self._content(number))

    def _content(self, inode: int) -> bytes:
        number = str(inode)
        synced = _read(self._notes / "contents" / number)
        known = self._notes / "files" / number
        now = _read(known if known.exists() else self._paths.get(inode, known))
        return self._luck.content(synced, now)


def _entries_of(folder: Path) -> Entries:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: (entry.inode(), entry.is_dir()) for entry in entries}
    except FileNotFoundError:
        return {}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
