"""What `barfield bench` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.radiance_config import RadianceConfig

BenchKind = Literal["blender", "llff", "posed"]


@dataclass(frozen=True)
class BenchRequest:
    """Scenes of a public data set, and how they are trained.

    path: a scene, or a folder of scenes; scenes: names of those that count, () for all. noise:
    sigma of the published noise of the poses that training starts from, 0 for the true ones; None:
    where the kind starts as published, 0.15 for blender, at the identity for llff. tests: most
    held-out views of a scene that are judged; None: all. for_seconds: this call ends after about so
    long, and the same one goes on; None: at the end.
    """

    kind: BenchKind
    path: Path
    out: Path
    config: RadianceConfig = field(default_factory=RadianceConfig)
    scenes: tuple[str, ...] = ()
    noise: float | None = None
    tests: int | None = None
    for_seconds: float | None = None
