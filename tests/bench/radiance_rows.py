"""The rows of `bench_radiance` on public data sets, and what all rows have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue

from pipeline.bench_request import BenchKind
from pipeline.radiance.benchmark import Bench, experiment_of, read_scene
from pipeline.radiance.datasets import Start
from pipeline.radiance.experiment import Halt, run_experiment
from pipeline.radiance.training import Figures
from pipeline.radiance_config import RadianceConfig
from pipeline.torch_devices import choose_device
from tests.bench.bars import Bar, Measured

METHOD = "method"
CPU_TESTS = 25  # held-out views of lego that the CPU rows judge, of 200


@dataclass(frozen=True)
class Options:
    """How all rows are run.

    scenes: folder of the public scenes. out: where experiments are kept. minutes: budget of every
    training in place of the row's own; None: the row's. seeds: of the method. given: fields of
    RadianceConfig in place of the row's own. fit_iterations: of each held-out view. for_seconds:
    end after about so long; None: at the end.
    """

    scenes: Path
    out: Path
    minutes: float | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    given: tuple[tuple[str, JsonValue], ...] = ()
    fit_iterations: int = 100
    for_seconds: float | None = None

    def config(self, **row: Any) -> RadianceConfig:
        """A row's configuration with what the options say instead."""
        if self.minutes is not None:
            row |= {"minutes": self.minutes, "steps": None}
        return RadianceConfig(**{**row, **dict(self.given)})

    @property
    def device(self) -> torch.device:
        """Where all is computed."""
        return choose_device(self.config().device)


@dataclass(frozen=True)
class Arm:
    """The method or a control: how one seed of it is measured, None while it is not finished."""

    name: str
    measure: Callable[[Options, int, Halt], Measured | None]


@dataclass(frozen=True)
class Row:
    """A row of the table. beats: controls whose rotation error the method's must be below. fails:
    controls whose rotation error must be above the first bar."""

    name: str
    arms: tuple[Arm, ...]
    bars: tuple[Bar, ...]
    beats: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """An arm on a public scene. start: its seed is replaced by the trial's; so is the config's."""

    row: str
    arm: str
    kind: BenchKind
    scene: str
    start: Start
    config: tuple[tuple[str, JsonValue], ...]
    tests: int | None = None
    judge_at: tuple[float, ...] = ()

    def measure(self, options: Options, seed: int, halt: Halt) -> Measured | None:
        """Go on with the experiment; its figures, or None where it is not at its end."""
        path = options.scenes / self.scene
        bench = Bench(
            self.kind,
            path,
            replace(self.start, seed=seed),
            options.config(**{**dict(self.config), "seed": seed}),
            options.out,
            tests=self.tests,
            judge_at=self.judge_at,
            fit_iterations=options.fit_iterations,
        )
        experiment = experiment_of(bench, read_scene(bench, path))
        folder = options.out / self.row / f"{self.arm}-{seed}"
        result = run_experiment(experiment, folder, options.for_seconds, halt, say)
        return figures_of(result) if result["done"] else None


def arm(trial: Trial) -> Arm:
    """The arm that is measured by a trial."""
    return Arm(trial.arm, trial.measure)


def figures_of(result: dict[str, Any]) -> Measured:
    """What the table shows of a finished experiment."""
    end, start = result["end"], result["start"]
    cameras = end["cameras"] or {}
    found: Measured = {
        "start_rotation_deg": start.get("rotation_deg", start.get("rotation_only_deg")),
        "start_centre": start.get("centre"),
        **{name: cameras.get(name) for name in ("rotation_deg", "centre", "translation")},
        "psnr": end["psnr"],
        "ssim": end["ssim"],
        "minutes": result["seconds"] / 60,
        "cpu_minutes": result["cpu_seconds"] / 60,
        "steps": result["step"],
    }
    for moment in result["judged"]:
        found[f"psnr at {moment['step']}"] = moment["psnr"]
        found[f"rotation at {moment['step']}"] = moment["cameras"].get("rotation_deg")
        found[f"minutes at {moment['step']}"] = moment["seconds"] / 60
    if found["start_centre"] and found["centre"] is not None:
        found["centre_share"] = found["centre"] / found["start_centre"]
    return found


def say(figures: Figures, point: dict[str, Any]) -> None:
    angle = point.get("rotation_deg")
    error = "" if angle is None else f"  {angle:.3f} deg  centres {point['centre']:.4f}"
    print(
        f"    step {figures.step}  {point['seconds']:.0f} s (processor "
        f"{point['cpu_seconds']:.0f} s)  {figures.psnr:.2f} dB{error}",
        flush=True,
    )


def _settings(**given: JsonValue) -> tuple[tuple[str, JsonValue], ...]:
    return tuple(given.items())


_SMALL = _settings(size_px=100)
# Plain BARF in a size that a few cores can bear; its width is the published one.
_PLAIN = _settings(preset="barf", rays=512, samples=64, pose_rate=3e-3, minutes=20.0)
_LEGO_15 = Trial("lego-0.15", METHOD, "blender", "lego", Start("noise", 0.15), _SMALL, CPU_TESTS)
_LEGO_05 = replace(_LEGO_15, row="lego-0.05", start=Start("noise", 0.05))
_FERN = Trial("fern", METHOD, "llff", "fern", Start("unknown"), _settings(size_px=160))
_FULL = (*_SMALL, ("encoding", "full"))

PUBLIC_ROWS = (
    Row(
        "lego-0.15",
        (
            arm(_LEGO_15),
            arm(replace(_LEGO_15, arm="full", config=_FULL)),
            arm(replace(_LEGO_15, arm="plain", config=(*_SMALL, *_PLAIN))),
        ),
        (
            Bar("rotation_deg", 3.0, 0.3),
            Bar("centre_share", 1.0),
            Bar("centre", None, 0.01),
            Bar("psnr", None, 24.0, least=True),
            Bar("minutes", 20.0),
        ),
        beats=("full", "plain"),
    ),
    Row(
        "lego-0.05",
        (arm(_LEGO_05), arm(replace(_LEGO_05, arm="full", config=_FULL))),
        (
            Bar("rotation_deg", 1.0, 0.1),
            Bar("psnr", 20.0, 26.0, least=True),
            Bar("minutes", 20.0),
        ),
    ),
    Row(
        "fern",
        (
            arm(_FERN),
            arm(replace(_FERN, arm="full", config=_settings(size_px=160, encoding="full"))),
        ),
        (
            Bar("rotation_deg", 2.0, 0.5),
            Bar("psnr", 19.0, 22.0, least=True),
            Bar("minutes", 20.0),
        ),
        fails=("full",),
    ),
)

_EARLY = 40_000  # steps of the reference arm's first bar, a fifth of all
_LEGO_GPU = Trial(
    "lego-reference",
    METHOD,
    "blender",
    "lego",
    Start("noise", 0.15),
    _settings(size_px=400, preset="barf"),
    judge_at=(0.2,),
)
GPU_ROWS = (
    Row(
        "lego-reference",
        (arm(_LEGO_GPU),),
        (
            Bar(f"rotation at {_EARLY}", 0.20),
            Bar(f"psnr at {_EARLY}", 26.0, least=True),
            Bar(f"minutes at {_EARLY}", 15.0),
            Bar("rotation_deg", 0.10, 0.082),
            Bar("translation", 0.0035, 0.00291),
            Bar("psnr", 28.0, 28.33, least=True),
            Bar("minutes", 60.0, 20.0),
        ),
    ),
    Row(
        "lego-fast",
        (
            arm(
                replace(
                    _LEGO_GPU,
                    row="lego-fast",
                    config=_settings(size_px=400, preset="barf-fast"),
                    judge_at=(),
                )
            ),
        ),
        (
            Bar("rotation_deg", 0.10, 0.05),
            Bar("translation", 0.0035, 0.0010),
            Bar("psnr", 31.0, 34.0, least=True),
            Bar("minutes", 10.0, 5.0),
        ),
    ),
    *(
        Row(
            f"fern-{name}",
            (
                arm(
                    replace(_FERN, row=f"fern-{name}", config=_settings(size_px=640, preset=preset))
                ),
            ),
            (
                Bar("rotation_deg", 0.25, 0.19),
                Bar("psnr", 23.5, 25.3, least=True),
                Bar("minutes", 30.0, 5.0),
            ),
        )
        for name, preset in (("reference", "barf"), ("fast", "barf-fast"))
    ),
)
