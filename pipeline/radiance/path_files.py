"""Camera paths that the user has written: a JSON list of cameras, one after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose
from pipeline.path_entries import PathEntry, wrong_with_way
from pipeline.radiance.paths import Track, look_at

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


_ENTRIES: TypeAdapter[list[PathEntry]] = TypeAdapter(list[PathEntry])


def read_path(path: Path, up: Float64s, frames: int | None, fps: float) -> list[PathView]:
    """The cameras of a path file: see `views_on_way`. Raises PipelineError naming the file and the
    entry that is wrong."""
    return views_on_way(_read(path), str(path), up, frames, fps)


def views_on_way(
    entries: Sequence[PathEntry], name: str, up: Float64s, frames: int | None, fps: float
) -> list[PathView]:
    """The cameras of a path.

    Without `seconds` every entry is a frame. With it the entries are places on the way, at their
    times, and the frames lie between them, smoothly: `fps` a second, or `frames` in all. name: of
    the path. up: (3,) for entries that look at something without saying what is up. Raises
    PipelineError naming the path and the entry that is wrong.
    """
    poses = []
    for number, entry in enumerate(entries, 1):
        try:
            poses.append(_pose(entry, up))
        except ValueError as error:
            raise _malformed(name, f"entry {number}: {error}") from error
    fovs = [entry.fov_y_deg for entry in entries]
    timed = [entry.seconds for entry in entries if entry.seconds is not None]
    if not timed:
        return [PathView(pose, fov) for pose, fov in zip(poses, fovs, strict=True)]
    if wrong := wrong_with_way(entries):
        raise _malformed(name, wrong)
    times = np.array(timed)
    count = frames or max(1, round(float(times[-1] - times[0]) * fps) + 1)
    asked = np.linspace(times[0], times[-1], count)
    between = Track(times, poses).at(asked)
    return [PathView(p, fov) for p, fov in zip(between, _between(fovs, times, asked), strict=True)]


def _pose(entry: PathEntry, up: Float64s) -> Pose:
    """Raises ValueError where the entry is no pose. up: where none is given."""
    if entry.cam_from_world is None:
        ups = up if entry.up is None else np.array(entry.up)
        return look_at(np.array(entry.position), np.array(entry.look_at), ups)
    rows = np.array(entry.cam_from_world)
    rotation = rows[:, :3]
    wrong = np.abs(rotation @ rotation.T - np.eye(3)).max() > _TOLERANCE
    if wrong or np.linalg.det(rotation) < 0:
        raise ValueError("the first three columns of cam_from_world are no rotation")
    return Pose(rotation, rows[:, 3])


def _read(path: Path) -> list[PathEntry]:
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


def _between(fovs: Sequence[float | None], times: Float64s, asked: Float64s) -> list[float | None]:
    """Fields of view between those of entries; None where these have none."""
    given = [fov for fov in fovs if fov is not None]
    if not given:
        return [None] * len(asked)
    return [float(fov) for fov in np.interp(asked, times, given)]


def _malformed(path: Path | str, what: str) -> PipelineError:
    return PipelineError("Malformed camera path", f"{path}: {what}.", _HINT)
