"""The one vocabulary of events.

Stages yield records; the runner stamps them with stage and time. A later record with the same
`key` replaces an earlier one, so that a late listener needs only the newest of each key.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pydantic import JsonValue


@dataclass(frozen=True)
class Record:
    """Base of everything a stage yields or the runner reports."""

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
class Report(Record):
    """What a stage found, as plain data for `report.json`."""

    kind: ClassVar[str] = "report"
    data: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class StageChanged(Record):
    """A stage's state: `started`, `done`, `skipped`, `failed` or `stopped`; `why` in words."""

    kind: ClassVar[str] = "stage"
    stage: str
    state: str
    seconds: float = 0.0
    why: str = ""

    @property
    def key(self) -> str | None:
        return f"stage:{self.stage}"
