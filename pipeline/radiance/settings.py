"""What a configuration means for a device and a problem: the presets, and what overrides them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from pipeline.radiance.beginnings import Beginnings
from pipeline.radiance.encoding import alpha_at
from pipeline.radiance.fields import FieldShape
from pipeline.radiance.grid import GridShape
from pipeline.radiance.mlp import MlpShape
from pipeline.radiance.model import ModelShape
from pipeline.radiance.problem import Problem
from pipeline.radiance.setup import Setup
from pipeline.radiance_config import RadianceConfig

Preset = Literal["barf", "barf-fast", "barf-cpu"]


@dataclass(frozen=True)
class Rate:
    """A learning rate that falls exponentially from start to end."""

    start: float
    end: float

    def at(self, progress: float) -> float:
        """The rate at a share of the training in [0, 1]."""
        return float(self.start * (self.end / self.start) ** progress)


@dataclass(frozen=True)
class Settings:
    """A configuration with nothing left open; the words are those of RadianceConfig.

    same_pixels: a step looks at the same pixels of every view. pose_solver: what moves the poses,
    from the share `pose_start` of the training, or of each of its beginnings, on; pose_damping and
    stiff_turns: of its Gauss-Newton steps, see `Curvature`; relocate_at: shares of the training at
    which cameras that are lost are looked for; depth_start: bands that are open before cameras move
    along their axes; smoothness: weight of the field's roughness in the loss. Exactly one of steps
    and minutes is given.
    """

    preset: Preset
    field: FieldShape
    looks: int
    samples: int
    fine_samples: int
    encoding: Literal["coarse-to-fine", "full", "none"]
    refine_poses: bool
    refine_focal: bool
    exposure: bool
    steps: int | None
    minutes: float | None
    rays: int
    same_pixels: bool
    field_rate: Rate
    pose_rate: Rate
    pose_solver: Literal["adam", "gauss-newton"]
    pose_damping: Rate
    stiff_turns: float
    relocate_at: tuple[float, ...]
    pose_start: float
    beginnings: Beginnings
    depth_start: float
    alpha_start: float
    c2f_start: float
    c2f_end: float
    smoothness: float
    track_weight: float
    seed: int

    def alpha_at(self, progress: float, bands: int) -> float:
        """Bands that are open at a share of the training; the controls keep all or none open."""
        if self.encoding == "full":
            return float(bands)
        if self.encoding == "none":
            return 0.0
        start = min(self.alpha_start, float(bands))
        begun = self.beginnings
        if begun.count == 1:
            return alpha_at(progress, self.c2f_start, self.c2f_end, bands, start)
        middle = min(max(begun.alpha, start), float(bands))
        if progress < begun.end:
            return start + begun.share(progress) * (middle - start)
        return alpha_at(progress, begun.end, self.c2f_end, bands, middle)

    @property
    def model_shape(self) -> ModelShape:
        """What the model is built like."""
        return ModelShape(self.field, self.samples, self.fine_samples, self.exposure, self.looks)


def preset_for(config: RadianceConfig, device: torch.device) -> Preset:
    """The preset that a configuration means on a device.

    auto goes by the device alone. A budget of time decides on the steps, as soon as the first ones
    have told the pace (`Schedule`): how fast a machine is cannot be known here.
    """
    if config.preset != "auto":
        return config.preset
    return "barf-fast" if device.type == "cuda" else "barf-cpu"


def view_size_px(config: RadianceConfig, device: torch.device) -> int:
    """Longer side of the views to train on."""
    if config.size_px is not None:
        return config.size_px
    return {"barf": 640, "barf-fast": 640, "barf-cpu": 240}[preset_for(config, device)]


def resolve(config: RadianceConfig, device: torch.device, problem: Problem) -> Settings:
    """Fill in what the configuration leaves to its preset."""
    make = {"barf": _published, "barf-fast": _fast, "barf-cpu": _small}
    settings = make[preset_for(config, device)](_Scene.of(problem, config))
    given = {
        name: value
        for name in (
            *("exposure", "rays", "samples", "fine_samples", "track_weight"),
            *("alpha_start", "c2f_start", "c2f_end"),
        )
        if (value := getattr(config, name)) is not None
    }
    steps, minutes = config.steps, config.minutes
    if steps is not None or minutes is not None:
        given["steps"], given["minutes"] = steps, minutes if steps is None else None
    if not config.refine_poses:
        given["beginnings"] = Beginnings()  # there is nothing to choose from
    return replace(
        settings,
        encoding=config.encoding,
        refine_poses=config.refine_poses,
        refine_focal=config.refine_focal,
        seed=config.seed,
        field_rate=_rate(settings.field_rate, config.field_rate, config.field_rate_end),
        pose_rate=_rate(settings.pose_rate, config.pose_rate, config.pose_rate_end),
        **given,
    )


def _rate(preset: Rate, start: float | None, end: float | None) -> Rate:
    return Rate(preset.start if start is None else start, preset.end if end is None else end)


@dataclass(frozen=True)
class _Scene:
    """What presets need to know: inverse depths are sampled; the cameras are unknown and look one
    way; the tracks of mapping hold them; nothing lies outside the box."""

    inverse: bool
    one_way: bool
    mapped: bool
    bounded: bool

    @property
    def compact(self) -> bool:
        """Whether few nodes do: no surroundings are to be held, or what is seen in one direction
        is held as it is seen."""
        return self.bounded or self.one_way

    @property
    def placed(self) -> bool:
        """Whether the cameras stand about where they belong. Amid surroundings nobody else starts:
        while all is smooth, a scene without bounds explains cameras that drift anywhere (from
        2 degrees to 60 within a hundred steps)."""
        return self.mapped or not self.compact

    @staticmethod
    def of(problem: Problem, config: RadianceConfig) -> _Scene:
        inverse, bounded = problem.depth_range.inverse, problem.bounded
        one_way = Setup.of(problem).looks_one_way
        mapped = problem.tracks is not None and config.track_weight != 0.0
        return _Scene(inverse, one_way, mapped, bounded)


def _published(scene: _Scene) -> Settings:
    """BARF, ICCV 2021, section 4.2 and 4.3, and the settings of its code."""
    forward_facing = scene.inverse
    return Settings(
        preset="barf",
        field=MlpShape(),
        looks=0,
        samples=128,
        fine_samples=0,
        encoding="coarse-to-fine",
        refine_poses=True,
        refine_focal=False,
        exposure=False,
        steps=200_000,
        minutes=None,
        rays=2048 if forward_facing else 1024,
        same_pixels=True,
        field_rate=Rate(1e-3, 1e-4) if forward_facing else Rate(5e-4, 1e-4),
        pose_rate=Rate(3e-3, 1e-5) if forward_facing else Rate(1e-3, 1e-5),
        pose_solver="adam",
        pose_damping=Rate(1.0, 1.0),
        stiff_turns=1.0,
        relocate_at=(),
        pose_start=0.0,
        beginnings=Beginnings(),
        depth_start=0.0,
        alpha_start=0.0,
        c2f_start=0.1,
        c2f_end=0.5,
        smoothness=0.0,
        track_weight=0.0,
        seed=0,
    )


def _fast(scene: _Scene) -> Settings:
    """A smoothed grid, and Gauss-Newton steps for the poses.

    Lost cameras are looked for where many lie around a scene; poses that mapping found need no
    coarse start: it would only move them to and fro. Still less do those that no tracks hold.
    """
    settings = replace(
        _published(scene),
        preset="barf-fast",
        field=GridShape(160),
        exposure=True,
        samples=192,
        steps=6000,
        rays=16_384,
        same_pixels=False,
        field_rate=Rate(5e-2, 5e-3),
        pose_rate=Rate(0.2, 0.1) if scene.one_way else Rate(0.1, 0.05 if scene.placed else 0.02),
        pose_solver="gauss-newton",
        pose_damping=Rate(0.01, 1e-4) if scene.one_way or scene.placed else Rate(0.3, 1e-4),
        stiff_turns=10.0 if scene.one_way else 1.0,
        pose_start=0.02 if scene.one_way else 0.05,
        beginnings=Beginnings(4, 0.45, 2.7) if scene.one_way else Beginnings(),
        depth_start=3.0 if scene.one_way else 0.0,
        # Soon and often: the longer a camera is lost, the better the field explains what it sees.
        relocate_at=() if scene.one_way or scene.placed else (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
        alpha_start=3.0 if scene.mapped else 6.0 if scene.placed else 1.0 if scene.one_way else 0.0,
        c2f_start=0.0,
        c2f_end=0.75 if scene.one_way else 0.6,
        track_weight=1.0,
    )
    return settings if scene.compact else _in_detail(settings, GridShape(160, details=2), 192, 96)


def _small(scene: _Scene) -> Settings:
    """The same in a size that two CPU cores can bear."""
    steps = 6000 if scene.one_way else 1500 if scene.compact else 2000
    settings = replace(_fast(scene), preset="barf-cpu", steps=steps, rays=2048)
    if settings.relocate_at:
        settings = replace(settings, relocate_at=(0.3, 0.5, 0.75))
    if scene.compact:
        return replace(settings, field=GridShape(64), samples=96)
    return _in_detail(settings, GridShape(96, details=2), 96, 48)


def _in_detail(settings: Settings, field: GridShape, looks: int, samples: int) -> Settings:
    """For a scene with surroundings: finer grids, looked at where they are dense, and kept smooth
    where few photographs decide."""
    return replace(
        settings, field=field, looks=looks, samples=samples, c2f_end=0.5, smoothness=0.05
    )
