"""What `barfield export` is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Format = Literal[
    "colmap", "nerfstudio", "instant-ngp", "llff", "ply", "glb", "obj", "nvm", "tum", "opensfm"
]
FORMATS: tuple[Format, ...] = (
    "colmap", "nerfstudio", "instant-ngp", "llff", "ply", "glb", "obj", "nvm", "tum", "opensfm",
)  # fmt: skip
ModelChoice = Literal["best", "mapping", "refined"]


@dataclass(frozen=True)
class ExportRequest:
    """A run's model, or its mesh, in a form that another program reads.

    model: best takes the refined cameras where there are some. out: folder, or for ply and glb a
    file that ends in .ply or .glb; None: `export/<format>` in the run.
    """

    format: Format
    model: ModelChoice = "best"
    out: Path | None = None


Listener = Callable[[int, int], None]
"""Called with how many photographs are done, of how many."""
