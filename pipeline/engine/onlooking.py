"""The engine of a run that nobody works on: it shows what is there, and starts nothing.

Nothing is written into the run directory but clouds, which follow from what is there, and films
that somebody asks for, and those only where it can be written. The journal is read once, at the
start: only a run that goes on changes it, and whoever starts one takes this engine's place.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.engine.deaths import last_lines
from pipeline.engine.event_log import EVENTS, THINNED_RECORDS, Entry, plain_json
from pipeline.engine.filming import Filming
from pipeline.engine.hub import MOST_EVENTS, Hub
from pipeline.engine.interface import Subscription, Window
from pipeline.engine.log_reader import LogReader
from pipeline.engine.messages import (
    Answer,
    CancelRender,
    Command,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    MetricAnswer,
    RenderPath,
    RunView,
    StageView,
    Stop,
)
from pipeline.engine.metrics import METRICS, MetricStore
from pipeline.engine.preparing import Preparing
from pipeline.engine.state import JournalIdentity, read_view
from pipeline.engine.viewing import Viewing
from pipeline.errors import PipelineError
from pipeline.events import ENDED, Event, Metric, Record
from pipeline.run_directory import read_manifest, stage_log
from pipeline.scene_answer import SceneAnswer

_INTERRUPTED = "its engine was killed in the middle; the same `barfield run` goes on"


class Onlooker:
    """The `Engine` that the server sees, for a run at rest.

    view: of the run, see `view_at_rest`. prepare: makes what prepares the clouds, and is given what
    tells of them. film: likewise, what makes films.
    """

    def __init__(
        self,
        root: Path,
        view: RunView,
        config: ConfigAnswer,
        viewing: Viewing,
        prepare: Callable[[Callable[[str, Record], None]], Preparing],
        film: Callable[[Callable[[str, Record], None]], Filming],
    ) -> None:
        self._root = root
        self._view = view
        self._config = config
        self._viewing = viewing
        self._hub = Hub(view.seq)
        self._curves = asyncio.create_task(asyncio.to_thread(_read_metrics, root))
        self._past: asyncio.Task[list[dict[str, Any]]] | None = None
        self._ended = asyncio.Event()
        self.preparing = prepare(self.tell)
        self.filming = film(self.tell)

    def tell(self, stage: str, record: Record) -> None:
        """Tell all who listen."""
        event = Event(self._hub.seq + 1, round(time.time(), 3), time.monotonic(), stage, record)
        self._hub.offer(Entry(event, event.to_json(), b""))

    async def end_wanted(self) -> None:
        """Return when somebody has told it to stop."""
        await self._ended.wait()

    def stop(self) -> None:
        """End soon."""
        self._ended.set()

    def view(self) -> RunView:
        """The whole state."""
        film = self.filming.view()
        return self._view.model_copy(update={"seq": self._hub.seq, "film": film})

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        """Events after `seq`; waits up to `wait_s` seconds for the first one."""
        own = self._view.engine
        if engine == own and seq < self._view.seq:
            past = await self._read_past()
            news = self._hub.since(self._view.seq)
            if news is not None:
                told = [event for event in past if event["seq"] > seq]
                return EventsAnswer(engine=own, seq=self._hub.seq, events=(*told, *news))
        elif engine == own and seq <= self._hub.seq:
            try:
                async with asyncio.timeout(wait_s):
                    await self._hub.news(seq)
            except TimeoutError:
                pass  # nothing happened: the answer is empty
            events = self._hub.since(seq)
            if events is not None:
                return EventsAnswer(engine=own, seq=self._hub.seq, events=tuple(events))
        return EventsAnswer(engine=own, seq=self._hub.seq, view=self.view())

    async def _read_past(self) -> list[dict[str, Any]]:
        """What the journal tells; it is read when somebody asks first."""
        if self._past is None:
            self._past = asyncio.create_task(asyncio.to_thread(_newest_events, self._root))
        return await asyncio.shield(self._past)

    def subscribe(self) -> Subscription:
        """A place in the stream, beginning now."""
        return self._hub.subscribe()

    def look(self) -> Window:
        """A place before the scene."""
        return self._viewing.open()

    async def command(self, command: Command, by: str) -> Answer:
        """Only films and the end can be commanded."""
        if isinstance(command, Stop):
            self.stop()
            return Answer(ok=True, message="The run is shown no longer.")
        if isinstance(command, RenderPath | CancelRender):
            return await self.filming.command(command, by)
        return Answer(
            ok=False,
            message="The run is at rest, and this engine only shows it.",
            hint="`barfield run`, `resume` or `retry` go on with it, and take this one's place, "
            f"after `barfield stop {self._view.run}`.",
        )

    def config(self) -> ConfigAnswer:
        """The configuration of the run."""
        return self._config

    async def scene(self) -> SceneAnswer:
        """What there is to see, and what is being prepared."""
        return await self.preparing.scene()

    async def log_tail(self, stage: str, lines: int) -> LogAnswer:
        """The last lines of a stage's log; KeyError for an unknown stage."""
        if stage not in [known.name for known in self._view.stages]:
            raise KeyError(stage)
        path = stage_log(self._root, stage)
        return LogAnswer(stage=stage, lines=tuple(await asyncio.to_thread(last_lines, path, lines)))

    async def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        """A metric, decimated; KeyError for an unknown one."""
        store = await asyncio.shield(self._curves)
        return MetricAnswer(stage=stage, name=name, buckets=store.buckets(stage, name, buckets))


def view_at_rest(root: Path, identity: JournalIdentity) -> RunView:
    """How a run stands that nobody works on, as told by another engine than the one that ran it.

    Raises PipelineError where there is no run, or it cannot be read.
    """
    manifest = read_manifest(root)
    view = read_view(root)
    own: Mapping[str, object] = {
        "engine": identity.engine,
        "run": identity.run,  # a copy may be called otherwise than what it was made of
        "host": identity.host,
        "pid": identity.pid,
        "started": identity.started,
    }
    if view is None:  # a copy without its journal
        stages = tuple(StageView(name=name, state="done") for name in manifest.stages)
        return RunView(
            run=identity.run, root=str(root), state="stopped", stages=stages,
            engine=identity.engine, host=identity.host, pid=identity.pid, started=identity.started,
        )  # fmt: skip
    if view.state in ENDED:
        return view.model_copy(update=own)
    stages = tuple(
        stage.model_copy(update={"state": "stopped"}) if stage.state == "started" else stage
        for stage in view.stages
    )
    rest = {"state": "stopped", "why": _INTERRUPTED, "hint": "", "stages": stages}
    return view.model_copy(update={**own, **rest})


def _newest_events(root: Path) -> list[dict[str, Any]]:
    """The newest events of a journal as plain data, without those that come often; none where it
    cannot be read."""
    newest: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
    with suppress(OSError):
        for event in LogReader(root / EVENTS):
            if not isinstance(event.record, (*THINNED_RECORDS, Metric)):
                newest.append(plain_json(event.to_json()))
    return list(newest)


def _read_metrics(root: Path) -> MetricStore:
    """The curves of the metrics; none where they cannot be read."""
    store = MetricStore(root / METRICS)
    try:
        store.open(mends=False)
        store.set_curves(store.read_curves())
    except (OSError, ValueError, PipelineError):
        return MetricStore(root / METRICS)
    return store
