"""Runs stages in this process: skips what is done, saves what was made, tells what happens.

It knows nothing of displays: who listens gets every record. `Runner` is a whole run in one process;
the workers of an engine use `StageRunner` for one stage at a time.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pipeline.available_memory import what_to_lower
from pipeline.codecs import LostProduct
from pipeline.compiling import StageTeller
from pipeline.config import RunConfig
from pipeline.control import StageControl
from pipeline.database_writer import DatabaseWriter
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Record, Report, StageChanged, Warned
from pipeline.item_store import LostItem
from pipeline.manifest import Hashes, Ingredients
from pipeline.manifest import StageEntry as DoneEntry
from pipeline.products import ItemStore
from pipeline.stage import Stage
from pipeline.stage_work import FieldChange, StageWork
from pipeline.stages import ENTRIES, StageEntry
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.engine.executor import Executors
    from pipeline.inputs import GivenInputs

Subscriber = Callable[[str, Record], None]
_MAKERS = {product: entry.name for entry in ENTRIES for product in entry.makes}
_KEPT = "What was finished is kept."


class ForegroundControl(StageControl):
    """The control of a run in this process: the stage stops once `stop` is set."""

    def __init__(
        self, store: ItemStore, executor: Executor, workers: int, stop: threading.Event
    ) -> None:
        super().__init__(store, executor, workers)
        self._stop = stop

    def look(self) -> None:
        """Nothing arrives here but the stop."""

    def interrupting(self) -> bool:
        """Whether the stop is set."""
        return self._stop.is_set()

    def interrupt(self) -> None:
        """Raises Stopped."""
        raise Stopped


@dataclass(frozen=True)
class StageOutcome:
    """A stage that is done: how it ended (`done` or `skipped`), its seconds and its report."""

    name: str
    state: Literal["done", "skipped"]
    seconds: float
    report: Mapping[str, Any]


class StageRunner:
    """Brings one stage after the other up to date in a workspace.

    What a stage needs is taken from memory where this process made it, else from the workspace;
    whether it is up to date is told by the manifest alone, so that other processes of the same run
    may have made it. `database.db` is written beside the stages that follow verification.
    """

    def __init__(
        self,
        workspace: Workspace,
        control: StageControl,
        subscriber: Subscriber,
        executors: Executors | None = None,
    ) -> None:
        """executors: gives each stage the one that it can use; None: all have the control's."""
        self._workspace = workspace
        self._control = control
        self._tell = subscriber
        self._executors = executors
        self._made: dict[str, tuple[str, Any]] = {}
        self._database = DatabaseWriter(workspace)

    def run(
        self,
        entry: StageEntry,
        config: RunConfig,
        given: GivenInputs | None,
        changed: Collection[FieldChange] = (),
    ) -> StageOutcome:
        """Run a stage, or find that it is up to date.

        given: None where the stage needs nothing that the user gives. changed: changes by hand
        of fields of the stage, whatever its checkpoint says. Raises Stopped when it was stopped,
        and PipelineError where it failed: for a reason that the user can mend, or unexpectedly;
        then the message names the log.
        """
        with failures_in_words(entry.name, self._workspace):
            stage = entry.load()
            asked = self._ingredients(stage, config, given)
            outcome = self._skipped(entry, asked)
            if outcome is None:
                outcome = self._at_work(stage, asked, config, given, changed)
            if "geometries" in entry.makes:
                self._database.start(self._fingerprint("geometries"), self.product)
        return outcome

    def finish(self) -> None:
        """Wait for what is written in the background. Raises PipelineError where that failed."""
        with failures_in_words("verification", self._workspace):
            try:
                self._database.finish()
            finally:
                self._tell_warnings("verification")

    def product(self, name: str) -> Any:
        """A product of the run as it stands now. Raises LostProduct if it is not whole."""
        fingerprint = self._fingerprint(name)
        known = self._made.get(name)
        if known is None or known[0] != fingerprint:
            known = self._made[name] = fingerprint, self._workspace.load(name)
        return known[1]

    def _skipped(self, entry: StageEntry, asked: Ingredients) -> StageOutcome | None:
        """The outcome of a stage that is up to date; else None, after telling why it runs."""
        changes = self._workspace.changes(asked)
        done = self._workspace.entry(entry.name)
        if changes == [] and done is not None:
            lost = self._lost(entry)
            if not lost:
                return StageOutcome(entry.name, "skipped", done.seconds, done.report)
            changes = [lost]
        why = "; ".join(changes or [])
        self._tell(entry.name, StageChanged(entry.name, "started", why=why))
        return None

    def _lost(self, entry: StageEntry) -> str:
        """Why a product of a finished stage cannot be used, or ""."""
        try:
            for product in entry.makes:
                self.product(product)
        except LostProduct as error:
            return str(error)
        return ""

    def _at_work(
        self,
        stage: Stage,
        asked: Ingredients,
        config: RunConfig,
        given: GivenInputs | None,
        changed: Collection[FieldChange],
    ) -> StageOutcome:
        self._workspace.store.begin_anew()
        section = getattr(config, stage.name)
        inputs = {
            product: given.products[product] if given and product in given.products
            else self.product(product)
            for product in stage.needs
        }  # fmt: skip
        teller = StageTeller(partial(self._tell, stage.name))
        work = StageWork(self._workspace, asked, section, changed, teller.tell)
        self._control.begin(work)
        try:
            with self._executor(stage, config), teller.listening(stage):
                made, report = self._drive(stage, inputs, section, teller.tell)
            done = DoneEntry(work.made_from(), work.seconds, report)
        finally:
            self._control.begin(None)
            self._tell_warnings(stage.name)
        self._workspace.save(done, made)
        fingerprint = done.ingredients.fingerprint
        self._made.update({product: (fingerprint, value) for product, value in made.items()})
        return StageOutcome(stage.name, "done", done.seconds, report)

    @contextmanager
    def _executor(self, stage: Stage, config: RunConfig) -> Iterator[None]:
        """Give the control the executor of a stage."""
        if self._executors is None:
            yield
            return
        with self._executors.of(stage, config.cluster) as items:
            self._control.executor, self._control.workers = items.executor, items.workers
            yield

    def _drive(
        self,
        stage: Stage,
        inputs: Mapping[str, Any],
        section: Any,
        tell: Callable[[Record], None],
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Run a stage's generator to its end; its products and its last report."""
        records = stage.run(inputs, section, self._control)
        report: Mapping[str, Any] = {}
        try:
            while True:
                record = next(records)
                if isinstance(record, Report):
                    report = record.data
                tell(record)
        except StopIteration as end:
            made: Mapping[str, Any] = end.value
        finally:
            records.close()
        if set(made) != set(stage.makes):
            raise TypeError(f"{stage.name} made {sorted(made)}, not {sorted(stage.makes)}")
        return made, report

    def _ingredients(
        self, stage: Stage, config: RunConfig, given: GivenInputs | None
    ) -> Ingredients:
        hashes: dict[str, Hashes] = {}
        needs: dict[str, str] = {}
        for product in stage.needs:
            if given is not None and product in given.hashes:
                hashes[product] = given.hashes[product]
            else:
                needs[product] = self._fingerprint(product)
        section = getattr(config, stage.name).model_dump(mode="json")
        return Ingredients(stage.name, stage.version, section, needs, hashes)

    def _fingerprint(self, product: str) -> str:
        """Of the stage that made a product; with the live changes that it was made with."""
        done = self._workspace.entry(_MAKERS[product])
        if done is None:
            raise PipelineError(
                "Not made yet",
                f"The run holds no {product}: {_MAKERS[product]} is not done.",
                "Start the same command again: it makes what is missing.",
            )
        return done.ingredients.fingerprint

    def _tell_warnings(self, stage: str) -> None:
        for warning in self._workspace.store.take_warnings():
            self._tell(stage, Warned(warning))


class Runner:
    """One pass over the planned stages in this process."""

    def __init__(
        self,
        workspace: Workspace,
        config: RunConfig,
        given: GivenInputs,
        control: StageControl,
        subscribers: Sequence[Subscriber] = (),
        executors: Executors | None = None,
    ) -> None:
        self._config = config
        self._given = given
        self._subscribers = subscribers
        self._stages = StageRunner(workspace, control, self._publish, executors)

    def run(self, entries: Iterable[StageEntry]) -> list[StageOutcome]:
        """Run the stages that are not done; the outcome of each, in order.

        Raises Stopped when the user stopped it, and PipelineError where a stage failed.
        """
        try:
            return [self._run(entry) for entry in entries]
        finally:
            self._stages.finish()

    def product(self, name: str) -> Any:
        """A product of this run, from memory or from the workspace."""
        return self._stages.product(name)

    def _run(self, entry: StageEntry) -> StageOutcome:
        name, begin = entry.name, time.monotonic()
        try:
            outcome = self._stages.run(entry, self._config, self._given)
        except Stopped:
            self._publish(name, StageChanged(name, "stopped", time.monotonic() - begin))
            raise
        except PipelineError as error:
            seconds = time.monotonic() - begin
            self._publish(name, StageChanged(name, "failed", seconds, error.message, error.hint))
            raise
        if outcome.state == "skipped":
            self._publish(name, StageChanged(name, "skipped", why="up to date"))
        else:
            self._publish(name, StageChanged(name, "done", outcome.seconds))
        return outcome

    def _publish(self, stage: str, record: Record) -> None:
        for subscriber in self._subscribers:
            subscriber(stage, record)


@contextmanager
def failures_in_words(stage: str, workspace: Workspace) -> Iterator[None]:
    """Turns whatever goes wrong in the block into PipelineErrors; Stopped passes.

    Where the run directory is gone, that is what went wrong.
    """
    try:
        with _blaming_a_lost_directory(workspace):
            yield
    except (Stopped, PipelineError):
        raise
    except (LostItem, LostProduct) as error:
        raise PipelineError(
            "A file of the run is damaged",
            f"{error}.",
            "Start the same command again: what was lost is computed anew.",
        ) from error
    except MemoryError as error:
        raise PipelineError(
            "Out of memory",
            f"The stage {stage} needs more than there is: {error or 'no figure is known'}.",
            f"Lower {what_to_lower(stage)}. {_KEPT}",
        ) from error
    except Exception as error:
        path = workspace.log(stage, traceback.format_exc())
        raise PipelineError(
            f"The stage {stage} failed",
            f"{type(error).__name__}: {error} (details in {path}).",
            f"This is a fault of the program. {_KEPT}",
        ) from error


@contextmanager
def _blaming_a_lost_directory(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        try:
            workspace.check_in_place()
        except PipelineError as gone:
            raise gone from error
        raise
