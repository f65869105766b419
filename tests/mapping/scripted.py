"""A control that kills a stage, and changes its parameters, at steps that a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.array_files import encode_arrays, read_arrays
from pipeline.errors import Stopped
from pipeline.events import Record
from pipeline.products import ItemStore, Reconstruction
from pipeline.stage import Checkpoint, ConfigT, Inputs, Stage
from pipeline.view_desk import NobodyLooks, ViewDesk


class ScriptedControl:
    """Keeps checkpoints in a real file and forgets all else when the stage is killed.

    due_at: whether to save after so many steps. kill_after: steps after which `poll` raises
    Stopped; never where None. changes: live changes by the step that they arrive at. Afterwards:
    history holds every checkpoint as bytes, by its step; applied the changes, with their steps.
    """

    workers = 2
    views: ViewDesk = NobodyLooks()

    def __init__(
        self,
        store: ItemStore,
        executor: Executor,
        file: Path,
        due_at: Callable[[int], bool] = lambda _: False,
        changes: Mapping[int, dict[str, Any]] | None = None,
    ) -> None:
        self.store = store
        self.executor = executor
        self.due_at = due_at
        self.kill_after: int | None = None
        self.changes = dict(changes or {})
        self.history: dict[int, bytes] = {}
        self.applied: list[tuple[int, dict[str, Any]]] = []
        self.seen: list[int] = []
        self._file = file
        self._step = 0
        self._section: dict[str, Any] = {}

    def poll(self) -> None:
        if self.kill_after is not None and self._step >= self.kill_after:
            raise Stopped

    def due(self) -> bool:
        return True

    def latest(self, config: ConfigT, step: int) -> ConfigT:
        self.seen.append(step)
        self._step = step + 1  # the one that is taken now
        if step in self.changes:
            self._section.update(self.changes[step])
            self.applied.append((step, self.changes.pop(step)))
        return config.model_copy(update=self._section)

    def checkpoint_due(self, step: int) -> bool:
        return self.due_at(self._step)

    def save_checkpoint(self, checkpoint: Checkpoint, step: int) -> None:
        data = json.dumps({"stage": dict(checkpoint.data), "section": self._section})
        text = np.frombuffer(data.encode(), np.uint8)
        content = b"".join(encode_arrays({**checkpoint.arrays, "text": text}))
        self._file.write_bytes(content)
        self.history[step] = content

    def keep_preview(self, name: str, picture: bytes) -> str:
        return ""

    def load_checkpoint(self) -> Checkpoint | None:
        self._section = {}
        if not self._file.exists():
            return None
        arrays = read_arrays(self._file)
        data = json.loads(arrays.pop("text").tobytes())
        self._section = data["section"]
        return Checkpoint(arrays, data["stage"])


def run_stage(
    stage: Stage, inputs: Inputs, config: Any, control: ScriptedControl
) -> tuple[Reconstruction, list[Record]]:
    """The reconstruction that a stage makes, and what it told; raises Stopped when killed."""
    records: list[Record] = []
    work = stage.run(inputs, config, control)
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            return end.value["reconstruction"], records


def run_and_kill(
    stage: Stage, inputs: Inputs, config: Any, control: ScriptedControl, kills: list[int]
) -> Reconstruction:
    """Run a stage, killed after each of these steps in turn and started again; then to its end."""
    for step in kills:
        control.kill_after = step
        try:
            run_stage(stage, inputs, config, control)
        except Stopped:
            continue
        raise AssertionError(f"the stage ended before step {step}")
    control.kill_after = None
    return run_stage(stage, inputs, config, control)[0]


def content(reconstruction: Reconstruction) -> list[Any]:
    """Everything in a reconstruction, arrays as bytes, for a comparison to the last bit."""
    found: list[Any] = [reconstruction.verdicts]
    for model in reconstruction.models:
        points = model.points
        found += [(k, c.model, c.params.tobytes()) for k, c in sorted(model.cameras.items())]
        for i, image in sorted(model.images.items()):
            pose = image.cam_from_world
            found += [i, image.name, image.camera, pose.rotation.tobytes()]
            found += [pose.translation.tobytes(), image.point_ids.tobytes()]
        for array in (points.ids, points.xyz_world, points.rgb, points.error_px):
            found.append(array.tobytes())
        for array in (points.track_starts, points.track_images, points.track_keypoints):
            found.append(array.tobytes())
    return found
