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
from pipeline.manifest import Manifest
from pipeline.products import NoField
from pipeline.run_directory import read_manifest
from pipeline.run_report import still_valid
from pipeline.settings import load_settings
from pipeline.stages import METHOD, VIEWED_STAGE
from pipeline.workspace import read_checkpoint

_MODEL = "model/"  # what the names of a field's arrays begin with in a checkpoint
_Saved = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


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
    """The trained field of a run, or that of the last checkpoint of a training that came after it:
    one that goes on or was stopped, for the configuration that the run has now.

    Raises PipelineError where there is none yet, where none can be, and where it is damaged.
    """
    # The checkpoint first: a training that ends meanwhile drops it after its field is recorded.
    saved, damage = _checkpoint(root)
    manifest = read_manifest(root)
    done = manifest.stages.get(VIEWED_STAGE)
    if saved is not None and (done is None or _comes_after(saved[1], manifest, root)):
        return _from_checkpoint(*saved)
    if done is not None:
        return _trained(root)
    if damage is not None:
        raise damage
    raise PipelineError(
        "No radiance field yet",
        f"{root} has neither a trained field nor a checkpoint of one.",
        f"Run the stage {VIEWED_STAGE}: `barfield status` tells how far the run is.",
    )


def _comes_after(data: Mapping[str, Any], manifest: Manifest, root: Path) -> bool:
    """Whether a checkpoint, by its plain data, is of a later training than the recorded one.

    A training that ends drops its checkpoint; so one that is there is of a later training, unless
    the recorded field is still what the run asks for: then a kill has left it, or a parameter that
    was changed meanwhile is back to what it was.
    """
    if data.get("version") != manifest.stages[VIEWED_STAGE].ingredients.version:
        return True
    try:
        config = load_settings(root / "run.toml")
    except PipelineError:  # of another version, or gone: it cannot tell that the field holds
        return True
    (entry,) = (entry for entry in METHOD if entry.name == VIEWED_STAGE)
    return still_valid(manifest, entry, config) is None


def _trained(root: Path) -> FoundField:
    try:
        field = load_product("radiance", root, DiskStore(root, writes=False))
    except LostProduct as error:
        raise _damaged(str(error)) from error
    if isinstance(field, NoField):
        raise PipelineError("No radiance field", f"{root}: {field.reason}.", "See the report.")
    return FoundField(field.arrays, None, _fingerprint(field.arrays))


def _checkpoint(root: Path) -> tuple[_Saved | None, PipelineError | None]:
    """The arrays and the plain data of the checkpoint; without one, why it cannot be read."""
    try:
        return read_checkpoint(root, VIEWED_STAGE), None
    except DamagedFile as error:
        return None, _damaged(str(error))


def _from_checkpoint(stored: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> FoundField:
    arrays = {name[len(_MODEL) :]: a for name, a in stored.items() if name.startswith(_MODEL)}
    return FoundField(arrays, int(data["stage"]["step"]), _fingerprint(arrays))


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
