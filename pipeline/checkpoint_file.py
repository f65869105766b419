"""Where the checkpoint of a stage is kept; without numbers, so that the engine can remove it."""

from __future__ import annotations

from pathlib import Path

from pipeline.atomic_files import storage_error

_NAME = "checkpoint.arrays"


def checkpoint_path(root: Path, stage: str) -> Path:
    """The file of a stage's checkpoint in a run directory, whether it is there or not."""
    return root / "stages" / stage / _NAME


def drop_checkpoint(root: Path, stage: str) -> None:
    """Remove a stage's checkpoint, if there is one. Raises PipelineError where that fails."""
    path = checkpoint_path(root, stage)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error
