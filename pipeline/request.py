"""What a run is asked to do: the message from the command line to whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

from pipeline.config import RunConfig
from pipeline.photo_places import common_folder
from pipeline.settings import changed_config
from pipeline.stages import Route


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

    @property
    def scene(self) -> Path:
        """What a run is known by: the folder of its photographs without links in its path, or the
        deepest one that holds all `files`; a video."""
        return common_folder(self.files) if self.files else self.photos.resolve()


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

    kind: a scene whose poses mapping finds or the user gives; an unposed scene, whose poses the
    radiance field finds; or the planar alignment of one image, which stands in `paths.files`.
    until: the last stage, None for all. changes: oldest first. cluster: address of a Dask
    scheduler, "" for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    paths: GivenPaths
    out: Path
    kind: Literal["scene", "unposed", "planar"] = "scene"
    config: RunConfig = RunConfig()
    changes: tuple[Change, ...] = ()
    until: str | None = None
    cluster: str = ""

    @model_validator(mode="after")
    def _refuse_poses_of_nothing(self) -> Self:
        if self.kind != "scene" and self.paths.poses is not None:
            raise ValueError("only a scene has given poses")
        return self

    @property
    def route(self) -> Route:
        """Which stages the run takes: see `pipeline.stages.plan`."""
        if self.kind != "scene":
            return self.kind
        return "mapped" if self.paths.poses is None else "posed"

    def current_config(self, changes: Mapping[str, JsonValue] | None = None) -> RunConfig:
        """The configuration as it was given, with the changes since and maybe some more, by
        `stage.field`; what follows from other settings follows anew.

        Raises SettingsError naming the parameter and what is possible.
        """
        newest = {change.parameter: change.new for change in self.changes}
        return changed_config(self.config, {**newest, **(changes or {})}, self.route)
