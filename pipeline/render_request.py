"""What `barfield render` is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.path_entries import PathEntry

PATHS = ("orbit", "spiral", "cameras")
Format = Literal["png", "gif", "mp4"]


@dataclass(frozen=True)
class RenderRequest:
    """A camera's way through a scene, as pictures or a film.

    path: one of PATHS, or the name of a JSON file. keyframes: what such a file would hold; then the
    path is only a name. frames: how many; None: 72, or those of the
    file. size: width and height in pixels; None: that of the photographs as they were learned.
    depth: write depths too. out: folder for the result; None: `renders/<path>` in the run.
    """

    path: str
    frames: int | None = None
    size: tuple[int, int] | None = None
    fps: float = 24.0
    format: Format = "gif"
    depth: bool = False
    out: Path | None = None
    keyframes: tuple[PathEntry, ...] = ()


@dataclass(frozen=True)
class RenderProgress:
    """How far it is: frames done, of how many; seconds left, None while unknown."""

    done: int
    total: int
    left_s: float | None


Listener = Callable[[RenderProgress], None]
