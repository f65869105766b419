"""The one vocabulary of events.

Stages yield records; whoever runs them stamps each with stage, time and a sequence number. A later
record with the same `key` replaces an earlier one, so that a late listener needs only the newest of
each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

RunStateName = Literal["starting", "running", "paused", "stopping", "stopped", "failed", "done"]
StageStateName = Literal["waiting", "started", "done", "skipped", "stale", "stopped", "failed"]
FilmStateName = Literal["rendering", "done", "failed", "cancelled"]
# Of a run that has nothing more to do.
ENDED: tuple[RunStateName, ...] = ("stopped", "failed", "done")


@dataclass(frozen=True)
class Record:
    """Base of everything a stage yields or that is told of a run."""

    kind: ClassVar[str] = "record"

    @property
    def key(self) -> str | None:
        """Records with equal keys replace each other; None: each one stands."""
        return self.kind

    def to_json(self) -> dict[str, Any]:
        """A flat dictionary, `kind` first."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Progress(Record):
    """`done` of `total` items are finished; `doing` says in words what happens now."""

    kind: ClassVar[str] = "progress"
    done: int
    total: int | None
    unit: str
    doing: str = ""


@dataclass(frozen=True)
class Metric(Record):
    """One number of one name, at a step."""

    kind: ClassVar[str] = "metric"
    name: str
    value: float
    step: int = 0
    unit: str = ""

    @property
    def key(self) -> str | None:
        return f"metric:{self.name}"


@dataclass(frozen=True)
class Warned(Record):
    """Something the user should know that does not stop the run; names the file or key."""

    kind: ClassVar[str] = "warning"
    message: str
    subject: str = ""

    @property
    def key(self) -> str | None:
        return None


@dataclass(frozen=True)
class Preview(Record):
    """A small picture of what a stage has learned so far, a sketch (JSON, see `sketches`), or a
    scene: cameras and points (see `live_scene`).

    file: below the run directory; only the newest few are kept. view: the photograph that a picture
    is to look like. psnr: how near it comes, in decibels.
    """

    kind: ClassVar[str] = "preview"
    file: str
    view: str = ""
    step: int = 0
    psnr: float | None = None

    @property
    def key(self) -> str | None:
        return "preview:scene" if self.is_scene else self.kind

    @property
    def is_scene(self) -> bool:
        """Whether it is a snapshot of cameras and points: no picture, and no sketch."""
        return self.file.endswith(".scene")


@dataclass(frozen=True)
class Report(Record):
    """What a stage found, as plain data for `report.json`."""

    kind: ClassVar[str] = "report"
    data: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class StageChanged(Record):
    """A stage's state; `why` in words, and for a failure what to try (`hint`) and the last lines
    of its log."""

    kind: ClassVar[str] = "stage"
    stage: str
    state: StageStateName
    seconds: float = 0.0
    why: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        return f"stage:{self.stage}"


@dataclass(frozen=True)
class RunChanged(Record):
    """The state of the run as a whole; `why` in words and what to do about it."""

    kind: ClassVar[str] = "run"
    state: RunStateName
    why: str = ""
    hint: str = ""


@dataclass(frozen=True)
class ParameterChanged(Record):
    """A parameter was changed while the run went on.

    parameter: `stage.field`. by: who. revision: of the configuration, with this change. step: of
    the stage at which it took effect; None for the request itself, which is recorded first.
    """

    kind: ClassVar[str] = "parameter"
    parameter: str
    old: JsonValue
    new: JsonValue
    by: str
    revision: int
    step: int | None = None

    @property
    def key(self) -> str | None:
        return None


@dataclass(frozen=True)
class Checkpointed(Record):
    """A stage wrote a checkpoint: a kill from now on loses only what comes after `step`."""

    kind: ClassVar[str] = "checkpoint"
    step: int


@dataclass(frozen=True)
class SceneChanged(Record):
    """There is something new to see; version: of `SceneAnswer`, which tells what there is."""

    kind: ClassVar[str] = "scene"
    version: str


@dataclass(frozen=True)
class FilmChanged(Record):
    """How far the film is that a client has asked for; there is one at a time.

    name: of the film. done, total: frames. left_s: seconds left, None while unknown. file: its name
    in `renders/`, once it is done. why: in words, where it has ended otherwise than was wanted.
    """

    kind: ClassVar[str] = "film"
    name: str
    state: FilmStateName
    done: int = 0
    total: int = 0
    left_s: float | None = None
    file: str = ""
    why: str = ""


KINDS: Mapping[str, type[Record]] = {
    record.kind: record
    for record in (
        Progress,
        Metric,
        Warned,
        Preview,
        Report,
        StageChanged,
        RunChanged,
        ParameterChanged,
        Checkpointed,
        SceneChanged,
        FilmChanged,
    )
}


def record_from_json(data: Mapping[str, Any]) -> Record:
    """Inverse of `Record.to_json`; keys that are not the record's own are left out.

    Raises ValueError for an unknown kind, or where a field is missing.
    """
    record = KINDS.get(data.get("kind", ""))
    if record is None:
        raise ValueError(f"there is no event of the kind {data.get('kind')!r}")
    names = [entry.name for entry in fields(record)]
    try:
        given = {name: data[name] for name in names if name in data}
        if isinstance(given.get("log"), list):
            given["log"] = tuple(given["log"])
        return record(**given)
    except TypeError as error:
        raise ValueError(f"{record.kind}: {error}") from error


@dataclass(frozen=True)
class Event:
    """A record with its place in the run.

    seq: grows by one from event to event. time: seconds since the epoch, for people. mono: seconds
    of the engine's monotonic clock, for rates. stage: its name, "" for the run itself.
    """

    seq: int
    time: float
    mono: float
    stage: str
    record: Record

    def to_json(self) -> dict[str, Any]:
        """A flat dictionary."""
        stamp = {"seq": self.seq, "time": self.time, "mono": self.mono, "stage": self.stage}
        return {**stamp, **self.record.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Event:
        """Inverse of :meth:`to_json`. Raises ValueError for anything else."""
        try:
            stamp = (int(data["seq"]), float(data["time"]), float(data["mono"]), str(data["stage"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error!r}") from error
        return Event(*stamp, record_from_json(data))
