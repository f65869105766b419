"""An engine in memory: state, events and answers that a test decides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from pipeline.engine.interface import Subscription, Window
from pipeline.engine.messages import (
    Answer,
    Bucket,
    Command,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    MetricAnswer,
    ParameterView,
    RunView,
    StageView,
)
from pipeline.errors import PipelineError
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import MOST_UNACKNOWLEDGED, ViewFrame, ViewRequest

ENGINE = "0123456789abcdef"
SECRET_PATH = "/home/somebody/secret"


class FakeSubscription:
    """At most `most` events wait; more, and the client has to begin again."""

    def __init__(self, engine: FakeEngine, most: int, period_s: float) -> None:
        self._engine = engine
        self._most = most
        self._period_s = period_s
        self._waiting: deque[dict[str, Any]] = deque()
        self._overrun = False
        self._news = asyncio.Event()

    def add(self, event: dict[str, Any]) -> None:
        if len(self._waiting) == self._most:
            self._waiting.clear()
            self._overrun = True
        if not self._overrun:
            self._waiting.append(event)
        self._news.set()

    async def next_batch(self) -> Sequence[dict[str, Any]] | None:
        await self._news.wait()
        await asyncio.sleep(self._period_s)
        self._news.clear()
        if self._overrun:
            return None
        batch = list(self._waiting)
        self._waiting.clear()
        return batch

    def close(self) -> None:
        self._engine.subscriptions.remove(self)


class FakeWindow:
    """Keeps the newest frame that was shown to it; at most two are unacknowledged."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.requests: list[ViewRequest] = []
        self.unacknowledged = 0
        self.replaced = 0
        self._frame: ViewFrame | None = None
        self._changed = asyncio.Event()

    def show(self, frame: ViewFrame) -> None:
        self.replaced += self._frame is not None
        self._frame = frame
        self._changed.set()

    def ask(self, request: ViewRequest) -> None:
        if self.requests and request.seq <= self.requests[-1].seq:
            raise ValueError(f"request {request.seq} comes after {self.requests[-1].seq}")
        self.requests.append(request)

    async def next_frame(self) -> ViewFrame:
        while self._frame is None or self.unacknowledged >= MOST_UNACKNOWLEDGED:
            self._changed.clear()
            await self._changed.wait()
        frame, self._frame = self._frame, None
        self.unacknowledged += 1
        return frame

    def acknowledge(self) -> None:
        if not self.unacknowledged:
            raise ValueError("there is no frame to acknowledge")
        self.unacknowledged -= 1
        self._changed.set()

    def close(self) -> None:
        self._engine.windows.remove(self)


class FakeEngine:
    """The `Engine` protocol. `refuse`, `fail`, `slow_s`: what becomes of the next commands."""

    def __init__(self, most_waiting: int = 100, period_s: float = 0.01) -> None:
        self.stages: tuple[StageView, ...] = (StageView(name="features", total=9, unit="photos"),)
        self.seq = 0
        self.commands: list[tuple[Command, str]] = []
        self.finished: list[Command] = []
        self.refuse = False
        self.fail: Exception | None = None
        self.slow_s = 0.0
        self.polls = 0
        self.asked: list[tuple[Any, ...]] = []
        self.subscriptions: list[FakeSubscription] = []
        self.windows: list[FakeWindow] = []
        self.most_windows = 16
        self.seen = SceneAnswer()
        self._most_waiting = most_waiting
        self._period_s = period_s
        self._news = asyncio.Condition()

    async def emit(self, text: str = "") -> None:
        """One more event, for all who listen."""
        self.seq += 1
        event = {"seq": self.seq, "stage": "features", "kind": "progress", "doing": text}
        for subscription in self.subscriptions:
            subscription.add(event)
        async with self._news:
            self._news.notify_all()

    def view(self) -> RunView:
        return RunView(
            engine=ENGINE,
            run="desk",
            root="/runs/desk",
            host="here",
            pid=1,
            started=0.0,
            seq=self.seq,
            state="running",
            stages=self.stages,
        )

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        self.asked.append((engine, seq, wait_s))
        if engine != ENGINE:
            return EventsAnswer(engine=ENGINE, seq=self.seq, view=self.view())
        self.polls += 1
        try:
            async with asyncio.timeout(wait_s), self._news:
                await self._news.wait_for(lambda: self.seq > seq)
        except TimeoutError:
            pass
        finally:
            self.polls -= 1
        events = tuple({"seq": number} for number in range(seq + 1, self.seq + 1))
        return EventsAnswer(engine=ENGINE, seq=self.seq, events=events)

    def subscribe(self) -> Subscription:
        subscription = FakeSubscription(self, self._most_waiting, self._period_s)
        self.subscriptions.append(subscription)
        return subscription

    def look(self) -> Window:
        if len(self.windows) >= self.most_windows:
            raise PipelineError("Too many viewers", "Too many look at this run.", "Close one.")
        self.windows.append(FakeWindow(self))
        return self.windows[-1]

    async def command(self, command: Command, by: str) -> Answer:
        self.commands.append((command, by))
        await asyncio.sleep(self.slow_s)
        if self.fail is not None:
            raise self.fail
        self.finished.append(command)
        if self.refuse:
            return Answer(ok=False, message="The run is done.", hint="Start it again.")
        return Answer(ok=True, message=f"{command.op}: so be it.", revision=7)

    def config(self) -> ConfigAnswer:
        ratio = ParameterView(value=0.8, default=0.8, unit="", effect="Lowe's", applies="live")
        return ConfigAnswer(revision=7, parameters={"matching.ratio": ratio})

    async def scene(self) -> SceneAnswer:
        return self.seen

    async def log_tail(self, stage: str, lines: int) -> LogAnswer:
        if self.fail is not None:
            raise self.fail
        if stage != "features":
            raise KeyError(stage)
        return LogAnswer(stage=stage, lines=tuple(f"line {number}" for number in range(lines)))

    async def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        if (stage, name) != ("mapping", "points"):
            raise KeyError(name)
        bucket = Bucket(first_step=1, last_step=2, low=0.0, high=1.0, last=0.5)
        return MetricAnswer(stage=stage, name=name, buckets=(bucket,) * buckets)
