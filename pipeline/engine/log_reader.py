"""Reading `events.jsonl`: by whoever opens the log to go on with it, and by those who only look."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pipeline.events import KINDS, Event

MOST_DAMAGES = 20
_LONGEST_NUMBER = 18  # digits: it fits in 64 bits
_CENTURIES_S = 1e10
_MOST_EVENTS = 2**53  # a number in JSON is exact up to there


class Place(BaseModel):
    """A place between two lines of the log, and how to tell that it is still the same log.

    offset: in bytes. lines: before it. tail_bytes, tail_crc: length and CRC-32 of the line that
    ends there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset: int = 0
    lines: int = 0
    tail_bytes: int = 0
    tail_crc: int = 0

    def after(self, *lines: bytes) -> Place:
        """The place behind some more lines."""
        if not lines:
            return self
        return Place(
            offset=self.offset + sum(map(len, lines)),
            lines=self.lines + len(lines),
            tail_bytes=len(lines[-1]),
            tail_crc=zlib.crc32(lines[-1]),
        )

    def is_in(self, path: Path) -> bool:
        """Whether the log has this place; false where it was cut, replaced or cannot be read."""
        try:
            with path.open("rb") as file:
                file.seek(self.offset - self.tail_bytes)
                tail = file.read(self.tail_bytes)
        except (OSError, ValueError):
            return False
        return len(tail) == self.tail_bytes and zlib.crc32(tail) == self.tail_crc


START = Place()


class LogReader:
    """Reads the events behind a place, to the last complete line; never writes.

    since: where to begin. seq: the newest sequence number that is known already. After the
    iteration, `place` is the end of the last complete line, `seq` the largest sequence number, and
    `damages` says what could not be understood. A missing log is an empty one.
    """

    def __init__(self, path: Path, since: Place = START, seq: int = 0) -> None:
        self._path = path
        self.place = since
        self.seq = seq
        self.damages: list[str] = []
        self._untold = 0

    def __iter__(self) -> Iterator[Event]:
        """The events; raises OSError where the log cannot be read."""
        if not self._path.exists():
            return
        before = self.seq
        with self._path.open("rb") as file:
            file.seek(self.place.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the torn line of a killed writer
                self.place = self.place.after(line)
                try:
                    event = _event(line)
                except (ValueError, TypeError, RecursionError) as error:
                    self._damage(f"is no event: {error}")
                    continue
                if event.seq <= before:
                    self._damage(f"has the number {event.seq} after {before}")
                before = event.seq
                self.seq = max(self.seq, event.seq)
                yield event
        if self._untold:
            self.damages.append(f"{self._path.name}: and {self._untold} more lines")

    def _damage(self, what: str) -> None:
        if len(self.damages) < MOST_DAMAGES:
            first = what.partition("\n")[0][:200]
            self.damages.append(f"{self._path.name}: line {self.place.lines} {first}")
        else:
            self._untold += 1


def _event(line: bytes) -> Event:
    """The event of a line; raises ValueError where its content is not what was once written."""
    data = json.loads(line, parse_float=_float, parse_int=_int, parse_constant=_refuse)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    event = Event.from_json(data)
    in_range = 0 < event.seq < _MOST_EVENTS
    if not (in_range and all(0 <= t < _CENTURIES_S for t in (event.time, event.mono))):
        raise ValueError("an impossible number or time")
    record = _adapter(event.record.kind).validate_python(event.record.to_json())
    return replace(event, record=record)


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    # Made when it is first asked for: all of them together cost a tenth of a second.
    return TypeAdapter(KINDS[kind])


def _float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _int(text: str) -> int:
    return int(text) if len(text) <= _LONGEST_NUMBER else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"the number {text[:20]}")
