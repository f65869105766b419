"""The engine process with workers whose stages are fakes: `tests.fake_cli` starts it.

Its runs end with mapping, which is what most tests are about, and one worker does all their stages:
a process more would cost a second. It stays only a moment when its run is done, and looks soon
whether a full disk has room again.
`WORKER` in the environment names the module that stands for the worker, `CLOCK` makes the wall
clock jump, and `GRACE_S` is how long a stage may take to stop before it gets a signal. Whatever
holds the event loop is told in the engine's log: see `tests.engine.watched_loop`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pipeline.stages import Route, StageEntry, plan
from tests.engine.watched_loop import watch

COMMAND = (sys.executable, "-m", "tests.fake_engine_process")
WORKER = "FAKE_ENGINE_WORKER"
CLOCK = "FAKE_ENGINE_CLOCK"
GRACE_S = "FAKE_ENGINE_GRACE_S"
_DAY_S = 86400.0


def jumping(wall: Callable[[], float], mono: Callable[[], float]) -> Callable[[], float]:
    """A wall clock that is a day ahead, then a day behind, and so on, for a second each."""
    return lambda: wall() + (_DAY_S if int(mono()) % 2 else -_DAY_S)


def plan_to_mapping(*, route: Route = "mapped", until: str | None = None) -> tuple[StageEntry, ...]:
    """As `pipeline.stages.plan`, up to mapping at most, and with one set of libraries."""
    entries = plan(route=route, until=until or "mapping")
    return tuple(replace(entry, libraries="fakes") for entry in entries)


def main() -> int:
    """As `tui.engine_process.main`."""
    if CLOCK in os.environ:
        # Before the engine is imported: its parts take the clock as a default.
        vars(time)["time"] = jumping(time.time, time.monotonic)
    from pipeline.engine import course, disk_room
    from pipeline.engine.audience import Patience
    from pipeline.engine.worker_process import WorkerProcess
    from tui import engine_process

    vars(course)["plan"] = plan_to_mapping
    vars(disk_room)["SECONDS_BETWEEN_LOOKS"] = 0.2
    vars(engine_process)["Patience"] = partial(Patience, done_s=0.3)
    worker = os.environ.get(WORKER, "tests.engine.fake_worker")
    vars(engine_process)["WORKER_COMMAND"] = (sys.executable, "-m", worker)
    if GRACE_S in os.environ:
        grace_s = float(os.environ[GRACE_S])
        WorkerProcess.stop_stage.__defaults__ = (grace_s, grace_s)
    watch()
    return engine_process.main()


if __name__ == "__main__":
    sys.exit(main())
