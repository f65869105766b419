"""Runs the stages in order, in this process: skips what is done, saves what was made, tells what
happens. It knows nothing of displays: subscribers get every record.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.codecs import LostProduct
from pipeline.config import RunConfig
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Record, Report, StageChanged, Warned
from pipeline.inputs import GivenInputs
from pipeline.item_store import LostItem
from pipeline.manifest import Hashes, Ingredients
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.products import ItemStore
from pipeline.stage import Stage
from pipeline.stages import StageEntry
from pipeline.workspace import Workspace

SECONDS_BETWEEN_RECORDS = 0.25
Subscriber = Callable[[str, Record], None]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class ForegroundControl:
    """The `Control` of stages that run in this process: `poll` raises once `stop` is set."""

    def __init__(
        self, store: ItemStore, executor: Executor, workers: int, stop: threading.Event
    ) -> None:
        self.store = store
        self.executor = executor
        self.workers = workers
        self._stop = stop
        self._last = 0.0

    def poll(self) -> None:
        """Raises Stopped if the user asked for it."""
        if self._stop.is_set():
            raise Stopped

    def due(self) -> bool:
        """True at most four times a second."""
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_RECORDS:
            return False
        self._last = now
        return True


@dataclass(frozen=True)
class StageOutcome:
    """A stage that is done: how it ended (`done` or `skipped`), its seconds and its report."""

    name: str
    state: str
    seconds: float
    report: Mapping[str, Any]


class Runner:
    """One pass over the planned stages in a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        config: RunConfig,
        given: GivenInputs,
        control: ForegroundControl,
        subscribers: Sequence[Subscriber] = (),
    ) -> None:
        self._workspace = workspace
        self._config = config
        self._given = given
        self._control = control
        self._subscribers = subscribers
        self._products: dict[str, Any] = dict(given.products)
        self._fingerprints: dict[str, str] = {}
        self._database: Future[None] | None = None

    def run(self, entries: Iterable[StageEntry]) -> list[StageOutcome]:
        """Run the stages that are not done; the outcome of each, in order.

        Raises Stopped when the user stopped it, and PipelineError where a stage failed: for a
        reason that the user can mend, or unexpectedly; then the message names the log.
        """
        outcomes = []
        # A thread of its own: the executor's threads belong to the stage that is running.
        with ThreadPoolExecutor(1, "database") as background:
            try:
                for entry in entries:
                    outcomes.append(self._run_or_skip(entry))
                    if "geometries" in entry.makes:
                        self._start_database(background, self._fingerprints["geometries"])
            finally:
                self._finish_database()
        return outcomes

    def product(self, name: str) -> Any:
        """A product of this run, from memory or from the workspace."""
        if name not in self._products:
            self._products[name] = self._workspace.load(name)
        return self._products[name]

    def _run_or_skip(self, entry: StageEntry) -> StageOutcome:
        stage = entry.load()
        ingredients = self._ingredients(stage)
        for product in entry.makes:
            self._fingerprints[product] = ingredients.fingerprint
        changes = self._workspace.changes(ingredients)
        done = self._workspace.entry(entry.name)
        if changes == [] and done is not None:
            lost = self._lost(entry)
            if not lost:
                self._publish(entry.name, StageChanged(entry.name, "skipped", why="up to date"))
                return StageOutcome(entry.name, "skipped", done.seconds, done.report)
            changes = [lost]
        return self._run_stage(entry, stage, ingredients, "; ".join(changes or []))

    def _lost(self, entry: StageEntry) -> str:
        """Why a product of a finished stage cannot be used, or ""."""
        try:
            for product in entry.makes:
                self.product(product)
        except LostProduct as error:
            return str(error)
        return ""

    def _run_stage(
        self, entry: StageEntry, stage: Stage, ingredients: Ingredients, why: str
    ) -> StageOutcome:
        name = entry.name
        self._publish(name, StageChanged(name, "started", why=why))
        begin = time.perf_counter()
        try:
            made, report = self._drive(stage)
            seconds = time.perf_counter() - begin
            self._workspace.save(DoneEntry(ingredients, seconds, report), made)
        except Stopped:
            self._publish(name, StageChanged(name, "stopped", time.perf_counter() - begin))
            raise
        except PipelineError as error:
            self._fail(name, begin, error.message)
            raise
        except LostItem as error:
            self._fail(name, begin, str(error))
            raise _damaged(error) from error
        except Exception as error:
            path = self._workspace.log(name, traceback.format_exc())
            self._fail(name, begin, repr(error))
            raise PipelineError(
                f"The stage {name} failed",
                f"{type(error).__name__}: {error} (details in {path}).",
                "This is a fault of the program. What was finished is kept.",
            ) from error
        self._products.update(made)
        self._publish(name, StageChanged(name, "done", seconds))
        return StageOutcome(name, "done", seconds, report)

    def _drive(self, stage: Stage) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Run a stage's generator to its end; its products and its last report."""
        inputs = {product: self.product(product) for product in stage.needs}
        records = stage.run(inputs, getattr(self._config, stage.name), self._control)
        report: Mapping[str, Any] = {}
        try:
            while True:
                record = next(records)
                if isinstance(record, Report):
                    report = record.data
                self._publish(stage.name, record)
        except StopIteration as end:
            made: Mapping[str, Any] = end.value
        finally:
            records.close()
            self._publish_warnings(stage.name)
        if set(made) != set(stage.makes):
            raise TypeError(f"{stage.name} made {sorted(made)}, not {sorted(stage.makes)}")
        return made, report

    def _ingredients(self, stage: Stage) -> Ingredients:
        given: dict[str, Hashes] = {}
        needs: dict[str, str] = {}
        for product in stage.needs:
            if product in self._given.hashes:
                given[product] = self._given.hashes[product]
            else:
                needs[product] = self._fingerprints[product]
        section = getattr(self._config, stage.name).model_dump(mode="json")
        return Ingredients(stage.name, stage.version, section, needs, given)

    def _start_database(self, background: Executor, fingerprint: str) -> None:
        """Write `database.db` beside the next stage, if it is not there already."""
        if self._workspace.database_is_of(fingerprint):
            return
        from pipeline.formats.colmap_database import write_database

        products = [self.product(name) for name in ("photos", "features", "matches", "geometries")]
        self._workspace.record_database("")
        write = partial(_write_products, write_database, products)
        self._database = background.submit(self._workspace.write_database, write)
        self._database_fingerprint = fingerprint

    def _finish_database(self) -> None:
        if self._database is not None:
            writing, self._database = self._database, None
            try:
                writing.result()
            except LostItem as error:
                self._publish_warnings("verification")
                raise _damaged(error) from error
            self._workspace.record_database(self._database_fingerprint)

    def _fail(self, name: str, begin: float, why: str) -> None:
        self._publish(name, StageChanged(name, "failed", time.perf_counter() - begin, why))

    def _publish_warnings(self, stage: str) -> None:
        for warning in self._workspace.store.take_warnings():
            self._publish(stage, Warned(warning))

    def _publish(self, stage: str, record: Record) -> None:
        for subscriber in self._subscribers:
            subscriber(stage, record)


def _damaged(error: LostItem) -> PipelineError:
    return PipelineError(
        "A file of the run is damaged",
        f"{error}.",
        "Start the same command again: what was lost is computed anew.",
    )


def _write_products(write: Callable[..., None], products: Sequence[Any], path: Any) -> None:
    write(path, *products)
