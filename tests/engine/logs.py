"""Parts that the tests of the event log share."""

from __future__ import annotations

from pathlib import Path

from pipeline.engine.event_log import EventLog
from pipeline.engine.log_reader import LogReader
from pipeline.events import (
    Checkpointed,
    Event,
    ParameterChanged,
    Progress,
    Record,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)

RECORDS: tuple[Record, ...] = (
    RunChanged("starting"),
    StageChanged("features", "started"),
    Progress(3, 8, "photos", "a.jpg"),
    Warned("few keypoints", "b.jpg"),
    Report({"mean": 0.5, "names": ["ä", None]}),
    ParameterChanged("features.max", 1, [2.5, True], "me", 1, 7),
    Checkpointed(12),
    StageChanged("features", "failed", 2.5, "broken", "mend it", ("last", "words")),
)


def write(path: Path, *records: Record) -> None:
    with EventLog(path, wall=lambda: 1e9, mono=lambda: 5.0) as log:
        for record in records:
            log.append("features", record)


def read(path: Path) -> tuple[list[Event], list[str]]:
    reader = LogReader(path)
    return list(reader), reader.damages


def numbers(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


def wait(log: EventLog, *, durable: bool = False) -> None:
    log.after(lambda place: None, durable=durable).result(timeout=20)
