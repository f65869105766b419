"""Parts that the tests of the journal share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.engine.event_log import EVENTS
from pipeline.engine.journal import Journal, JournalIdentity
from pipeline.engine.log_reader import LogReader
from pipeline.events import Record, RunChanged, StageChanged

ROOT = Path("/somewhere/runs/castle")
STARTING = RunChanged("starting")
STARTED = StageChanged("mapping", "started")


def identity(engine: str = "e1") -> JournalIdentity:
    return JournalIdentity(engine, "castle", "box", 12, 1e9)


@asynccontextmanager
async def open_journal(root: Path, engine: str = "e1") -> AsyncIterator[Journal]:
    """A journal, closed at the end of the block."""
    journal = Journal(root, identity(engine))
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def logged(root: Path) -> list[Record]:
    """What the log of a journal holds."""
    return [event.record for event in LogReader(root / EVENTS)]
