"""The lock of a run directory: one run at a time writes it.

It is an flock on the file `.lock`. A worker inherits the descriptor, so the directory stays taken
until the last process of a run is gone. The file also names its owner, for the refusal and because
on a network file system another host may not see the flock; a clean end empties the file. With the
owner stands the file's own number, so that the lock in a copy of a run directory is not taken for
one.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from pipeline.atomic_files import make_folder, storage_error
from pipeline.errors import PipelineError
from pipeline.process_identity import ProcessIdentity

LOCK = ".lock"
_SECONDS_BETWEEN_TRIES = 0.05
_MOST_BYTES = 4096


class _Owner(NamedTuple):
    identity: ProcessIdentity
    since: float


def take_lock(root: Path, wait_s: float = 0.0) -> int:
    """Take the lock of a run directory, which is created if need be; the descriptor that holds it.

    wait_s: how long to wait for another process to let go. Raises PipelineError naming the process
    that has it, and where the directory cannot be written.
    """
    make_folder(root)
    last_try = time.monotonic() + wait_s
    while (lock := _try_lock(root / LOCK)) is None:
        if time.monotonic() >= last_try:
            raise _in_use(root)
        time.sleep(_SECONDS_BETWEEN_TRIES)
    try:
        _refuse_living_owner(root)
        _write_owner(lock, root / LOCK)
    except BaseException:
        os.close(lock)
        raise
    return lock


def release_lock(lock: int) -> None:
    """Mark the directory as free, and let go of it."""
    try:
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def is_lock_of(lock: int, root: Path) -> bool:
    """Whether the run directory is still the one whose lock this descriptor holds: it may have been
    removed, moved away, or made anew."""
    try:
        return os.path.samestat(os.fstat(lock), (root / LOCK).stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # a network file system that is away comes back


def lock_owner(root: Path) -> ProcessIdentity | None:
    """The process that took the run directory and has not come to a clean end since, if any."""
    owner = _read_owner(root)
    return None if owner is None else owner.identity


def _try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock, or None if another one does."""
    try:
        with ExitStack() as undo:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking the file may have been removed, and created by another.
            if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
                undo.pop_all()
                return lock
    except BlockingIOError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    return None


def _refuse_living_owner(root: Path) -> None:
    """Refuse a directory whose flock was free although its owner may still be there."""
    owner, us = lock_owner(root), ProcessIdentity.current()
    if owner is None or owner == us or owner.alive() is False:
        return
    # A container on the same kernel has another host name, but its flocks count here.
    if owner.alive() is None and owner.boot_id == us.boot_id:
        return
    raise _in_use(root, f"If it has ended for sure, remove {root / LOCK} and start again.")


def _write_owner(lock: int, path: Path) -> None:
    try:
        os.ftruncate(lock, 0)
        owner = f"{ProcessIdentity.current().model_dump_json()}\n{os.fstat(lock).st_ino}\n"
        os.pwrite(lock, owner.encode(), 0)
        os.fsync(lock)  # only now can other hosts of a network file system see it
    except OSError as error:
        raise storage_error(error, path) from error


def _read_owner(root: Path) -> _Owner | None:
    try:
        with (root / LOCK).open("rb") as file:
            status = os.fstat(file.fileno())
            words, _, number = file.read(_MOST_BYTES).partition(b"\n")
            identity = ProcessIdentity.model_validate_json(words)
    except (OSError, ValidationError):
        return None  # free, never a run, or a lock file of an older version
    # Another host may number the files of a network file system in its own way.
    copied = number.strip() not in (b"", str(status.st_ino).encode())
    return None if copied and identity.alive() is not None else _Owner(identity, status.st_mtime)


def _in_use(root: Path, hint: str = "") -> PipelineError:
    title, soon = "The run is in use", "Try again in a few seconds."
    owner = _read_owner(root)
    if owner is None:
        return PipelineError(title, f"Another process is working in {root}.", soon)
    process, alive = f"Process {owner.identity.pid}", owner.identity.alive()
    if alive is False:
        message = f"{process} has ended, but one of its workers is still saving in {root}."
        return PipelineError(title, message, soon)
    where = f" on another host, {owner.identity.host}," if alive is None else ""
    since = datetime.fromtimestamp(owner.since).strftime("%Y-%m-%d %H:%M:%S")
    return PipelineError(
        title,
        f"{process}{where} has been working in {root} since {since}.",
        hint or "Wait for it or stop it, or choose another folder with --out.",
    )
