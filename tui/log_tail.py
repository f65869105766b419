"""The end of a growing log, line by line."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.engine.deaths import plain_line

_MOST_BYTES = 64 * 2**10


class LogTail:
    """Reads complete lines that are added to a file. A file that is cut or replaced by a shorter
    one is read from its beginning, a missing one is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes: int | None = None

    def new_lines(self) -> list[str]:
        """The lines since the last call, as plain text; at first, and where there are very many,
        only the last ones."""
        try:
            with self._path.open("rb") as file:
                return self._lines(file.seek(0, os.SEEK_END), file.fileno())
        except FileNotFoundError:
            return []

    def _lines(self, size: int, descriptor: int) -> list[str]:
        if self._read_bytes is None or size < self._read_bytes:
            self._read_bytes = 0
        begin = max(self._read_bytes, size - _MOST_BYTES)
        content = os.pread(descriptor, size - begin, begin)
        complete = content.rfind(b"\n") + 1
        lines = content[:complete].decode(errors="replace").splitlines()
        if begin > self._read_bytes:
            lines = lines[1:]  # the first one is only the end of a line
        self._read_bytes = begin + complete
        return [text for text in map(plain_line, lines) if text]
