"""The mapper's place as a checkpoint, and back, to the last bit.

Tracks and rays are functions of the stage's inputs and are not kept. What is kept of a model: a
snapshot of its state (arrays) and what it remembers between steps (plain data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from pipeline.mapping.incremental import Growth
from pipeline.mapping.mapper import FinishedModel, Mapper, Model, Notes, Scene
from pipeline.mapping.state import Snapshot
from pipeline.stage import Checkpoint

_CURRENT, _BEST = "current", "best"


@dataclass
class _Place:
    """The plain data of a mapper; names as there."""

    step: int
    remaining: set[int]
    reasons: dict[int, str]
    finished: list[Notes]
    growing: dict[str, Growth]  # current and best, where there are such
    done: bool


_PLACE = TypeAdapter(_Place)


def save_mapper(mapper: Mapper) -> Checkpoint:
    """A checkpoint of the mapper between two steps. The arrays are copies: it may go on."""
    growing = {_CURRENT: mapper.current, _BEST: mapper.best}
    snapshots = {str(n): model.snapshot for n, model in enumerate(mapper.finished)}
    snapshots |= {name: model.state.snapshot() for name, model in growing.items() if model}
    place = _Place(
        step=mapper.step,
        remaining=mapper.remaining,
        reasons=mapper.reasons,
        finished=[model.notes for model in mapper.finished],
        growing={name: model.growth for name, model in growing.items() if model},
        done=mapper.done,
    )
    arrays = {
        f"{name}.{part}": array
        for name, snapshot in snapshots.items()
        for part, array in snapshot.items()
    }
    return Checkpoint(arrays, _PLACE.dump_python(place, mode="json"))


def load_mapper(checkpoint: Checkpoint, scene: Scene) -> Mapper:
    """The mapper that was saved, over the same scene. Raises ValueError for other data."""
    place = _PLACE.validate_python(checkpoint.data)
    mapper = Mapper(scene)
    mapper.step, mapper.done = place.step, place.done
    mapper.remaining, mapper.reasons = place.remaining, place.reasons
    mapper.finished = [
        FinishedModel(_snapshot(checkpoint.arrays, str(n)), notes)
        for n, notes in enumerate(place.finished)
    ]
    growing = {
        name: Model(scene.new_state(growth.start), growth) for name, growth in place.growing.items()
    }
    for name, model in growing.items():
        model.state.restore(_snapshot(checkpoint.arrays, name))
    mapper.current, mapper.best = growing.get(_CURRENT), growing.get(_BEST)
    return mapper


def _snapshot(arrays: Mapping[str, np.ndarray], name: str) -> Snapshot:
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)
    }
