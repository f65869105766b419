"""What somebody who looks at the scene asks for, and what comes back: novel views.

A request says where the camera stands; pictures of it come at rising resolution, the coarsest
first, until they are as fine as the request wants or a newer request takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_UNACKNOWLEDGED = 2  # frames on their way to one viewer: a slow reader costs no more than these
Level = Literal[8, 4, 2, 1]
LEVELS: tuple[Level, ...] = (8, 4, 2, 1)
Row = tuple[float, float, float, float]
_ROTATION_TOLERANCE = 1e-3


class ViewRequest(BaseModel):
    """A camera to render.

    viewer: whose request it is; the engine fills it in. seq: grows with every request of a viewer.
    width, height: of the finest picture, in pixels. cam_from_world: rows of R | t, in the frame of
    the run's sparse model, camera axes x right, y down, z forward. fov_y_deg: vertical field of
    view, with the principal point at the centre; or intrinsics: fx, fy, cx, cy in pixels.
    coarsest, finest: by which parts of the size the first and the last picture are smaller.
    jpeg_quality: of the pictures. depth: send depths too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    viewer: str = Field(default="", max_length=64)
    seq: int = Field(ge=0)
    width: int = Field(ge=8, le=4096)
    height: int = Field(ge=8, le=4096)
    cam_from_world: tuple[Row, Row, Row]
    fov_y_deg: float | None = Field(default=None, ge=1.0, le=170.0)
    intrinsics: Row | None = None
    coarsest: Level = 8
    finest: Level = 1
    jpeg_quality: int = Field(default=80, ge=1, le=100)
    depth: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.fov_y_deg is None) == (self.intrinsics is None):
            raise ValueError("either fov_y_deg or intrinsics is needed")
        if self.intrinsics is not None and min(self.intrinsics[:2]) <= 0.0:
            raise ValueError("intrinsics: focal lengths must be positive")
        if self.coarsest < self.finest:
            raise ValueError("coarsest must not be finer than finest")
        if not _is_rotation([row[:3] for row in self.cam_from_world]):
            raise ValueError("cam_from_world: the first three columns are no rotation")
        return self


class FrameHeader(BaseModel):
    """What a frame shows.

    viewer, seq: of the request. step: of the training. level: as in the request. final: nothing
    finer follows. width, height: of the picture. render_s: seconds of work on it. depth_width,
    depth_height: of the depths, 0 without. error: why there is no picture, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    viewer: str
    seq: int
    step: int = 0
    level: Level = 1
    final: bool = True
    width: int = 0
    height: int = 0
    render_s: float = 0.0
    depth_width: int = 0
    depth_height: int = 0
    error: str = ""


class FrameAsk(BaseModel):
    """From a client of `/api/frames`: one of the three.

    look: from this camera, in the place of the last one; `viewer` is left out. shown: a frame has
    been drawn, so that there is room for another one. rest: nobody sees the frames, so that none
    is wanted before the next look.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    look: ViewRequest | None = None
    shown: Literal[True] | None = None
    rest: Literal[True] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if [self.look, self.shown, self.rest].count(None) != 2:
            raise ValueError("one of look, shown and rest is needed")
        return self


@dataclass(frozen=True)
class ViewFrame:
    """A picture for a viewer: JPEG, and depths along the camera's axis as rows of little-endian
    float16 in units of the world (0: nothing is seen there)."""

    header: FrameHeader
    picture: bytes = b""
    depth: bytes = b""


def _is_rotation(rows: list[tuple[float, ...]]) -> bool:
    """Whether three rows of three are orthonormal and right-handed, as far as float32 can tell."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    products = [
        sum(x * y for x, y in zip(rows[m], rows[n], strict=True)) - (m == n)
        for m in range(3)
        for n in range(m, 3)
    ]
    return determinant > 0.0 and max(map(abs, products)) < _ROTATION_TOLERANCE
