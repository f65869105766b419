"""What is to be killed and when, and what came of it."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.engine.event_log import EVENTS
from pipeline.engine.log_reader import LogReader
from pipeline.events import Event, RunChanged, StageChanged
from pipeline.stages import STAGE_NAMES
from tests.engine_runs import Host
from tests.run_files import database_digest, model_files

Kind = Literal["worker", "engine"]
KINDS: tuple[Kind, ...] = ("worker", "engine")
STARTING, ENDING = "starting", "ending"
# A stage more would be a kind of work more, not of kills.
STAGES = STAGE_NAMES[: STAGE_NAMES.index("mapping") + 1]
MOMENTS = (STARTING, *STAGES, ENDING)


@dataclass(frozen=True)
class Kill:
    """A kill and what it cost.

    at: the stage at hand. counted: items that it had told as done; redone: those of them that were
    lost. unsaved_s: work of mapping that no checkpoint had. orphan_s: until the last worker was
    gone. late: what was killed had nothing more to do.
    """

    kind: Kind
    at: str
    counted: int = 0
    redone: int = 0
    unsaved_s: float = 0.0
    orphan_s: float = 0.0
    late: bool = False


@dataclass
class Outcome:
    """All kills, and what was found wrong, in words.

    runs: that came to their end. reads: of files and states while they went on. resumed: attempts
    at mapping that were seen to go on from a checkpoint.
    """

    kills: list[Kill] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    runs: int = 0
    reads: int = 0
    resumed: int = 0

    def of(self, kind: Kind) -> list[Kill]:
        """The kills of a kind."""
        return [kill for kill in self.kills if kill.kind == kind]

    def hits(self, kind: Kind) -> Counter[str]:
        """How often each moment was hit."""
        return Counter(kill.at for kill in self.of(kind))


@dataclass(frozen=True)
class Plan:
    """What to run and when to kill.

    options: more of the command line. prepared: a run directory to begin with, in place of none.
    """

    photos: Path
    run: Path
    options: tuple[str, ...] = ()
    moments: tuple[str, ...] = MOMENTS
    prepared: Path | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """The one command that is given again and again."""
        until = ("--until", STAGES[-1])
        place = ("--out", str(self.run))
        return ("run", str(self.photos), *place, *until, "--headless", *self.options)


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its model and database, and how many seconds each moment lasted."""

    model: dict[str, bytes]
    database: str
    usual_s: dict[str, float]


def undisturbed(host: Host, plan: Plan) -> Reference:
    """Run without kills. Raises RuntimeError with what the run printed if it fails."""
    begin_with_prepared(plan)
    called = host.call(*plan.command)
    if called.code != 0:
        raise RuntimeError(f"the run ended with {called.code}:\n{called.out}{called.err}")
    usual_s = _usual_s(list(LogReader(plan.run / EVENTS)))
    return Reference(model_files(plan.run), database_digest(plan.run), usual_s)


def begin_with_prepared(plan: Plan) -> None:
    """Put what was prepared where the run is to be, unless it has begun."""
    if plan.prepared is not None and not plan.run.exists():
        shutil.copytree(plan.prepared, plan.run)


def _usual_s(events: list[Event]) -> dict[str, float]:
    """The newest of each: an earlier attempt may stand before it."""
    begins: dict[str, float] = {}
    ends: dict[str, float] = {ENDING: events[-1].mono}
    for event in events:
        match event.record:
            case RunChanged(state="starting"):
                begins[STARTING] = event.mono
            case StageChanged(stage=stage, state="started"):
                begins[stage] = event.mono
                ends.setdefault(STARTING, event.mono)
            case StageChanged(stage=stage, state="done"):
                ends[stage] = begins[ENDING] = event.mono
    return {moment: max(0.0, ends[moment] - begin) for moment, begin in begins.items()}
