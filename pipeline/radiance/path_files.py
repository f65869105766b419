"""Camera paths that the user has written: a JSON list of cameras, one after the other."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose
from pipeline.radiance.paths import Track, look_at

_Vector = tuple[float, float, float]
_Row = tuple[float, float, float, float]
_TOLERANCE = 1e-3
_HINT = (
    "An entry has cam_from_world (3 rows of R | t) or position, look_at and, if you like, up; "
    "also fov_deg or focal (in heights of the picture), and seconds: all or none of them."
)


@dataclass(frozen=True, eq=False)
class PathView:
    """A camera on a path. fov_y_deg: its vertical field of view; None: that of the photographs."""

    cam_from_world: Pose
    fov_y_deg: float | None = None


class _Entry(BaseModel):
    """An entry of the file; all coordinates in the frame of the run's sparse model."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cam_from_world: tuple[_Row, _Row, _Row] | None = None
    position: _Vector | None = None
    look_at: _Vector | None = None
    up: _Vector | None = None
    fov_deg: float | None = Field(default=None, gt=0.0, lt=180.0)
    focal: float | None = Field(default=None, gt=0.0)
    seconds: float | None = Field(default=None, ge=0.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        looking = (self.position, self.look_at)
        if self.cam_from_world is None and None in looking:
            raise ValueError("it needs cam_from_world, or position and look_at")
        if self.cam_from_world is not None and (*looking, self.up) != (None, None, None):
            raise ValueError("it has cam_from_world and position, look_at or up")
        if self.fov_deg is not None and self.focal is not None:
            raise ValueError("it has fov_deg and focal")
        return self

    def pose(self, up: Float64s) -> Pose:
        """Raises ValueError where the entry is no pose. up: where none is given."""
        if self.cam_from_world is None:
            ups = up if self.up is None else np.array(self.up)
            return look_at(np.array(self.position), np.array(self.look_at), ups)
        rows = np.array(self.cam_from_world)
        rotation = rows[:, :3]
        wrong = np.abs(rotation @ rotation.T - np.eye(3)).max() > _TOLERANCE
        if wrong or np.linalg.det(rotation) < 0:
            raise ValueError("the first three columns of cam_from_world are no rotation")
        return Pose(rotation, rows[:, 3])

    @property
    def fov_y_deg(self) -> float | None:
        if self.focal is not None:
            return math.degrees(2.0 * math.atan(0.5 / self.focal))
        return self.fov_deg


_ENTRIES: TypeAdapter[list[_Entry]] = TypeAdapter(list[_Entry])


def read_path(path: Path, up: Float64s, frames: int | None, fps: float) -> list[PathView]:
    """The cameras of a path file.

    Without `seconds` every entry is a frame. With it the entries are places on the way, at their
    times, and the frames lie between them, smoothly: `fps` a second, or `frames` in all. up: (3,)
    for entries that look at something without saying what is up. Raises PipelineError naming the
    file and the entry that is wrong.
    """
    entries = _read(path)
    poses = []
    for number, entry in enumerate(entries, 1):
        try:
            poses.append(entry.pose(up))
        except ValueError as error:
            raise _malformed(path, f"entry {number}: {error}") from error
    fovs = [entry.fov_y_deg for entry in entries]
    timed = [entry.seconds for entry in entries if entry.seconds is not None]
    if not timed:
        return [PathView(pose, fov) for pose, fov in zip(poses, fovs, strict=True)]
    _check_way(path, entries)
    times = np.array(timed)
    count = frames or max(1, round(float(times[-1] - times[0]) * fps) + 1)
    asked = np.linspace(times[0], times[-1], count)
    between = Track(times, poses).at(asked)
    return [PathView(p, fov) for p, fov in zip(between, _between(fovs, times, asked), strict=True)]


def _read(path: Path) -> list[_Entry]:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise PipelineError(
            "No camera path", f"{path}: {error.strerror or error}.", "Check --path."
        ) from error
    except ValueError as error:
        raise _malformed(path, f"it is no JSON: {error}") from error
    try:
        entries = _ENTRIES.validate_python(data, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        number, *place = first["loc"] or (None,)
        where = f"entry {number + 1}: " if isinstance(number, int) else ""
        key = ".".join(str(part) for part in place)
        raise _malformed(path, f"{where}{key}{': ' if key else ''}{first['msg']}") from error
    if not entries:
        raise _malformed(path, "it has no entry")
    return entries


def _check_way(path: Path, entries: Sequence[_Entry]) -> None:
    """Raises PipelineError where entries are no places on a way, one after the other."""
    last = -math.inf
    zooming = entries[0].fov_y_deg is not None
    for number, entry in enumerate(entries, 1):
        if entry.seconds is None:
            raise _malformed(path, f"entry {number} has no seconds, but others do")
        if entry.seconds <= last:
            raise _malformed(path, f"entry {number}: {entry.seconds:g} s is not after {last:g} s")
        if (entry.fov_y_deg is not None) != zooming:
            raise _malformed(path, f"entry {number}: all have a field of view, or none has")
        last = entry.seconds


def _between(fovs: Sequence[float | None], times: Float64s, asked: Float64s) -> list[float | None]:
    """Fields of view between those of entries; None where these have none."""
    given = [fov for fov in fovs if fov is not None]
    if not given:
        return [None] * len(asked)
    return [float(fov) for fov in np.interp(asked, times, given)]


def _malformed(path: Path, what: str) -> PipelineError:
    return PipelineError("Malformed camera path", f"{path}: {what}.", _HINT)
