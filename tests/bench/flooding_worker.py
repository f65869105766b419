"""A worker with fake stages, of which `pairs` tells a thousand events a second.

Run it as a process in the place of `pipeline.engine.worker`. What the engine thins out (progress,
metrics, warnings) would reach nobody at that rate: these are events that it hands on one by one,
and each of them is a line in the log. `FLOOD_S` says for how many seconds.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

from pipeline.config import PairsConfig
from pipeline.engine import worker
from pipeline.events import Checkpointed, Metric, Progress, Record, Warned
from pipeline.stage import Control, Inputs
from tests import fake_stages
from tests.engine import fake_worker

MODULE = "tests.bench.flooding_worker"
FLOOD_S = "FLOODING_WORKER_SECONDS"
EVENTS_A_SECOND = 1000
_TURN_S = 0.02


class Flooding(fake_stages.FakePairs):
    """`pairs`, which tells a great deal for a while."""

    def run(self, inputs: Inputs, config: PairsConfig, control: Control) -> fake_stages.Run:
        last = time.monotonic() + float(os.environ.get(FLOOD_S, "0"))
        told, turn = 0, time.monotonic()
        while (now := time.monotonic()) < last:
            control.poll()
            # What a busy machine has missed is not made good for: that would be another rate.
            due = min(now - turn, 2 * _TURN_S)
            turn = now
            for _ in range(round(due * EVENTS_A_SECOND)):
                yield Checkpointed(told)
                yield from _beside(told)
                told += 1
            time.sleep(_TURN_S)
        return (yield from super().run(inputs, config, control))


def _beside(number: int) -> list[Record]:
    """What other stages tell, too: beyond the thousand."""
    found: list[Record] = [Metric(f"loss {number % 3}", 1.0 / (number + 1), number)]
    if number % 10 == 0:
        found.append(Progress(number, None, "steps", f"step {number}"))
    if number % 100 == 1:
        found.append(Warned(f"step {number} is odd", "a.jpg"))
    return found


METHOD = tuple(
    replace(entry, target=f"{MODULE}:Flooding") if entry.name == "pairs" else entry
    for entry in fake_worker.METHOD
)

if __name__ == "__main__":
    vars(fake_worker)["METHOD"] = METHOD
    worker.main(plan=fake_worker.fake_plan)
