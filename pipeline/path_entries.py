"""Cameras on a path as people write them: in files for `barfield render`, and in commands.

Plain data that is checked without computing anything, so that the engine can do it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FROM_JSON = BeforeValidator(_as_tuple)
"""JSON has no tuples, and messages are checked strictly."""

_Vector = Annotated[tuple[float, float, float], FROM_JSON]
_Row = Annotated[tuple[float, float, float, float], FROM_JSON]
_Rows = Annotated[tuple[_Row, _Row, _Row], FROM_JSON]


class PathEntry(BaseModel):
    """A camera on a path; all coordinates in the frame of the run's sparse model.

    cam_from_world: rows of R | t; or position and look_at, with up where it is not the scene's.
    fov_deg: the vertical field of view; or focal, in heights of the picture. seconds: when the
    camera is there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cam_from_world: _Rows | None = None
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

    @property
    def fov_y_deg(self) -> float | None:
        """The vertical field of view; None: that of the photographs."""
        if self.focal is not None:
            return math.degrees(2.0 * math.atan(0.5 / self.focal))
        return self.fov_deg


def wrong_with_way(entries: Sequence[PathEntry]) -> str | None:
    """Why timed entries are no places on a way, one after the other; None where they are."""
    last = -math.inf
    zooming = entries[0].fov_y_deg is not None
    for number, entry in enumerate(entries, 1):
        if entry.seconds is None:
            return f"entry {number} has no seconds, but others do"
        if entry.seconds <= last:
            return f"entry {number}: {entry.seconds:g} s is not after {last:g} s"
        if (entry.fov_y_deg is not None) != zooming:
            return f"entry {number}: all have a field of view, or none has"
        last = entry.seconds
    return None
