"""What a stage is, and the control that it polls.

A stage reads products, yields small records while it works (at most about four a second) and
returns its products. Between any two items or steps it calls `control.poll()`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from pipeline.config import StageConfig
from pipeline.events import Record
from pipeline.products import ItemStore

Inputs = Mapping[str, Any]
Products = Mapping[str, Any]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Control(Protocol):
    """A stage's only way to the outside: whoever runs the stage serves it."""

    store: ItemStore
    executor: Executor
    workers: int

    def poll(self) -> None:
        """Serve what is waiting; raises `Stopped` when the run is to stop. Cheap: call it often."""
        ...

    def due(self) -> bool:
        """Whether enough time has passed since the last record for another one."""
        ...


class Stage(Protocol):
    """A step of the method. `needs` and `makes` are product names; `version` grows when the same
    inputs and config would give another result than before."""

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


def run_items(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], control: Control
) -> Iterator[Done]:
    """Run a pure function over items on the control's executor; yields in order of completion.

    Polls between completions, keeps at most two items per worker in flight, and on `Stopped` or an
    error cancels what has not begun, so nothing outlives the stage.
    """
    waiting: dict[Future[ResultT], int] = {}
    queue = enumerate(items)
    try:
        while True:
            control.poll()
            while len(waiting) < 2 * control.workers:
                entry = next(queue, None)
                if entry is None:
                    break
                waiting[control.executor.submit(function, entry[1])] = entry[0]
            if not waiting:
                return
            finished, _ = wait(waiting, timeout=0.25, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=waiting.__getitem__):
                yield Done(waiting.pop(future), future.result())
    finally:
        for future in waiting:
            future.cancel()


def content_key(*parts: Any) -> str:
    """Key of an item: a hash of everything that decides its content (JSON-able parts)."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
