"""What a run has left in its directory, for a dashboard: read only, and bounded.

The engine's own journal has readers for the state and the events; here is what the dashboard shows
beyond the state: the course of the metrics, what happened, verdicts, pictures.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.engine.curve import Curve
from pipeline.engine.event_log import EVENTS
from pipeline.engine.messages import MetricAnswer
from pipeline.engine.metrics import METRICS, RECORD, read_header
from pipeline.events import Event
from pipeline.sketches import SUFFIX, Sketch, decode_sketch
from tui.dashboard.model import Picture, VerdictView

MOST_LOG_BYTES = 8 * 2**20
MOST_METRICS = 100
MOST_METRIC_BYTES = 4 * 2**20
MOST_PICTURE_BYTES = 2**20
MOST_SKETCH_BYTES = 2**20
THUMBNAILS = "photos/thumbnails"
MOST_THUMBNAIL_NAMES_BYTES = 16 * 2**20
MOST_VERDICTS = 20_000
# Progress comes often, and the state has the newest; of metrics there are the curves.
_WORTH_READING = tuple(
    f'"kind": "{kind}"'.encode()
    for kind in ("stage", "run", "warning", "parameter", "report", "preview", "checkpoint")
)


def past_events(root: Path) -> Iterator[Event]:
    """What happened lately, oldest first, from the last part of the event log; nothing where it
    cannot be read. Lines that are no events are passed over."""
    try:
        with (root / EVENTS).open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - MOST_LOG_BYTES))
            if size > MOST_LOG_BYTES:
                log.readline()  # only the end of a line
            for line in log:
                if line.endswith(b"\n") and any(kind in line for kind in _WORTH_READING):
                    try:
                        yield Event.from_json(json.loads(line))
                    except (ValueError, TypeError):
                        continue
    except OSError:
        return


def past_metrics(root: Path, most_buckets: int) -> list[MetricAnswer]:
    """The curves of the metrics; those that cannot be read are left out."""
    found = []
    for path in sorted((root / METRICS).glob("*.f64"))[:MOST_METRICS]:
        try:
            with path.open("rb") as file:
                stage, name, _ = read_header(file)
                buckets = _curve(file).buckets(most_buckets)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            continue
        found.append(MetricAnswer(stage=stage, name=name, buckets=buckets))
    return found


def _curve(file: IO[bytes]) -> Curve:
    curve = Curve()
    begin = file.tell()
    room = (file.seek(0, 2) - begin) // RECORD.size
    most = MOST_METRIC_BYTES // RECORD.size
    file.seek(begin + max(0, room - most) * RECORD.size)
    data = file.read(min(room, most) * RECORD.size)
    for step, time, value in RECORD.iter_unpack(data):
        if time > 0:  # a power cut leaves zeros
            curve.add(step, value)
    return curve


def verdicts_of(root: Path) -> tuple[VerdictView, ...] | None:
    """What mapping says of each photograph; None while it has said nothing."""
    try:
        data = json.loads((root / "sparse" / "verdicts.json").read_bytes())
        return tuple(
            VerdictView(str(entry["image"]), bool(entry["registered"]), str(entry["reason"]))
            for entry in data[:MOST_VERDICTS]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def picture_of(root: Path, stage: str, file: str, caption: str) -> Picture:
    """A small picture of a stage; without data where there is none at that place below the run."""
    return Picture(stage, file, _content(root, file, MOST_PICTURE_BYTES), caption)


def sketch_of(root: Path, stage: str, file: str) -> Sketch | None:
    """A stage's sketch; None where there is none at that place below the run."""
    return decode_sketch(stage, _content(root, file, MOST_SKETCH_BYTES))


def newest_sketch(root: Path, stage: str) -> str:
    """The file of the last sketch that a stage has kept, below the run; "" where there is none. For
    a stage that an earlier engine carried out: nobody tells of it any more."""
    folder = root / stage / "previews"
    try:
        files = [(path.stat().st_mtime_ns, path.name) for path in folder.glob(f"*{SUFFIX}")]
    except OSError:
        return ""
    return f"{stage}/previews/{max(files)[1]}" if files else ""


def thumbnail_files(root: Path) -> dict[str, str]:
    """The files of the photographs' thumbnails, below the run, by the photographs' names; nothing
    before there are any."""
    try:
        names = json.loads(_content(root, f"{THUMBNAILS}/names.json", MOST_THUMBNAIL_NAMES_BYTES))
        return {str(name): f"{THUMBNAILS}/{file}" for file, name in names.items()}
    except (ValueError, AttributeError):
        return {}


def _content(root: Path, file: str, most_bytes: int) -> bytes:
    """What a file below the run holds; b"" where it is none, outside, or larger than that."""
    path = root / file
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        return path.read_bytes() if inside and path.stat().st_size <= most_bytes else b""
    except OSError:
        return b""
