"""The state of a run on disk: the sum of its event log, and snapshots of it in between.

`state.json` holds the state at a place of the log, so that reading begins there. It is never
needed: where it is missing or does not belong to the log, the log is read from its beginning.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.atomic_files import write_bytes
from pipeline.engine.event_log import EVENTS, plain_json
from pipeline.engine.fold import RunState
from pipeline.engine.log_reader import START, LogReader, Place
from pipeline.engine.messages import RunView
from pipeline.errors import PipelineError

STATE = "state.json"


@dataclass(frozen=True)
class JournalIdentity:
    """Which engine writes: its name, the run's name, host, process number, and when it started in
    seconds since the epoch."""

    engine: str
    run: str
    host: str
    pid: int
    started: float


class Snapshot(BaseModel):
    """The state of a run at a place of its log, and who wrote it."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    identity: JournalIdentity
    place: Place
    state: RunState


def write_snapshot(
    root: Path, identity: JournalIdentity, place: Place, state: dict[str, Any]
) -> None:
    """Replace `state.json`. state: `RunState.model_dump`. Raises PipelineError where the disk
    refuses."""
    data = {
        "format": 1,
        "identity": asdict(identity),
        "place": place.model_dump(),
        "state": state,
    }
    write_bytes(root / STATE, json.dumps(data).encode())


def read_snapshot(root: Path) -> Snapshot | None:
    """The snapshot, if there is one that belongs to the log."""
    try:
        snapshot = Snapshot.model_validate_json((root / STATE).read_bytes())
    except (OSError, ValidationError):
        return None
    return snapshot if snapshot.place.is_in(root / EVENTS) else None


def read_view(root: Path) -> RunView | None:
    """What the journal of a run says, without its engine and without writing anything.

    Its clock stands still at the newest event: where the state says that the run goes on, it did so
    then. None where there is no journal. Raises PipelineError where it cannot be read.
    """
    state = RunState() if (snapshot := read_snapshot(root)) is None else snapshot.state
    place = START if snapshot is None else snapshot.place
    try:
        if snapshot is None and not (root / EVENTS).exists():
            return None
        for event in LogReader(root / EVENTS, place, state.seq):
            state.apply(event)
    except OSError as error:
        raise PipelineError(
            "Cannot read", f"{root / EVENTS} could not be read: {error.strerror}."
        ) from error
    unknown = JournalIdentity("", root.name, "", 0, state.started)
    identity = unknown if snapshot is None else snapshot.identity
    return run_view(root, identity, state, state.mono)


def run_view(root: Path, identity: JournalIdentity, state: RunState, mono: float) -> RunView:
    """The state for clients, at a time of the monotonic clock."""
    return RunView(
        engine=identity.engine,
        run=identity.run,
        root=plain_json(str(root)),
        host=identity.host,
        pid=identity.pid,
        started=identity.started,
        seconds=state.seconds(mono),
        seq=state.seq,
        state=state.state,
        why=state.why,
        hint=state.hint,
        revision=state.revision,
        stages=tuple(stage.view(mono) for stage in state.stages.values()),
        metrics=tuple(state.metrics.values()),
        warnings=tuple(state.warnings),
        film=state.film,
    )
