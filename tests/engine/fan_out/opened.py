"""Executors as stages get them, and work for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np

from pipeline.config import ClusterConfig, FeaturesConfig
from pipeline.config_base import StageConfig
from pipeline.engine.executor import (
    ItemExecutor,
    Kind,
    Resources,
)
from pipeline.events import Progress, Record
from pipeline.item_refs import FileRef, ItemRef
from pipeline.products import ItemStore, MemoryStore
from pipeline.runner import ForegroundControl
from pipeline.stage import Control, FanOut, Inputs, Products
from tests.engine.fan_out.item_work import Sum

ROOT = Path(__file__).resolve().parents[3]
LARGE = 20_000  # values of an item that does not travel inside a task
REMOTE = [kind for kind in get_args(Kind) if kind != "threads"]


@dataclass(frozen=True)
class Opened:
    """Executors that are open for several tests, and the run directory that they know."""

    root: Path
    of_kind: dict[Kind, ItemExecutor]


class AtHome:
    """As much of a stage as decides where its items are carried out."""

    name: ClassVar[str] = "spread"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[StageConfig]] = FeaturesConfig

    def run(
        self, inputs: Inputs, config: FeaturesConfig, control: Control
    ) -> Generator[Record, None, Products]:
        yield Progress(0, 0, "items")
        return {}


class Spread(AtHome):
    fan_out: ClassVar[FanOut] = "processes"


def control_of(
    opened: ItemExecutor, store: ItemStore | None = None, stop: threading.Event | None = None
) -> ForegroundControl:
    return ForegroundControl(
        store or MemoryStore(), opened.executor, opened.workers, stop or threading.Event()
    )


def resources_for(kind: Kind, root: Path, scheduler: str, shared: str = "auto") -> Resources:
    cluster = ClusterConfig.model_validate({"shared_files": shared})
    return Resources(root, 2, cluster, scheduler if kind == "cluster" else "")


def sums(store: ItemStore, folder: Path, count: int, seconds: float = 0.0) -> list[Sum]:
    """Tasks on three items, the last of which is large, and a file of seven bytes."""
    file = folder / "seven"
    file.write_bytes(b"7654321")
    for number, size in enumerate((3, 5, LARGE)):
        store.put("numbers", f"n{number}", {"values": np.ones(size, np.int64)})
    return [
        Sum(f"sum {n}", ItemRef(store, "numbers", f"n{n % 3}"), FileRef(file), seconds)
        for n in range(count)
    ]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
