"""Writing files and folders so that a reader sees the old or the new content, never a part.

A new file gets a temporary name in the same folder, is flushed, synced and renamed; a folder of
several files is filled under a temporary name and renamed as a whole. What a killed program leaves
behind has a name of its own, and `clean_leftovers` removes it (or puts the old folder back, where
the program died between two renames).
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import DiskFull, PipelineError

TEMPORARY_SUFFIX = ".tmp"
REPLACED_SUFFIX = ".old"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CONTINUES = "Nothing that was finished is lost: the same command continues where it stopped."
_counter = itertools.count()


def storage_error(error: OSError, path: Path, again: str = _CONTINUES) -> PipelineError:
    """The error that tells the user why `path` could not be written and what to do about it.
    again: what became of the work, and what the same command does then."""
    if error.errno in _FULL:
        return DiskFull(
            "No space left",
            f"{path} could not be written: {os.strerror(error.errno or 0)}.",
            f"Free some space or choose another folder with --out. {again}",
        )
    return PipelineError(
        "Cannot write",
        f"{path} could not be written: {error.strerror or error}.",
        f"Check the folder's permissions or choose another one with --out. {again}",
    )


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that no other writer uses and `clean_leftovers` recognises."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}{TEMPORARY_SUFFIX}")


def is_leftover(name: str) -> bool:
    """Whether a file name is one that an interrupted write leaves behind."""
    return name.startswith(".") and name.endswith((TEMPORARY_SUFFIX, REPLACED_SUFFIX))


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, again: str = _CONTINUES) -> None:
    """Create a folder, with its parents, durably; one that is there is left alone.

    Raises PipelineError naming the folder that could not be created. again: as `storage_error`.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync(folder.parent)
    except (FileExistsError, NotADirectoryError) as error:
        in_the_way = next(place for place in (path, *path.parents) if os.path.lexists(place))
        raise PipelineError(
            "Not a folder",
            f"{path} cannot be made: {in_the_way} is no folder.",
            "Choose another folder with --out.",
        ) from error
    except OSError as error:
        raise storage_error(error, path, again) from error


def write_bytes(path: Path, *chunks: bytes | memoryview) -> None:
    """Replace a file by the chunks; raises PipelineError naming the file if that fails."""
    with replacing_file(path) as temporary:
        temporary.write_bytes(b"".join(chunks))


def write_json(path: Path, data: Any) -> None:
    """Replace a file by JSON text; raises PipelineError naming the file if that fails."""
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))  # names may hold lone surrogates


@contextmanager
def replacing_file(path: Path, again: str = _CONTINUES) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` when the block ends well.

    Raises PipelineError naming the file where the disk refuses; then the old file stands.
    again: as `storage_error`.
    """
    temporary = temporary_beside(path)
    make_folder(path.parent, again)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise storage_error(error, path, again) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, again: str = _CONTINUES) -> Iterator[Path]:
    """An empty temporary folder to fill, which takes the place of `path` when the block ends well.

    Raises PipelineError naming the folder where the disk refuses; then the old folder stands.
    again: as `storage_error`.
    """
    temporary = temporary_beside(path)
    replaced = path.with_name(f".{path.name}{REPLACED_SUFFIX}")
    make_folder(path.parent, again)
    try:
        temporary.mkdir()
        yield temporary
        for folder, _, files in os.walk(temporary):
            for name in files:
                sync(Path(folder, name))
            sync(Path(folder))
        if path.exists():
            path.replace(replaced)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise storage_error(error, path, again) from error
    finally:
        _remove(temporary)
    _remove(replaced)


def remove_folder(path: Path) -> None:
    """Remove a folder, all of it at once for readers; raises PipelineError if that fails."""
    replaced = temporary_beside(path)
    try:
        path.replace(replaced)
        sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    _remove(replaced)


def clean_leftovers(root: Path) -> int:
    """Remove what interrupted writes left under `root`; the caller holds the lock on it.

    Returns the number of leftovers. A folder that was moved aside and not yet replaced returns.
    """
    found = 0
    for folder, folders, files in os.walk(root):
        for name in [name for name in (*folders, *files) if is_leftover(name)]:
            found += 1
            path = Path(folder, name)
            target = path.with_name(name.removeprefix(".").removesuffix(REPLACED_SUFFIX))
            if name.endswith(REPLACED_SUFFIX) and not target.exists():
                path.replace(target)
            else:
                _remove(path)
        folders[:] = [name for name in folders if not is_leftover(name)]
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
