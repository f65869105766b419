"""The parameters of the stage `depth`."""

from __future__ import annotations

from typing import Literal

from pipeline.config_base import StageConfig, setting


class DepthConfig(StageConfig):
    """Depth maps: planes swept from coarse to fine, then compared between photographs."""

    size_px: int = setting(
        640, "photographs are scaled down to this longer side", unit="px", ge=64, le=4096
    )
    sources: int = setting(
        10,
        "other photographs that each one is compared with; twice as many confirm its depths",
        unit="photographs",
        ge=1,
        le=32,
    )
    min_views: int = setting(
        1, "a depth stays where so many other photographs confirm it", unit="photographs", ge=1
    )
    max_depth_error: float = setting(
        0.01, "depths confirm each other up to this difference", unit="of the depth", gt=0, lt=0.5
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "auto: a CUDA device if one works")
