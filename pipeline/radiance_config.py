"""The parameters of the stage `radiance`; None stands for what the preset says."""

from __future__ import annotations

from typing import Literal

from pipeline.config_base import StageConfig, setting


class RadianceConfig(StageConfig):
    """A radiance field (NeRF, ECCV 2020) that corrects its cameras (BARF, ICCV 2021)."""

    preset: Literal["auto", "barf", "barf-fast", "barf-cpu"] = setting(
        "auto",
        "barf: the published method, for a GPU; barf-fast: a grid of many resolutions, for a GPU; "
        "barf-cpu: the same idea for a few CPU cores; auto: barf-fast on a CUDA device, else "
        "barf-cpu, never barf; `minutes` changes the number of steps of any of them, nothing else",
    )
    encoding: Literal["coarse-to-fine", "full", "none"] = setting(
        "coarse-to-fine",
        "how detail enters: band after band, all at once, or never; the last two are controls",
    )
    refine_poses: bool = setting(True, "correct the poses of the photographs")
    refine_focal: bool = setting(False, "correct the focal lengths too")
    exposure: bool | None = setting(
        None, "learn a brightness per colour channel for each photograph"
    )
    size_px: int | None = setting(
        None, "photographs are scaled down to this longer side", unit="px", ge=16, le=4096
    )
    steps: int | None = setting(None, "length of the training", unit="steps", ge=1, le=10_000_000)
    minutes: float | None = setting(
        None,
        "length of the training where `steps` is not given: the first 30 steps tell how many fit, "
        "and rates and detail follow their share of these; preset, size and rays stay",
        unit="min",
        gt=0.0,
        le=100_000.0,
    )
    rays: int | None = setting(
        None, "pixels that are rendered in a step", applies="live", ge=16, le=1_048_576
    )
    samples: int | None = setting(None, "points on a ray", ge=2, le=4096)
    fine_samples: int | None = setting(
        None,
        "more points where a first network finds matter, for a second network; 0: one network",
        ge=0,
        le=4096,
    )
    field_rate: float | None = setting(
        None, "learning rate of the field at the start", applies="live", gt=0.0, le=1.0
    )
    field_rate_end: float | None = setting(
        None, "learning rate of the field at the end", applies="live", gt=0.0, le=1.0
    )
    pose_rate: float | None = setting(
        None, "learning rate of the poses at the start", applies="live", gt=0.0, le=1.0
    )
    pose_rate_end: float | None = setting(
        None, "learning rate of the poses at the end", applies="live", gt=0.0, le=1.0
    )
    alpha_start: float | None = setting(
        None,
        "bands of detail that are open at the start; 0 as published; 1 lets the first one in",
        unit="bands",
        ge=0.0,
        le=10.0,
    )
    c2f_start: float | None = setting(
        None, "when detail begins to enter", unit="share of training", ge=0.0, le=1.0
    )
    c2f_end: float | None = setting(
        None,
        "when all detail has entered",
        unit="share of training",
        applies="live",
        ge=0.0,
        le=1.0,
    )
    track_weight: float | None = setting(
        None,
        "weight at the start of the reprojection error of the tracks; it fades; 0: photographs "
        "alone",
        applies="live",
        ge=0.0,
        le=1000.0,
    )
    view_share: float = setting(
        0.3,
        "most of the time that rendering novel views may take from the training",
        unit="share",
        applies="live",
        ge=0.0,
        le=0.9,
    )
    holdout: float = setting(
        0.1,
        "photographs that are not learned but test the result",
        unit="share",
        ge=0.0,
        le=0.5,
    )
    background: Literal["auto", "white", "black", "learned", "none"] = setting(
        "auto", "colour behind everything; auto: as the photographs suggest"
    )
    rescue: bool = setting(False, "register photographs that mapping could not")
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where to compute")
    seed: int = setting(0, "seed of the training", ge=0, lt=2**32)
