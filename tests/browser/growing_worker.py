"""A worker whose mapping grows until it is told to stop: a camera and some points a step.

Run it as a process in the place of `pipeline.engine.worker`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.config import MappingConfig
from pipeline.engine import worker
from pipeline.events import Metric, Progress, Record
from pipeline.live_scenes import LiveScene, SceneBook
from pipeline.stage import Checkpoint, Control, Inputs
from tests import fake_stages
from tests.engine import fake_worker

MODULE = "tests.browser.growing_worker"
POINTS_A_STEP = 300
_STEP_SECONDS = 0.2
_MOST_STEPS = 100_000


class Growing(fake_stages.FakeMapping):
    """`mapping`, which has all photographs after some steps, and points ever more."""

    def run(self, inputs: Inputs, config: MappingConfig, control: Control) -> fake_stages.Run:
        known = control.load_checkpoint()
        first = 0 if known is None else int(str(known.data["step"]))
        book = SceneBook(control)
        count = len(inputs["photos"].photos)
        for step in range(first, _MOST_STEPS):
            config = control.latest(config, step)
            if control.checkpoint_due(step):
                control.save_checkpoint(Checkpoint({}, {"step": step}), step)
            control.poll()
            yield from _told(step, count, config, book)
            time.sleep(_STEP_SECONDS)
        return (yield from super().run(inputs, config, control))


def _told(step: int, count: int, config: MappingConfig, book: SceneBook) -> Iterator[Record]:
    registered = min(count, step + 2)
    yield Progress(registered, count, "photographs")
    yield Metric("reprojection error", config.max_reprojection_error_px / 4, step, "px")
    yield from book.draw(step, lambda: scene_at(step, registered, count))


def scene_at(step: int, registered: int, of: int) -> LiveScene:
    """Points in a ball, and cameras on a line that look at it."""
    random = np.random.default_rng(0)
    points = random.normal(0.0, 1.0, (POINTS_A_STEP * (step % 300 + 1), 3))
    poses = np.tile(np.eye(3, 4, dtype=np.float32), (registered, 1, 1))
    poses[:, 0, 3] = -np.arange(registered) + of / 2
    poses[:, 2, 3] = 6.0
    cameras = np.tile(np.array([60, 40, 50, 50, 30, 20], np.float32), (registered, 1))
    return LiveScene(
        stage="mapping",
        registered=registered,
        of=of,
        up=(0.0, -1.0, 0.0),
        poses=poses,
        photos=np.arange(registered, dtype=np.int32),
        cameras=cameras,
        xyz=points,
        rgb=random.integers(0, 255, points.shape).astype(np.uint8),
    )


METHOD = tuple(
    replace(entry, target=f"{MODULE}:Growing") if entry.name == "mapping" else entry
    for entry in fake_stages.METHOD
)

if __name__ == "__main__":
    vars(fake_worker)["METHOD"] = METHOD
    worker.main(plan=fake_worker.fake_plan)
