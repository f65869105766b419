"""The parameters of the stage `planar`."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from pipeline.config_base import StageConfig, setting

PlanarMethod = Literal["smooth-grid", "barf", "full", "none"]
PLANAR_METHODS: tuple[PlanarMethod, ...] = ("smooth-grid", "barf", "full", "none")


class PlanarConfig(StageConfig):
    """Patches of one image, aligned while the image is learned (BARF, ICCV 2021, section 4.1)."""

    methods: tuple[PlanarMethod, ...] = setting(
        PLANAR_METHODS,
        "what runs side by side; smooth-grid: a grid of pixels, smoothed from coarse to fine; "
        "barf: a network whose frequencies enter from coarse to fine; full: all frequencies at "
        "once; none: no encoding",
        min_length=1,
    )
    size_px: int = setting(
        480, "the image is scaled down to this longer side", unit="px", ge=32, le=4096
    )
    patches: int = setting(5, "patches; the warp of the first is known", ge=2, le=64)
    patch_px: int = setting(180, "side of the patches", unit="px", ge=16, le=4096)
    noise_h: float = setting(
        0.1, "standard deviation of each of the 8 parameters of a warp, in sl(3)", ge=0.0, le=2.0
    )
    noise_t: float = setting(
        0.2,
        "how far each patch is moved towards a corner besides, right or left and up or down",
        unit="half of the image's longer side",
        ge=0.0,
        le=2.0,
    )
    steps: int = setting(
        3000, "steps of each network; smooth-grid needs fewer", unit="steps", ge=1, le=1_000_000
    )
    minutes: float | None = setting(
        None,
        "length of the whole, in place of `steps`: the first steps tell how many fit",
        unit="min",
        gt=0.0,
        le=10_000.0,
    )
    pixels: int = setting(
        1024, "pixels that a network learns from in a step", unit="px", ge=16, le=1_048_576
    )
    network_rate: float = setting(
        1e-3, "learning rate of the networks", applies="live", gt=0.0, le=1.0
    )
    warp_rate: float = setting(
        1e-3, "learning rate of the warps beside a network", applies="live", gt=0.0, le=1.0
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where to compute")
    seed: int = setting(0, "seed of the warps, of the networks and of the pixels", ge=0, lt=2**32)

    @field_validator("methods")
    @classmethod
    def _refuse_repeated(cls, methods: tuple[PlanarMethod, ...]) -> tuple[PlanarMethod, ...]:
        if len(set(methods)) < len(methods):
            raise ValueError("each method once")
        return methods
