"""The event log of a run: every record of every stage, a JSON object a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import IO

from pipeline.atomic_files import storage_error
from pipeline.events import Record

_SECONDS_BETWEEN_WRITES = 0.5


class EventLog:
    """Appends records to `events.jsonl`, a line each, written twice a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._written = time.monotonic()

    def __enter__(self) -> EventLog:
        self._file: IO[bytes] = self._path.open("ab+")
        size = self._file.seek(0, os.SEEK_END)
        if size:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":  # a killed run's last line has no end
                self._file.write(b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._write()

    def append(self, stage: str, record: Record) -> None:
        """Add a record, stamped with stage and time."""
        data = {"time": round(time.time(), 3), "stage": stage, **record.to_json()}
        self._lines.append(json.dumps(data) + "\n")
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self._write()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._written = time.monotonic()
        try:
            self._file.write("".join(lines).encode())
            self._file.flush()
        except OSError as error:
            raise storage_error(error, self._path) from error
