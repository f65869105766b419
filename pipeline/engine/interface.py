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
