"""What a killed process cost its run: items, time of work, and where the next attempt begins."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from pipeline.array_files import read_arrays
from pipeline.engine.log_reader import LogReader
from pipeline.engine.messages import RunView, StageView
from pipeline.engine.metrics import METRICS, RECORD
from pipeline.events import StageChanged
from pipeline.machine import usable_cores
from tests.run_files import items_of

CHECKPOINT = Path("stages/mapping/checkpoint.arrays")
_STEPS = Path(METRICS) / "mapping.registered.f64"
_MAGIC_BYTES = 8
_KINDS = {"ingest": "inspections", "features": "features", "matching": "matches"}
_HASHING = "reading photographs"  # before ingest looks at them


def told_of(view: RunView | None, stage: str) -> StageView | None:
    """What was told of a stage at work, if there was anything."""
    stages = () if view is None else view.stages
    return next((s for s in stages if s.name == stage and s.state == "started"), None)


def lost_items(run: Path, told: StageView | None) -> int:
    """How many of the items that a stage counted as done are not in the run."""
    if told is None or told.doing == _HASHING:
        return 0
    if told.name == "verification":
        fitting = told.doing.startswith("epipolar")
        kind, of_pairs = ("fits", "counts") if fitting else ("geometries", "kinds")
        kept = sum(len(item[of_pairs]) for item in items_of(run, kind))
    elif told.name in _KINDS:
        kept = sum(1 for _ in items_of(run, _KINDS[told.name]))
    else:
        return 0
    return max(0, told.done - kept)


def most_in_flight(stage: str, photos: int) -> int:
    """How many items of a stage are worked on at a time: two for each core, of which those of
    verification hold all pairs that begin with the same photograph."""
    tasks = 2 * usable_cores()
    if stage == "verification":
        return sum(sorted(range(photos), reverse=True)[:tasks])
    return tasks


def unsaved_s(run: Path, ended_at: float) -> float:
    """Seconds of work in mapping, up to a time since the epoch, that no checkpoint has."""
    begins = [
        event.time
        for event in LogReader(run / "events.jsonl")
        if isinstance(event.record, StageChanged)
        and (event.record.stage, event.record.state) == ("mapping", "started")
    ]
    try:
        saved = (run / CHECKPOINT).stat().st_mtime
    except FileNotFoundError:
        saved = 0.0
    return max(0.0, ended_at - max(saved, begins[-1])) if begins else 0.0


def saved_step(run: Path) -> int | None:
    """The mapper's step in its checkpoint, or None without one."""
    try:
        data = json.loads(read_arrays(run / CHECKPOINT)["data.json"].tobytes())
    except FileNotFoundError:
        return None
    return int(data["stage"]["step"])


def first_step_since(run: Path, since: float) -> int | None:
    """The first step that mapping told of after a time since the epoch, if any."""
    try:
        data = (run / _STEPS).read_bytes()
    except FileNotFoundError:
        return None
    (header,) = struct.unpack_from("<I", data, _MAGIC_BYTES)
    records = data[_MAGIC_BYTES + struct.calcsize("<I") + header :]
    whole = len(records) // RECORD.size * RECORD.size
    return next((s for s, time, _ in RECORD.iter_unpack(records[:whole]) if time > since), None)
