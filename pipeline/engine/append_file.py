"""A file that only grows, by whole batches."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pipeline.atomic_files import sync


class AppendFile:
    """Appends to a file behind its first `end` bytes; what lies behind them is cut off.

    A batch that the disk refuses leaves no trace, so that the next one never follows half of it.
    Raises OSError where the file cannot be opened.
    """

    def __init__(self, path: Path, end: int) -> None:
        is_new = not path.exists()
        if is_new:
            path.parent.mkdir(exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._torn = os.fstat(self._handle).st_size != end
        self._unsynced = False
        self.end = end
        try:
            self._cut()
            if is_new:
                sync(path.parent)
        except OSError:
            self.close()
            raise

    def append(self, data: bytes, *, durable: bool = False) -> None:
        """Add all of `data`, or nothing. durable: also wait until the disk has it.

        Raises OSError where the disk refuses; the same batch can be tried again.
        """
        self._cut()
        rest, position = memoryview(data), self.end
        self._unsynced |= len(rest) > 0
        try:
            while rest:
                written = os.pwrite(self._handle, rest, position)
                rest, position = rest[written:], position + written
            if durable:
                self.sync()
        except OSError:
            self._torn = True
            with suppress(OSError):  # tried again before the next batch
                self._cut()
            raise
        self.end = position

    def sync(self) -> None:
        """Wait until the disk has everything. Raises OSError where it refuses."""
        if self._unsynced:
            os.fsync(self._handle)
            self._unsynced = False

    def close(self) -> None:
        """Let the file go, without waiting for the disk."""
        os.close(self._handle)

    def _cut(self) -> None:
        if self._torn:
            os.ftruncate(self._handle, self.end)
            self._torn = False
