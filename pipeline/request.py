"""What a run is asked to do: the message from the command line to whoever runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from pipeline.config import RunConfig


class GivenPaths(BaseModel):
    """Where the user's files are; absolute paths.

    photos: a folder, or a video; with `files`, the folder that the run is named after. files:
    single photographs instead of a whole folder. poses, intrinsics: None where mapping is to find
    them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: Path
    files: tuple[Path, ...] = ()
    poses: Path | None = None
    intrinsics: Path | None = None


class Change(BaseModel):
    """A parameter (`stage.field`) that was changed after the run had begun.

    revision: of the configuration with this change; the first change makes revision 1. time:
    seconds since the epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameter: str
    old: JsonValue
    new: JsonValue
    by: str
    revision: int
    time: float


class RunRequest(BaseModel):
    """A run: photographs, run directory, configuration as it was given, and the changes since.

    until: the last stage, None for all. changes: oldest first. cluster: address of a Dask
    scheduler, "" for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    paths: GivenPaths
    out: Path
    config: RunConfig = RunConfig()
    changes: tuple[Change, ...] = ()
    until: str | None = None
    cluster: str = ""
