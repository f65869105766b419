"""A worker whose first stage takes steps until it is stopped, and renders views between them.

Run it as a process in the place of `pipeline.engine.worker`. A view 13 pixels wide cannot be
rendered. Served alone, every view shows the brightness SERVED.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline import stages
from pipeline.config import IngestConfig
from pipeline.engine import worker
from pipeline.radiance.pictures import Picture
from pipeline.radiance.view_service import Renderer, ViewService
from pipeline.stage import Control, Inputs
from pipeline.stages import Route, StageEntry
from pipeline.view_desk import ViewDesk
from pipeline.view_requests import LEVELS, ViewRequest
from tests import fake_stages

COMMAND = (sys.executable, "-m", "tests.engine.viewing_worker")
AT_WORK, SERVED = 40, 200
UNLUCKY = 13
STEP_SECONDS = 0.002
MOST_STEPS = 1_000_000


def renderer(brightness: int) -> Renderer:
    """Renders grey pictures of the size that is asked for, in two chunks each."""

    def render(asked: ViewRequest) -> Iterator[Picture | None]:
        for level in (level for level in LEVELS if asked.coarsest >= level >= asked.finest):
            yield None
            if asked.width == UNLUCKY:
                raise ZeroDivisionError("by nought")
            shape = (asked.height // level, asked.width // level)
            rgb = np.full((*shape, 3), brightness, np.uint8)
            ones = np.ones(shape, np.float32)
            yield Picture(rgb, 3.0 * ones, ones, level, level == asked.finest)

    return render


class Looking(fake_stages.FakeIngest):
    """`ingest`, which can be looked at and hardly comes to an end."""

    def run(self, inputs: Inputs, config: IngestConfig, control: Control) -> fake_stages.Run:
        service = ViewService(control.views, renderer(AT_WORK))
        for step in range(1, MOST_STEPS):
            time.sleep(STEP_SECONDS)
            service.serve(0.5, step)
            control.poll()
        return (yield from super().run(inputs, config, control))


def serve(field: Any, desk: ViewDesk, step: int) -> ViewService:
    """In the place of `serve_field`."""
    return ViewService(desk, renderer(SERVED), step=step)


def looking_plan(*, route: Route = "mapped", until: str | None = None) -> Sequence[StageEntry]:
    """That stage alone."""
    return (replace(fake_stages.METHOD[0], target="tests.engine.viewing_worker:Looking"),)


if __name__ == "__main__":
    vars(stages)["VIEW_SERVER"] = ("tests.engine.viewing_worker", "serve")
    worker.main(plan=looking_plan)
