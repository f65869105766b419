"""The newest radiance field of a run, to read only: also while the run goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.array_files import DamagedFile
from pipeline.codecs import LostProduct, load_product
from pipeline.errors import PipelineError
from pipeline.item_store import DiskStore
from pipeline.products import NoField
from pipeline.run_directory import read_manifest
from pipeline.stages import VIEWED_STAGE
from pipeline.workspace import read_checkpoint

_MODEL = "model/"  # what the names of a field's arrays begin with in a checkpoint
_TRIES = 3  # a training that ends meanwhile puts its field in the place of its checkpoint


@dataclass(frozen=True, eq=False)
class FoundField:
    """A field as plain arrays.

    arrays: what `pipeline.radiance.model.RadianceModel.from_arrays` takes. step: of the training
    that goes on or was stopped; None: it has come to its end. fingerprint: hash of the arrays.
    """

    arrays: Mapping[str, np.ndarray]
    step: int | None
    fingerprint: str


def read_newest_field(root: Path) -> FoundField:
    """The trained field of a run, or else that of its last checkpoint.

    Raises PipelineError where there is none yet, where none can be, and where it is damaged.
    """
    for _ in range(_TRIES):
        trained = VIEWED_STAGE in read_manifest(root).stages
        found = _trained(root) if trained else _from_checkpoint(root)
        if found is not None:
            return found
    raise PipelineError(
        "No radiance field yet",
        f"{root} has neither a trained field nor a checkpoint of one.",
        f"Run the stage {VIEWED_STAGE}: `barfield status` tells how far the run is.",
    )


def _trained(root: Path) -> FoundField | None:
    try:
        field = load_product("radiance", root, DiskStore(root, writes=False))
    except LostProduct as error:
        raise _damaged(str(error)) from error
    if isinstance(field, NoField):
        raise PipelineError("No radiance field", f"{root}: {field.reason}.", "See the report.")
    return FoundField(field.arrays, None, _fingerprint(field.arrays))


def _from_checkpoint(root: Path) -> FoundField | None:
    try:
        checkpoint = read_checkpoint(root, VIEWED_STAGE)
    except DamagedFile as error:
        raise _damaged(str(error)) from error
    if checkpoint is None:
        return None
    stored, data = checkpoint
    stage: Any = data["stage"]
    arrays = {name[len(_MODEL) :]: a for name, a in stored.items() if name.startswith(_MODEL)}
    return FoundField(arrays, int(stage["step"]), _fingerprint(arrays))


def _fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()[:32]


def _damaged(what: str) -> PipelineError:
    return PipelineError(
        "Damaged radiance field", f"{what}.", "Start the run again: what was lost is made anew."
    )
