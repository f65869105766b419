"""What a server sees of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.engine.messages import (
    Answer,
    Command,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    MetricAnswer,
    RunView,
)
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import ViewFrame, ViewRequest


class Subscription(Protocol):
    """A client's bounded place in the stream of events."""

    async def next_batch(self) -> Sequence[dict[str, Any]] | None:
        """The events since the last call, at most four times a second: newest of each key only
        where there were many. None: the client was too slow, and has to begin again with a view.
        """
        ...

    def close(self) -> None:
        """Forget the client."""
        ...


class Window(Protocol):
    """A viewer's place before the scene. Of all frames only the newest waits for it, and of those
    that it has taken at most two are unacknowledged: a slow reader costs nothing."""

    def ask(self, request: ViewRequest) -> None:
        """Look from a camera, in the place of the last one; pictures follow, the coarsest first.
        Raises ValueError for a request whose number does not grow."""
        ...

    async def next_frame(self) -> ViewFrame:
        """The newest frame that was not taken yet; waits for it, and for an acknowledgement where
        two frames lack it. Its header says where no picture can be rendered, and why."""
        ...

    def acknowledge(self) -> None:
        """A frame that was taken has been shown. Raises ValueError if there is none."""
        ...

    def close(self) -> None:
        """Forget the viewer."""
        ...


class Engine(Protocol):
    """The engine of one run. All methods belong to the event loop and none of them blocks it."""

    def view(self) -> RunView:
        """The whole state."""
        ...

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        """Events after `seq`; waits up to `wait_s` seconds for the first one."""
        ...

    def subscribe(self) -> Subscription:
        """A place in the stream, beginning now."""
        ...

    def look(self) -> Window:
        """A place before the scene. Raises PipelineError where there are too many viewers."""
        ...

    async def command(self, command: Command, by: str) -> Answer:
        """Carry out a command. by: who asks, for the record."""
        ...

    def config(self) -> ConfigAnswer:
        """The current configuration."""
        ...

    async def log_tail(self, stage: str, lines: int) -> LogAnswer:
        """The last lines of a stage's log; KeyError for an unknown stage."""
        ...

    async def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        """A metric, decimated; KeyError for an unknown one."""
        ...

    async def scene(self) -> SceneAnswer:
        """What there is to see. A cloud that is missing is made from now on."""
        ...
