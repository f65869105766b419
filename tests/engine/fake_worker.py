"""A worker whose stages are fakes, two of which do what the environment says.

Run it as a process in the place of `pipeline.engine.worker`. `pairs` misbehaves as `BEHAVIOUR`
says; `mapping` takes `STEPS` steps, with checkpoints and live changes, and then asks `LOOKS` times
at the last one whether a checkpoint is due, after `CHECKPOINT_SECONDS`. `SECONDS_TO_POLL` is the
worker's patience after the end of its engine.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import control as control_module
from pipeline.config import MappingConfig, PairsConfig
from pipeline.engine import worker
from pipeline.errors import DiskFull, PipelineError
from pipeline.events import Metric, Progress, Report, Warned
from pipeline.stage import Checkpoint, Control, Inputs
from pipeline.stages import Route, StageEntry
from tests import fake_stages

COMMAND = (sys.executable, "-m", "tests.engine.fake_worker")
BEHAVIOUR = "FAKE_WORKER_BEHAVIOUR"
STEPS = "FAKE_WORKER_STEPS"
LOOKS = "FAKE_WORKER_LOOKS"
CHECKPOINT_SECONDS = "FAKE_WORKER_CHECKPOINT_SECONDS"
SECONDS_TO_POLL = "FAKE_WORKER_SECONDS_TO_POLL"
STEP_SECONDS = 0.005
FLOOD = 50_000
LINE = "this line is in the log"


class Misbehaving(fake_stages.FakePairs):
    """`pairs`, with something that goes wrong."""

    def run(self, inputs: Inputs, config: PairsConfig, control: Control) -> fake_stages.Run:
        yield Progress(0, 1, "pairs", "about to begin")
        print(LINE, flush=True)
        behaviour = os.environ.get(BEHAVIOUR, "")
        if behaviour == "flood":
            for i in range(FLOOD):
                yield Metric("loss", 1.0 / (i + 1), i)
        elif behaviour:
            misbehave(behaviour)
        return (yield from super().run(inputs, config, control))


def misbehave(behaviour: str) -> None:
    """One kind of trouble; a path: a child that loops, with its number in that file."""
    match behaviour:
        case "raise":
            raise ZeroDivisionError("by nought")
        case "refuse":
            raise PipelineError("No pairs", "a.jpg fits nothing", "look again")
        case "full":
            raise DiskFull("No space left", "matches is full", "make room")
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "hang up":
            os.closerange(3, 256)
            time.sleep(1000)
        case "nonsense":
            for descriptor in range(3, 256):
                if _is_written_to(descriptor):
                    os.write(descriptor, b"\xff" * 100)
            time.sleep(1000)
        case "loop":
            while True:
                pass
        case "loop deaf to SIGTERM":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                pass
        case "print":
            while True:
                os.write(1, b"x" * 79 + b"\n")
                time.sleep(0.0001)
        case _:  # a path: start a child, write its number there, and loop
            child = subprocess.Popen(["sleep", "1000"])
            Path(behaviour).write_text(f"{os.getpid()} {child.pid}")
            while True:
                time.sleep(0.01)


def _is_written_to(descriptor: int) -> bool:
    link = Path(f"/proc/self/fd/{descriptor}")
    return (
        link.is_symlink()
        and str(link.readlink()).startswith("pipe:")
        and bool(
            int(Path(f"/proc/self/fdinfo/{descriptor}").read_text().split()[3], 8) & os.O_WRONLY
        )
    )


class Stepping(fake_stages.FakeMapping):
    """`mapping`, which sums a live parameter over its steps, so that the sum tells what held."""

    def run(self, inputs: Inputs, config: MappingConfig, control: Control) -> fake_stages.Run:
        known = control.load_checkpoint()
        first, errors = 0, np.zeros(0)
        if known is not None:
            first, errors = int(str(known.data["step"])), known.arrays["errors"]
            yield Warned(f"goes on from step {first}")
        steps = int(os.environ.get(STEPS, "20"))
        for look in range(first, steps + int(os.environ.get(LOOKS, "0"))):
            step = min(look, steps - 1)
            if look == step:
                config = control.latest(config, step)
                errors = np.append(errors, config.max_reprojection_error_px)
            if control.checkpoint_due(step):
                control.save_checkpoint(Checkpoint({"errors": errors}, {"step": step + 1}), step)
            control.poll()
            if control.due():
                yield Progress(step, None, "steps" if look == step else "looks")
            time.sleep(STEP_SECONDS)
        products = yield from super().run(inputs, config, control)
        yield Report({"first": first, "steps": len(errors), "sum": float(errors.sum())})
        return products


_FAKES: dict[str, Any] = {"pairs": Misbehaving, "mapping": Stepping}
METHOD = tuple(
    replace(entry, target=f"tests.engine.fake_worker:{_FAKES[entry.name].__name__}")
    if entry.name in _FAKES
    else entry
    for entry in fake_stages.METHOD
)


def fake_plan(*, route: Route = "mapped", until: str | None = None) -> Sequence[StageEntry]:
    """The fake table, as far as `until`."""
    names = [entry.name for entry in METHOD]
    return METHOD[: len(METHOD) if until is None else names.index(until) + 1]


if __name__ == "__main__":
    vars(control_module)["CHECKPOINT_SECONDS"] = float(
        os.environ.get(CHECKPOINT_SECONDS, str(control_module.CHECKPOINT_SECONDS))
    )
    patience = os.environ.get(SECONDS_TO_POLL, str(worker.SECONDS_TO_POLL))
    vars(worker)["SECONDS_TO_POLL"] = float(patience)
    worker.main(plan=fake_plan)
