"""The messages between the engine and its clients: commands, answers, the state of a run.

One vocabulary for the HTTP interface and its clients. Unknown fields are refused; the JSON Schema
of each message is part of the interface.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from pipeline.events import RunStateName, StageStateName
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import FrameAsk, FrameHeader

PROTOCOL = 1
FIRST_PORT = 8123
"""Where a server listens that may choose its port: the first free one from here on."""

PORTS_TRIED = 100


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pause(Message):
    """Pause after the step at hand."""

    op: Literal["pause"]


class Resume(Message):
    """Go on after a pause."""

    op: Literal["resume"]


class Stop(Message):
    """End the run after the step at hand, with a checkpoint; the engine ends too."""

    op: Literal["stop"]


class SaveCheckpoint(Message):
    """Save a checkpoint after the step at hand."""

    op: Literal["checkpoint"]


class Retry(Message):
    """Try a failed stage again, from its checkpoint or its last item.

    stage: run this one again from its beginning instead, failed or not, and all after it; not
    where an earlier one is at work. confirm: also where stages are done or running.
    """

    op: Literal["retry"]
    stage: str | None = Field(default=None, max_length=40)
    confirm: bool = False


class RunUntil(Message):
    """Change which stage is the last; null: all."""

    op: Literal["run-until"]
    stage: str | None = Field(default=None, max_length=40)


class SetParameters(Message):
    """Change parameters: `stage.field` to a value.

    base_revision: the revision of the configuration that the user saw; refused if it is not the
    current one. Null: any. confirm: also where stages that are done have to run again.
    """

    op: Literal["set"]
    changes: dict[Annotated[str, Field(max_length=80)], JsonValue] = Field(
        min_length=1, max_length=64
    )
    base_revision: int | None = Field(default=None, ge=0)
    confirm: bool = False


Command = Annotated[
    Pause | Resume | Stop | SaveCheckpoint | Retry | RunUntil | SetParameters,
    Field(discriminator="op"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Answer(Message):
    """What became of a command.

    ok: it was taken. message: what was done, or why not; hint: what to do about it. reruns: stages
    that would run again; with ok false, repeat the command with `confirm`. revision: of the
    configuration, after the command.
    """

    ok: bool
    message: str = ""
    hint: str = ""
    reruns: tuple[str, ...] = ()
    revision: int = 0


class StageView(Message):
    """A stage as clients see it.

    state: as in StageChanged; `done` of `total` items of `unit` (total null: unknown); `doing` in
    words; rate in items a second and left_s in seconds, null while unknown; seconds: run time so
    far; why, hint and log: of a failure. preview: file of the newest picture or sketch, below
    the run directory, or ""; scene: of the newest snapshot of cameras and points, likewise.
    """

    name: str
    state: StageStateName = "waiting"
    done: int = 0
    total: int | None = None
    unit: str = ""
    doing: str = ""
    rate: float | None = None
    left_s: float | None = None
    seconds: float = 0.0
    why: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()
    warnings: int = 0
    checkpoint_step: int | None = None
    preview: str = ""
    scene: str = ""


class MetricView(Message):
    """The newest value of a metric."""

    stage: str
    name: str
    value: float | None
    step: int
    unit: str = ""


class RunView(Message):
    """The whole state of a run: what a client needs that knows nothing yet.

    engine: identity of the engine process; sequence numbers are comparable only within one. run:
    the run's name; root: its directory. started: seconds since the epoch; seconds: run time on the
    engine's monotonic clock. seq: of the newest event in it. revision: of the configuration.
    until: the last stage to run, null for all. warnings: the newest ones, in words.
    """

    protocol: int = PROTOCOL
    engine: str
    run: str
    root: str
    host: str
    pid: int
    started: float
    seconds: float = 0.0
    seq: int = 0
    state: RunStateName = "starting"
    why: str = ""
    hint: str = ""
    until: str | None = None
    revision: int = 0
    stages: tuple[StageView, ...] = ()
    metrics: tuple[MetricView, ...] = ()
    warnings: tuple[str, ...] = ()


class EventsAnswer(Message):
    """Events after a sequence number, oldest first (`Event.to_json`).

    view: the whole state instead, where the asked-for events are no longer at hand or belong to
    another engine.
    """

    engine: str
    seq: int
    events: tuple[dict[str, Any], ...] = ()
    view: RunView | None = None


class ParameterView(Message):
    """A parameter: value, default, unit, effect in words, when a change applies, and its bounds as
    JSON Schema says them."""

    value: JsonValue
    default: JsonValue
    unit: str
    effect: str
    applies: Literal["live", "stage", "restart"]
    bounds: dict[str, JsonValue] = {}


class ConfigAnswer(Message):
    """The current configuration by `stage.field`."""

    revision: int
    parameters: dict[str, ParameterView]


class LogAnswer(Message):
    """The last lines of a stage's log."""

    stage: str
    lines: tuple[str, ...]


class Bucket(Message):
    """Smallest, largest and last value of a metric between two steps; null: none was a number."""

    first_step: int
    last_step: int
    low: float | None
    high: float | None
    last: float | None


class MetricAnswer(Message):
    """A metric over the whole run, in at most the number of buckets that was asked for."""

    stage: str
    name: str
    buckets: tuple[Bucket, ...]


class OpenPort(Message):
    """To `POST /api/port`, at the Unix socket only: listen on TCP too.

    host: the address to listen on. port: null for the first free one.
    """

    host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    port: int | None = Field(default=None, ge=1, le=65535)


class PortAnswer(Message):
    """Where the server listens."""

    host: str
    port: int


class Hello(Message):
    """First message of the stream."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    view: RunView


class EventBatch(Message):
    """Events of the stream, at most four batches a second."""

    type: Literal["events"] = "events"
    events: tuple[dict[str, Any], ...]


class Tick(Message):
    """Every five seconds: the newest sequence number, so that a client knows how old it is."""

    type: Literal["tick"] = "tick"
    seq: int


class Ask(Message):
    """From the client: a command with a number of its own, which `Told` repeats."""

    type: Literal["command"]
    id: int
    command: Command


class Told(Message):
    """What became of an `Ask`."""

    type: Literal["answer"] = "answer"
    id: int
    answer: Answer


MESSAGES: tuple[type[BaseModel], ...] = (
    Pause, Resume, Stop, SaveCheckpoint, Retry, RunUntil, SetParameters, Answer, RunView,
    EventsAnswer, ConfigAnswer, LogAnswer, MetricAnswer, SceneAnswer, Hello, EventBatch, Tick, Ask,
    Told, OpenPort, PortAnswer, FrameAsk, FrameHeader,
)  # fmt: skip


def message_schemas() -> dict[str, Any]:
    """JSON Schema of every message, by its name."""
    return {message.__name__: message.model_json_schema() for message in MESSAGES}
