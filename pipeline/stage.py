"""What a stage is, and the control that it polls.

A stage reads products, yields small records while it works (at most about four a second) and
returns its products. Between any two items or steps it calls `control.poll()`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from pydantic import JsonValue

from pipeline.config_base import StageConfig
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Record
from pipeline.products import ItemStore
from pipeline.view_desk import ViewDesk

Inputs = Mapping[str, Any]
Products = Mapping[str, Any]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ConfigT = TypeVar("ConfigT", bound=StageConfig)
FanOut = Literal["threads", "processes"]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a stage was: arrays and plain data that only the stage itself understands."""

    arrays: Mapping[str, np.ndarray]
    data: Mapping[str, JsonValue]


class Control(Protocol):
    """A stage's only way to the outside: whoever runs the stage serves it."""

    store: ItemStore
    executor: Executor
    workers: int
    views: ViewDesk

    def poll(self) -> None:
        """Serve what is waiting: returns after a pause, raises `Stopped` when the run is to stop.
        Cheap: call it often."""
        ...

    def due(self) -> bool:
        """Whether enough time has passed since the last record for another one."""
        ...

    def latest(self, config: ConfigT, step: int) -> ConfigT:
        """The stage's configuration with the live changes that arrived since it last asked; they
        are recorded as taking effect at `step`. The same object where nothing changed."""
        ...

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save a checkpoint of a step before the next `poll`: the user asked for one,
        the run is about to stop, or the last one is some seconds old; false where the last one is
        of that step. A stage may ask as often as it likes between two steps."""
        ...

    def save_checkpoint(self, checkpoint: Checkpoint, step: int) -> None:
        """Keep a checkpoint durably in place of the last one, together with the live changes so
        far. Raises PipelineError where the disk refuses."""
        ...

    def keep_preview(self, name: str, picture: bytes) -> str:
        """Keep a small picture, or a sketch, as a file of that name, in place of the oldest of a
        few; its path below the run directory, "" where there is none. Raises PipelineError where
        the disk refuses."""
        ...

    def load_checkpoint(self) -> Checkpoint | None:
        """The stage's checkpoint, if it was made from the same inputs and configuration.

        Live changes that it knows are part of what `latest` returns from now on.
        """
        ...


class Stage(Protocol):
    """A step of the method. `needs` and `makes` are product names; `version` grows when the same
    inputs and config would give another result than before.

    A stage whose items may be carried out anywhere, also on a cluster, says so with one more class
    variable, `fan_out: FanOut`: "threads" where its item functions release the GIL, "processes"
    where they do not. The items of the others run on threads of this process.

    One with functions that numba compiles says so with `compiles: ClassVar[bool] = True`: people
    are told then when it waits for that.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]]
    makes: ClassVar[tuple[str, ...]]
    Config: ClassVar[type[StageConfig]]

    def run(
        self, inputs: Inputs, config: Any, control: Control
    ) -> Generator[Record, None, Products]:
        """Do the work. `inputs` holds the products named in `needs`."""
        ...


@dataclass(frozen=True)
class Done:
    """One finished item of `run_items`: its number in the input order and what came of it."""

    index: int
    result: Any


@runtime_checkable
class RemoteExecutor(Protocol):
    """An executor on other machines, which come and go: it knows best what keeps it busy."""

    @property
    def in_flight(self) -> int:
        """How many items it should have at a time."""
        ...


def run_items(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    control: Control,
    at_once: int | None = None,
) -> Iterator[Done]:
    """Run a pure function over items on the control's executor; yields in order of completion.

    Polls between completions and keeps two items per worker in flight. at_once: most items that
    this machine may work on at a time, where that is fewer. When the run is to stop, what has begun
    is finished and yielded, then `Stopped` raised; on an error it is finished and dropped. So
    nothing outlives the stage. Raises PipelineError naming the items where a process died of one.
    """
    waiting: dict[Future[ResultT], tuple[int, ItemT]] = {}
    queue = enumerate(items)
    try:
        while True:
            try:
                control.poll()
            except Stopped:
                yield from _last(waiting)
                raise
            while len(waiting) < _in_flight(control, at_once):
                entry = next(queue, None)
                if entry is None:
                    break
                waiting[control.executor.submit(function, entry[1])] = entry
            if not waiting:
                return
            finished, _ = wait(waiting, timeout=0.25, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=lambda future: waiting[future][0]):
                result = future.result()
                yield Done(waiting.pop(future)[0], result)
    except BrokenExecutor as error:
        raise _died(error, [item for _, item in waiting.values()]) from error
    finally:
        wait([future for future in waiting if not future.cancel()])


def item_name(item: Any) -> str:
    """What people call an item: its `name`, if it has one."""
    return str(getattr(item, "name", f"an item of the kind {type(item).__name__}"))


def _in_flight(control: Control, at_once: int | None) -> int:
    if isinstance(control.executor, RemoteExecutor):
        return control.executor.in_flight
    return 2 * control.workers if at_once is None else min(2 * control.workers, at_once)


def _last(waiting: dict[Future[ResultT], tuple[int, ItemT]]) -> Iterator[Done]:
    """Cancel what has not begun; yield what had."""
    for future in [future for future in waiting if future.cancel()]:
        del waiting[future]
    wait(waiting)
    for future in list(waiting):
        result = future.result()
        yield Done(waiting.pop(future)[0], result)


def _died(error: BrokenExecutor, items: list[Any]) -> PipelineError:
    names = [item_name(item) for item in items]
    at_work = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)
    return PipelineError(
        "A process died",
        f"{error} It worked on {at_work}.",
        "Too little memory is the usual reason. What was finished is kept: try again, with smaller "
        "photographs (features.max_size_px, depth.size_px) if it happens again.",
    )
