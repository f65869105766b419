"""Item functions for tests of executors: other processes import them from here."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import ClusterConfig
from pipeline.engine.executor import Resources, open_executor
from pipeline.errors import PipelineError
from pipeline.item_refs import FileRef, ItemRef
from pipeline.item_store import LostItem


@dataclass(frozen=True)
class Nap:
    """An item that takes a while. deadly: its process dies of it."""

    name: str
    seconds: float = 0.0
    deadly: bool = False


def nap(item: Nap) -> tuple[str, int]:
    """The item's name, and the process that slept."""
    time.sleep(item.seconds)
    if item.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return item.name, os.getpid()


@dataclass(frozen=True, eq=False)
class Sum:
    """Values of an item, and the length of a file, to be added after a nap."""

    name: str
    item: ItemRef
    file: FileRef
    seconds: float = 0.0


def add(task: Sum) -> tuple[int, int]:
    """The sum, and the process that added."""
    time.sleep(task.seconds)
    return int(task.item.arrays()["values"].sum()) + len(task.file.read_bytes()), os.getpid()


def is_handed(task: Sum) -> tuple[bool, bool]:
    """Whether the item, and the file, came with the task."""
    return type(task.item.store).__name__ == "_HandedStore", task.file.data is not None


def fail_for_the_user(item: Nap) -> None:
    raise PipelineError("A title", f"about {item.name}", "a hint")


def fail_for_a_lost_item(item: Nap) -> None:
    raise LostItem(f"{item.name} is missing")


def fail_by_a_fault(item: Nap) -> None:
    raise ZeroDivisionError(item.name)


def threads_of_libraries(item: Nap) -> tuple[int, str]:
    """Threads that OpenCV uses, and what its process tells the BLAS."""
    import cv2

    return cv2.getNumThreads(), os.environ["OPENBLAS_NUM_THREADS"]


def main() -> None:
    """Open an executor of the kind argv[1] in the folder argv[2], and keep it busy for long."""
    resources = Resources(Path(sys.argv[2]), 2, ClusterConfig(workers=2))
    with open_executor("cluster" if sys.argv[1] == "cluster" else "processes", resources) as opened:
        first = [opened.executor.submit(nap, Nap(str(n), 0.3)) for n in range(4)]
        print(*{future.result()[1] for future in first}, flush=True)
        opened.executor.submit(nap, Nap("long", 600.0)).result()


if __name__ == "__main__":
    main()
