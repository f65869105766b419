"""What the engine knows and tells: log, metrics, state and the stream to the clients, as one.

What comes often (progress, metrics, reports) is told four times a second, the newest of each key;
everything else at once. Nothing here waits for the disk on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic_files import storage_error
from pipeline.engine.event_log import (
    EVENTS,
    STATE_RECORDS,
    THINNED_RECORDS,
    Clock,
    EventLog,
    lost_lines,
    plain_json,
)
from pipeline.engine.fold import RunState
from pipeline.engine.hub import Hub
from pipeline.engine.interface import Subscription
from pipeline.engine.log_reader import START, Place
from pipeline.engine.messages import EventsAnswer, MetricAnswer, RunView
from pipeline.engine.metrics import METRICS, MOST_SERIES, Batch, MetricStore, plain_metric
from pipeline.engine.state import JournalIdentity, read_snapshot, run_view, write_snapshot
from pipeline.errors import PipelineError
from pipeline.events import Metric, Record, RunChanged, StageChanged, Warned

__all__ = ["Journal", "JournalIdentity"]

SECONDS_BETWEEN_BEATS = 0.25
BEATS_BETWEEN_WRITES = 4
EVENTS_BETWEEN_SNAPSHOTS = 1000
MOST_WARNINGS_A_SECOND = 20
LONGEST_WARNING = 2000


class Journal:
    """The journal of a run. All methods belong to the event loop, and none of them blocks it.

    wall, mono: the clocks of the stamps.
    """

    def __init__(
        self,
        root: Path,
        identity: JournalIdentity,
        wall: Clock = time.time,
        mono: Clock = time.monotonic,
    ) -> None:
        self._root = root
        self._identity = replace(identity, run=plain_json(identity.run))
        self._wall, self._mono = wall, mono
        self._log = EventLog(root / EVENTS, wall, mono)
        self._metrics = MetricStore(root / METRICS)
        self._state = RunState()
        self._hub = Hub(0)
        self._pending: dict[tuple[str, str | None], Record] = {}
        self._gates: dict[str, _Gate] = {}
        self._damages: list[str] = []
        self._refused_metrics = False
        self._batch: Batch = {}
        self._writing: Future[None] | None = None
        self._snapshotting: Future[None] | None = None
        self._since_snapshot = 0
        self._snapshot_wanted = False

    async def open(self) -> None:
        """Take up the journal where it ended; what is damaged is told when the run starts.

        Raises PipelineError where it cannot be read or written.
        """
        await asyncio.to_thread(self._open)
        self._hub = Hub(self._log.seq)
        self._restoring = asyncio.create_task(self._restore())
        self._beating = asyncio.create_task(self._beat())
        self._beating.add_done_callback(_report_failure)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written at present, in words; None while all is well."""
        return (
            self._log.trouble
            or self._failure(self._writing, self._root / METRICS)
            or self._failure(self._snapshotting, self._root)
        )

    def tell(self, stage: str, record: Record) -> None:
        """Tell something of a stage ("": of the run)."""
        self.tell_many(stage, (record,))

    def tell_many(self, stage: str, records: Iterable[Record]) -> None:
        """Tell what a stage yielded, in order."""
        for record in records:
            if isinstance(record, Metric):
                self._take_metric(stage, record)
            elif isinstance(record, THINNED_RECORDS):
                self._pending[stage, record.key] = record
            elif isinstance(record, Warned):
                self._warn(stage, record)
            else:
                self._change(stage, record)
        self._snapshot_if_wanted()

    def view(self) -> RunView:
        """The whole state."""
        return run_view(self._root, self._identity, self._state, self._mono())

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        """Events after `seq`; waits up to `wait_s` seconds for the first one. The whole state where
        they are no longer at hand, or where `engine` is another one."""
        own = self._identity.engine
        if engine == own and seq <= self._hub.seq:
            try:
                async with asyncio.timeout(wait_s):
                    await self._hub.news(seq)
            except TimeoutError:
                pass  # nothing happened: the answer is empty
            events = self._hub.since(seq)
            if events is not None:
                return EventsAnswer(engine=own, seq=self._hub.seq, events=tuple(events))
        view = self.view()
        return EventsAnswer(engine=own, seq=view.seq, view=view)

    def subscribe(self) -> Subscription:
        """A place in the stream, beginning now."""
        return self._hub.subscribe()

    async def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        """A metric over the whole run in at most so many buckets; KeyError for an unknown one."""
        await asyncio.shield(self._restoring)
        curve = self._metrics.buckets(stage, name, buckets)
        return MetricAnswer(stage=stage, name=name, buckets=curve)

    async def durable(self) -> None:
        """Return when the disk has all that was logged: not before it takes it."""
        await self._log.durable()

    async def close(self) -> None:
        """Tell what waits, write everything, and end.

        Raises PipelineError where the disk refuses it: the last lines are lost.
        """
        self._beating.cancel()
        self._restoring.cancel()
        await asyncio.gather(self._beating, self._restoring, return_exceptions=True)
        self._tell_waiting()
        writes = [
            self._log.after(partial(self._write, batch))
            for batch in (self._batch, self._metrics.take())
        ]
        self._snapshot()
        try:
            await asyncio.to_thread(self._close)
            for write in writes:
                write.result()
        except OSError as error:
            raise storage_error(error, self._root / EVENTS) from error

    def _open(self) -> None:
        snapshot = read_snapshot(self._root)
        place = START
        if snapshot is not None:
            self._state, place = snapshot.state, snapshot.place
        try:
            self._log.open(place, self._state.seq, self._state.apply)
            self._metrics.open()
        except OSError as error:
            raise storage_error(error, self._root / EVENTS) from error
        for stage, metric in self._metrics.newest():
            self._state.set_metric(stage, metric)
        self._damages = [*self._log.damages, *self._metrics.damages]

    async def _restore(self) -> None:
        """Read the metrics' files while the run goes on: that may take seconds."""
        try:
            curves = await asyncio.to_thread(self._metrics.read_curves)
        except OSError as error:
            self._emit("", Warned(f"cannot be read, curves begin anew: {error}", METRICS))
            curves = {}
        self._metrics.set_curves(curves)

    def _close(self) -> None:
        try:
            self._log.close()
        finally:
            self._metrics.close()

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_BEATS)
            self._tell_pending()
            beats += 1
            if beats % BEATS_BETWEEN_WRITES == 0:
                self._tell_waiting()
                self._write_metrics()
                self._tell_losses()
            self._snapshot_if_wanted()

    def _change(self, stage: str, record: Record) -> None:
        """Tell a change of state, after what belongs before it."""
        stage = record.stage if isinstance(record, StageChanged) else stage
        self._tell_waiting(None if isinstance(record, RunChanged) else stage)
        self._emit(stage, record)
        if isinstance(record, RunChanged):
            damages, self._damages = self._damages, []
            for damage in damages:
                self._emit("", Warned(f"damaged: {damage}"))

    def _take_metric(self, stage: str, metric: Metric) -> None:
        metric = plain_metric(metric)
        if self._metrics.add(stage, metric, self._wall()):
            self._pending[stage, metric.key] = metric
        elif not self._refused_metrics:
            self._refused_metrics = True
            self._emit(stage, Warned(f"more than {MOST_SERIES} metrics: left out", metric.name))

    def _warn(self, stage: str, warning: Warned) -> None:
        if self._gates.setdefault(stage, _Gate()).admits(self._mono()):
            message, subject = _cut(warning.message), _cut(warning.subject)
            self._emit(stage, replace(warning, message=message, subject=subject))

    def _tell_waiting(self, stage: str | None = None) -> None:
        """Tell what waits of a stage (None: of all), and how many warnings were held back."""
        self._tell_pending(stage)
        for name, gate in self._gates.items():
            if stage in (None, name) and (held := gate.take_held()):
                self._emit(name, Warned(f"and {held} more warnings"))

    def _tell_pending(self, stage: str | None = None) -> None:
        for key in [key for key in self._pending if stage in (None, key[0])]:
            self._emit(key[0], self._pending.pop(key))

    def _tell_losses(self) -> None:
        if self.trouble is not None:
            return
        if dropped := self._log.take_dropped():
            self._emit("", lost_lines(dropped))
        if lost := self._metrics.take_lost():
            self._emit("", Warned(f"{lost} values are in no file: the disk was too slow", METRICS))

    def _emit(self, stage: str, record: Record) -> None:
        entry = self._log.enter(stage, record)
        self._state.apply(entry.event)
        self._hub.offer(entry)
        self._since_snapshot += not isinstance(record, Metric)
        if isinstance(record, STATE_RECORDS) or self._since_snapshot >= EVENTS_BETWEEN_SNAPSHOTS:
            self._snapshot_wanted = True

    def _snapshot_if_wanted(self) -> None:
        # One at a time: where one is on its way, the next beat asks again.
        if self._snapshot_wanted and (self._snapshotting is None or self._snapshotting.done()):
            self._snapshot()

    def _snapshot(self) -> None:
        """Write the state behind the lines so far."""
        self._snapshot_wanted = False
        self._since_snapshot = 0
        state = self._state.model_dump(mode="json")
        self._snapshotting = self._log.after(partial(self._write_snapshot, state), durable=True)

    def _write_snapshot(self, state: dict[str, Any], place: Place) -> None:
        if not place.is_in(self._root / EVENTS):
            # Nothing is to be left where the run directory was, or in another's.
            raise PipelineError("No run here", f"{self._root} was removed or moved away.")
        write_snapshot(self._root, self._identity, place, state)

    def _write_metrics(self) -> None:
        if self._writing is not None and not self._writing.done():
            return
        batch = self._batch = self._batch or self._metrics.take()  # a refused one is tried again
        if batch:
            self._writing = self._log.after(partial(self._write, batch))

    def _write(self, batch: Batch, place: Place) -> None:
        self._metrics.write(batch)

    @staticmethod
    def _failure(task: Future[None] | None, path: Path) -> str | None:
        """Why something could not be written, in words."""
        if task is None or not task.done() or task.cancelled():
            return None
        error = task.exception()
        if isinstance(error, PipelineError):
            return error.message
        if isinstance(error, OSError):
            return storage_error(error, path).message
        return None if error is None else f"{path}: {error!r}"


class _Gate:
    """Lets through so many warnings a second, and counts the others."""

    def __init__(self) -> None:
        self._began = 0.0
        self._through = 0
        self._held = 0

    def admits(self, mono: float) -> bool:
        """Whether a warning may pass at this time of the monotonic clock."""
        if mono - self._began >= 1.0:
            self._began, self._through = mono, 0
        if self._through >= MOST_WARNINGS_A_SECOND:
            self._held += 1
            return False
        self._through += 1
        return True

    def take_held(self) -> int:
        """How many were held back since the last call."""
        held, self._held = self._held, 0
        return held


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_WARNING else text[:LONGEST_WARNING] + "…"


def _report_failure(task: asyncio.Task[Any]) -> None:
    """Let the event loop report a task that nobody waits for."""
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "the journal's beat failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
