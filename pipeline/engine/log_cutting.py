"""Keeps what a worker prints from filling the disk."""

from __future__ import annotations

import sys
from pathlib import Path

MOST_LOG_BYTES = 64 * 2**20
KEPT_LOG_BYTES = 64 * 2**10


def cut_log(path: Path, most_bytes: int = MOST_LOG_BYTES, kept_bytes: int = KEPT_LOG_BYTES) -> None:
    """Shorten a log that has grown too long to its end, while its writer goes on appending."""
    size = file_size(path)
    if size <= most_bytes:
        return
    try:
        with path.open("r+b") as file:
            file.seek(size - kept_bytes)
            tail = file.read(kept_bytes)
            file.truncate(0)
        with path.open("ab") as file:
            note = f"[{(size - len(tail)) // 2**20} MB of this log were removed]\n"
            file.write(note.encode() + tail)
    except OSError as error:
        # A full disk, say; the next look tries again, and the stage itself will tell.
        print(f"{path} cannot be shortened: {error}", file=sys.stderr)


def file_size(path: Path) -> int:
    """In bytes; 0 where there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
