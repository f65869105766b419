"""A worker whose stages get into trouble, once, or for a while, as files and the environment say.

Run it as a process in the place of `pipeline.engine.worker`. The file that `TROUBLE` names says
what happens at which item of `features`; it is removed first, so that it happens once.
`FLOOD_S` lets `pairs` tell a great deal for so many seconds. `mapping` takes steps as in
`fake_worker`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

from pipeline.config import PairsConfig
from pipeline.engine import worker
from pipeline.events import Metric, Progress, Record, Warned
from pipeline.products import ItemStore
from pipeline.stage import Control, Inputs
from tests import fake_stages
from tests.engine import fake_worker

MODULE = "tests.engine.troubled_worker"
TROUBLE = "TROUBLED_WORKER_FILE"
FLOOD_S = "TROUBLED_WORKER_FLOOD_S"
EVENTS_A_SECOND = 10_000
MEMORY_BYTES = 64 * 2**20
_TURN_S = 0.01
_make_features = fake_stages.make_features


def make_features(store: ItemStore, seed_and_key: tuple[int, str]) -> str:
    """Item function: notes each item that it computes, and meets trouble at one of them."""
    number, key = seed_and_key
    if TROUBLE in os.environ and not store.has("features", key):
        trouble = Path(os.environ[TROUBLE])
        if trouble.exists():
            wanted, at = trouble.read_text().split()
            if number == int(at):
                trouble.unlink()
                misbehave(wanted)
        with noted_in(trouble).open("a") as notes:
            notes.write(f"{number}\n")
    return _make_features(store, seed_and_key)


def noted_in(trouble: Path) -> Path:
    """Where the numbers of the computed items are noted, a line each."""
    return trouble.with_suffix(".items")


def misbehave(wanted: str) -> None:
    """One kind of trouble."""
    if wanted == "memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
        bytearray(2 * MEMORY_BYTES)
    elif wanted == "deaf":
        # With the interpreter's lock held no other Python runs: no reply, no handler of a signal.
        ctypes.PyDLL(None).sleep(1000)
    else:
        fake_worker.misbehave(wanted)


class Flooding(fake_stages.FakePairs):
    """`pairs`, which tells ten thousand records a second for a while."""

    def run(self, inputs: Inputs, config: PairsConfig, control: Control) -> fake_stages.Run:
        begin, told = time.monotonic(), 0
        last = begin + float(os.environ.get(FLOOD_S, "0"))
        while (now := time.monotonic()) < last:
            control.poll()
            while told < (now - begin) * EVENTS_A_SECOND:
                yield _record(told)
                told += 1
            time.sleep(_TURN_S)
        return (yield from super().run(inputs, config, control))


def _record(number: int) -> Record:
    """Metrics for the most part, some progress, and now and then a warning."""
    if number % 10 == 0:
        return Progress(number, None, "steps", f"step {number}")
    if number % 100 == 1:
        return Warned(f"step {number} is odd", "a.jpg")
    return Metric(f"loss {number % 3}", 1.0 / (number + 1), number)


METHOD = tuple(
    replace(entry, target=f"{MODULE}:Flooding") if entry.name == "pairs" else entry
    for entry in fake_worker.METHOD
)

if __name__ == "__main__":
    vars(fake_stages)["make_features"] = make_features
    vars(fake_worker)["METHOD"] = METHOD
    worker.main(plan=fake_worker.fake_plan)
