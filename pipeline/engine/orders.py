"""What engine and worker say to each other: the headers of the frames between them.

Down go orders, up go reports. A worker carries out one `RunStage`, `WriteReport`, `ServeViews`,
`PrepareCloud` or `RenderFilm` at a time; the others reach the stage at its next `poll`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from pipeline.config import RunConfig
from pipeline.errors import DiskFull, PipelineError
from pipeline.path_entries import PathEntry
from pipeline.request import Change, GivenPaths
from pipeline.stages import Route
from pipeline.view_requests import FrameHeader, ViewRequest


class Frame(BaseModel):
    """Base of all headers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Begin(Frame):
    """First order: the run directory and what the user gave. cluster: a Dask scheduler or ""."""

    do: Literal["begin"] = "begin"
    root: Path
    paths: GivenPaths
    cluster: str = ""
    preload: tuple[str, ...] = ()  # modules to import while there is nothing to do


class ChangeField(Frame):
    """Apply a live change to a field of the stage that runs."""

    do: Literal["set"] = "set"
    field: str
    value: JsonValue
    revision: int
    by: str

    @staticmethod
    def of(change: Change) -> ChangeField:
        """The order for a change."""
        _, _, field = change.parameter.partition(".")
        return ChangeField(field=field, value=change.new, revision=change.revision, by=change.by)


class RunStage(Frame):
    """Run a stage of the plan, or find that it is up to date.

    route: which plan. config: of the whole run. changed: the newest changes by hand of fields of
    this stage: a checkpoint made before such a change is still good, the change is then
    applied to it.
    """

    do: Literal["stage"] = "stage"
    stage: str
    route: Route
    config: RunConfig
    changed: tuple[ChangeField, ...] = ()


class WriteReport(Frame):
    """Write `report.json`: outcomes of the stages that this pass ran or skipped, in order."""

    do: Literal["report"] = "report"
    route: Route
    config: RunConfig
    outcomes: tuple[StageEnd, ...]
    wall_s: float
    peak_rss_mb: float


class PauseStage(Frame):
    """Wait at the next poll."""

    do: Literal["pause"] = "pause"


class ResumeStage(Frame):
    """Go on."""

    do: Literal["resume"] = "resume"


class StopStage(Frame):
    """Save a checkpoint and end the stage; the worker stays."""

    do: Literal["stop"] = "stop"


class CheckpointStage(Frame):
    """Save a checkpoint."""

    do: Literal["checkpoint"] = "checkpoint"


class RenderView(Frame):
    """Render a view for somebody who looks at the scene, in the place of that viewer's last one."""

    do: Literal["view"] = "view"
    request: ViewRequest


class AcknowledgeView(Frame):
    """A viewer has taken a frame."""

    do: Literal["acknowledge"] = "acknowledge"
    viewer: str


class LeaveView(Frame):
    """A viewer is gone."""

    do: Literal["leave"] = "leave"
    viewer: str


class ServeViews(Frame):
    """Load the run's radiance field and render views of it, until that is to stop."""

    do: Literal["serve"] = "serve"


class PrepareCloud(Frame):
    """Make a cloud of the run for those who look at it, by its id. without_open3d: why it is not to
    be loaded; "": it may be. A worker that gets this order gets none that loads torch."""

    do: Literal["cloud"] = "cloud"
    cloud: str
    without_open3d: str = ""


class RenderFilm(Frame):
    """Render the run's newest field along a path, into `renders/`. frames: in all, from the first
    keyframe to the last."""

    do: Literal["film"] = "film"
    name: str
    keyframes: tuple[PathEntry, ...]
    frames: int
    fps: float
    width: int
    height: int


class End(Frame):
    """Finish what runs in the background and exit."""

    do: Literal["end"] = "end"


Order = Annotated[
    Begin
    | RunStage
    | WriteReport
    | PauseStage
    | ResumeStage
    | StopStage
    | CheckpointStage
    | ChangeField
    | RenderView
    | AcknowledgeView
    | LeaveView
    | ServeViews
    | PrepareCloud
    | RenderFilm
    | End,
    Field(discriminator="do"),
]
ORDER: TypeAdapter[Order] = TypeAdapter(Order)


class Records(Frame):
    """What a stage yielded (`Record.to_json`), in order; metrics and progress may be many."""

    is_: Literal["records"] = "records"
    stage: str
    records: tuple[dict[str, Any], ...]


class Paused(Frame):
    """The stage waits (true) or goes on (false)."""

    is_: Literal["paused"] = "paused"
    paused: bool


class StageEnd(Frame):
    """How a stage ended. full: the disk is full. title, why and hint: of a failure, in words.

    seconds and report: as recorded in the manifest. peak_rss_mb: of the worker so far.
    """

    is_: Literal["end"] = "end"
    stage: str
    state: Literal["done", "skipped", "stopped", "failed", "full"]
    seconds: float = 0.0
    report: dict[str, JsonValue] = {}
    title: str = ""
    why: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()
    peak_rss_mb: float = 0.0

    @staticmethod
    def of_failure(stage: str, error: PipelineError, seconds: float = 0.0) -> StageEnd:
        """The end of a stage that an error brought about."""
        return StageEnd(
            stage=stage,
            state="full" if isinstance(error, DiskFull) else "failed",
            seconds=seconds,
            title=error.title,
            why=error.message,
            hint=error.hint,
        )


class Reported(Frame):
    """The content of the `report.json` just written; error: why it was not."""

    is_: Literal["reported"] = "reported"
    report: dict[str, JsonValue] = {}
    error: str = ""


class ViewShown(Frame):
    """A frame for a viewer; the body holds the picture and, after it, the depths."""

    is_: Literal["view"] = "view"
    header: FrameHeader
    picture_bytes: int


class Served(Frame):
    """The end of `ServeViews`; error: why no views could be rendered, in words."""

    is_: Literal["served"] = "served"
    error: str = ""


class Prepared(Frame):
    """The end of `PrepareCloud`; error: why there is no cloud, in words. died: of it."""

    is_: Literal["prepared"] = "prepared"
    error: str = ""
    died: bool = False


class FilmProgress(Frame):
    """How far `RenderFilm` is: frames done, of how many; seconds left, null while unknown."""

    is_: Literal["filming"] = "filming"
    done: int
    total: int
    left_s: float | None = None


class Filmed(Frame):
    """The end of `RenderFilm`. file: its name in `renders/`; note: what is other than usual, error:
    why there is no film, in words."""

    is_: Literal["filmed"] = "filmed"
    file: str = ""
    note: str = ""
    error: str = ""


Saying = Annotated[
    Records | Paused | StageEnd | Reported | ViewShown | Served | Prepared | FilmProgress | Filmed,
    Field(discriminator="is_"),
]
SAYING: TypeAdapter[Saying] = TypeAdapter(Saying)
WriteReport.model_rebuild()
