"""The messages between the engine and its clients: commands, answers, the state of a run.

One vocabulary for the HTTP interface and its clients. Unknown fields are refused; the JSON Schema
of each message is part of the interface.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, model_validator

from pipeline.events import FilmStateName, RunStateName, StageStateName
from pipeline.path_entries import FROM_JSON, PathEntry, wrong_with_way
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import FrameAsk, FrameHeader

PROTOCOL = 1
FIRST_PORT = 8123
"""Where a server listens that may choose its port: the first free one from here on."""

PORTS_TRIED = 100
MOST_KEYFRAMES = 200
MOST_FILM_FRAMES = 3000


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


class RenderPath(Message):
    """Render a film along a path, into `renders/`: the camera moves smoothly from keyframe to
    keyframe, as in `barfield render --path FILE`.

    keyframes: with their own `seconds`, or all without: then they are evenly spread. frames: in
    all; or seconds: how long the film is, at fps frames a second. Without both, it is as long as
    the keyframes say, or has a frame for each. width, height: in pixels. name: of the film; "":
    film-1, film-2, ...
    """

    op: Literal["render-path"]
    keyframes: Annotated[tuple[PathEntry, ...], FROM_JSON] = Field(
        min_length=1, max_length=MOST_KEYFRAMES
    )
    frames: int | None = Field(default=None, ge=1, le=MOST_FILM_FRAMES)
    seconds: float | None = Field(default=None, gt=0.0, le=3600.0)
    fps: float = Field(default=24.0, ge=1.0, le=60.0)
    width: int = Field(ge=8, le=4096)
    height: int = Field(ge=8, le=4096)
    name: str = Field(default="", max_length=60, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$|^$")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frames is not None and self.seconds is not None:
            raise ValueError("either frames or seconds, not both")
        if wrong := wrong_with_way(self.way):
            raise ValueError(f"keyframes: {wrong}")
        if self.frame_count > MOST_FILM_FRAMES:
            raise ValueError(f"{self.frame_count} frames are too many: {MOST_FILM_FRAMES} at most")
        return self

    @property
    def way(self) -> tuple[PathEntry, ...]:
        """The keyframes with their times."""
        if any(entry.seconds is not None for entry in self.keyframes):
            return self.keyframes
        timed = enumerate(self.keyframes)
        return tuple(e.model_copy(update={"seconds": float(n)}) for n, e in timed)

    @property
    def frame_count(self) -> int:
        """How many frames the film has."""
        if self.frames is not None:
            return self.frames
        first, last = self.keyframes[0].seconds, self.keyframes[-1].seconds
        if self.seconds is not None:
            length_s = self.seconds
        elif first is None or last is None:
            return len(self.keyframes)
        else:
            length_s = min(last - first, 1e6)
        return max(1, round(length_s * self.fps) + 1)


class CancelRender(Message):
    """Stop rendering the film; nothing of it is kept."""

    op: Literal["cancel-render"]


Command = Annotated[
    Pause
    | Resume
    | Stop
    | SaveCheckpoint
    | Retry
    | RunUntil
    | SetParameters
    | RenderPath
    | CancelRender,
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


class FilmView(Message):
    """The film that was asked for last, as in FilmChanged."""

    name: str
    state: FilmStateName
    done: int = 0
    total: int = 0
    left_s: float | None = None
    file: str = ""
    why: str = ""


class RunView(Message):
    """The whole state of a run: what a client needs that knows nothing yet.

    engine: identity of the engine process; sequence numbers are comparable only within one. run:
    the run's name; root: its directory. started: seconds since the epoch; seconds: run time on the
    engine's monotonic clock. seq: of the newest event in it. revision: of the configuration.
    until: the last stage to run, null for all. warnings: the newest ones, in words. film: that this
    engine renders, or rendered last.
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
    film: FilmView | None = None


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
    Pause, Resume, Stop, SaveCheckpoint, Retry, RunUntil, SetParameters, RenderPath, CancelRender,
    Answer, RunView, EventsAnswer, ConfigAnswer, LogAnswer, MetricAnswer, SceneAnswer, Hello,
    EventBatch, Tick, Ask, Told, OpenPort, PortAnswer, FrameAsk, FrameHeader,
)  # fmt: skip


def message_schemas() -> dict[str, Any]:
    """JSON Schema of every message, by its name."""
    return {message.__name__: message.model_json_schema() for message in MESSAGES}
