"""The event log of a run, `events.jsonl`: an event a line, one writer.

What a kill must not lose (the state of the run and its stages, parameters, checkpoints) is synced.
There is no rotation: metrics have files of their own, and progress is thinned to a line a second,
which is 20 MB a day.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.atomic_files import storage_error
from pipeline.engine.line_writer import Job, LineWriter, Rank
from pipeline.engine.log_reader import START, LogReader, Place
from pipeline.events import (
    Checkpointed,
    Event,
    FilmChanged,
    Metric,
    ParameterChanged,
    Preview,
    Progress,
    Record,
    Report,
    RunChanged,
    StageChanged,
    Warned,
    record_from_json,
)

EVENTS = "events.jsonl"
STATE_RECORDS = (StageChanged, RunChanged, ParameterChanged, Checkpointed)
THINNED_RECORDS = (Progress, Preview, Report, FilmChanged)
SECONDS_BETWEEN_LINES = 1.0  # of the same kind of thinned record of a stage
SECONDS_TO_CLOSE = 5.0
Clock = Callable[[], float]


@dataclass(frozen=True)
class Entry:
    """An event as it was entered. data: the same as plain JSON, with null for what is no number;
    text: the same as a line."""

    event: Event
    data: dict[str, Any]
    text: bytes


class EventLog:
    """Stamps records and appends them to `events.jsonl`. Its methods belong to one thread.

    A program without an event loop needs only `with EventLog(path) as log: log.append(...)`; there,
    PipelineError tells that the disk did not take everything. wall, mono: the clocks of the stamps.
    """

    def __init__(self, path: Path, wall: Clock = time.time, mono: Clock = time.monotonic) -> None:
        self._path = path
        self._wall, self._mono = wall, mono
        self._logged_at: dict[tuple[str, str | None], float] = {}
        self._held: dict[tuple[str, str | None], Event] = {}
        self.seq = 0
        self.damages: tuple[str, ...] = ()

    def __enter__(self) -> EventLog:
        try:
            self.open()
        except OSError as error:
            raise storage_error(error, self._path) from error
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except OSError as error:
            if kind is None:  # else the reason why the block ended says more
                raise storage_error(error, self._path) from error

    def open(
        self, since: Place = START, seq: int = 0, each: Callable[[Event], None] | None = None
    ) -> None:
        """Read the log, cut off a torn last line, and go on behind it.

        since: read only what is behind this place. seq: the newest number before it. each: called
        with each event. Raises OSError where the file cannot be read or written.
        """
        reader = LogReader(self._path, since, seq)
        for event in reader:
            if each is not None:
                each(event)
        self.seq = reader.seq
        self.damages = tuple(reader.damages)
        self._writer = LineWriter(self._path, reader.place)

    @property
    def trouble(self) -> str | None:
        """Why lines cannot be written at present, in words; None while all is well."""
        error = self._writer.error
        return None if error is None else storage_error(error, self._path).message

    def take_dropped(self) -> int:
        """The number of lines that were given up since the last call, once writing goes on."""
        return self._writer.take_dropped()

    def append(self, stage: str, record: Record) -> None:
        """Enter a record; and, where lines had to be given up, how many."""
        self.enter(stage, record)
        if dropped := self.take_dropped():
            self.enter("", lost_lines(dropped))

    def enter(self, stage: str, record: Record) -> Entry:
        """Stamp a record with its number and times, and log it.

        Metrics are not logged; progress and reports of a stage once a second, but always the newest
        one before a change of state.
        """
        if isinstance(record, STATE_RECORDS):
            self._log_held("" if isinstance(record, RunChanged) else stage)
        self.seq += 1
        stamp = (self.seq, round(self._wall(), 3), round(self._mono(), 6))
        entry = _entry(Event(*stamp, stage, record))
        if isinstance(record, STATE_RECORDS):
            self._writer.put(entry.text, Rank.STATE)
        elif isinstance(record, THINNED_RECORDS):
            self._log_or_hold(entry)
        elif not isinstance(record, Metric):
            self._writer.put(entry.text, Rank.ORDINARY)
        return entry

    def after(self, job: Job, *, durable: bool = False) -> Future[None]:
        """Call `job` in the writer's thread when all lines so far are written (durable: and
        synced), with the place behind them. Its error becomes the future's."""
        return self._writer.after(job, durable=durable)

    async def durable(self) -> None:
        """Return when the disk has all lines so far: not before it takes them."""
        await asyncio.wrap_future(self.after(lambda place: None, durable=True))

    def close(self) -> None:
        """Write and sync what waits, and end. Blocks, some seconds where the disk refuses.

        Raises OSError where it refused to the end: the lines that waited are lost.
        """
        self._log_held("")
        self._writer.close(SECONDS_TO_CLOSE)

    def _log_or_hold(self, entry: Entry) -> None:
        event = entry.event
        key = (event.stage, event.record.key)
        if event.mono - self._logged_at.get(key, -math.inf) < SECONDS_BETWEEN_LINES:
            self._held[key] = event
            return
        self._held.pop(key, None)
        self._logged_at[key] = event.mono
        self._writer.put(entry.text, Rank.THINNED)

    def _log_held(self, stage: str) -> None:
        """Log what was held back of a stage ("": of all), under new numbers: they have to grow
        from line to line."""
        for key in [key for key in self._held if stage in ("", key[0])]:
            self.seq += 1
            event = replace(self._held.pop(key), seq=self.seq)
            self._logged_at[key] = event.mono
            self._writer.put(_entry(event).text, Rank.THINNED)


def lost_lines(number: int) -> Warned:
    """Tells that lines had to be given up while the disk refused them."""
    return Warned(f"{number} lines are missing here: the disk refused them for too long", EVENTS)


def _entry(event: Event) -> Entry:
    data = event.to_json()
    try:
        text = _encode(data)
    except ValueError:  # not a number, or half of a character in the name of a file
        data = plain_json(data)
        text = _encode(data)
        record = record_from_json(data)
        if isinstance(record, Metric) and data["value"] is None:
            record = replace(record, value=math.nan)
        event = replace(event, record=record)
    return Entry(event, data, text)


def _encode(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def plain_json(value: Any) -> Any:
    """JSON that every reader takes: null for what is no number, no halves of characters."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {plain_json(key): plain_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry) for entry in value]
    return value
