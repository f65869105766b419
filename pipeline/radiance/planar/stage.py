"""The stage `planar`: patches of one image find their places while the image is learned.

torch is imported when the stage has something to do: to find that it has not takes no time.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.config_base import StageConfig
from pipeline.errors import PipelineError
from pipeline.events import Metric, Progress, Record, Report
from pipeline.planar_config import PlanarConfig
from pipeline.products import PlanarAlignment
from pipeline.stage import Checkpoint, Control, Inputs, Products

if TYPE_CHECKING:
    from pipeline.radiance.planar.patches import Patches
    from pipeline.radiance.planar.race import Race

ALIGNED = 0.03  # most warp error that counts as aligned
_WORDS = {True: "aligned", False: "not aligned"}


class AlignPlanar:
    """Stage `planar`."""

    name: ClassVar[str] = "planar"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source",)
    makes: ClassVar[tuple[str, ...]] = ("planar",)
    Config: ClassVar[type[StageConfig]] = PlanarConfig

    def run(
        self, inputs: Inputs, config: PlanarConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Align the patches by all methods side by side; draw the curves and the animation."""
        control.poll()
        import torch

        from pipeline.radiance.planar.animation import animate
        from pipeline.radiance.planar.image_file import read_image
        from pipeline.radiance.planar.patches import cut_patches
        from pipeline.radiance.planar.plots import plot_curves
        from pipeline.torch_devices import choose_device

        path = _only_file(inputs["source"])
        image = read_image(path, config.size_px)
        saved = control.load_checkpoint()
        # How many threads add up decides the last bits: one that goes on has as many as before.
        torch.set_num_threads(control.workers if saved is None else _threads(saved))
        patches = cut_patches(image, config, choose_device(config.device))
        race = yield from _at_the_start(patches, config, control, saved)
        while race.step < race.steps:
            latest = control.latest(config, race.step)
            if latest is not config:
                config = latest
                race.change(config)
            added = race.advance()
            if added:
                _check_finite(race)
            if added or control.due():
                yield from _records(race)
            if control.checkpoint_due(race.step):
                control.save_checkpoint(race.checkpoint(), race.step)
            control.poll()
        yield Progress(race.steps, race.steps, "steps", "drawing curves and animation")
        curves = _curves(path.name, race, config)
        yield Report(_report(race, curves))
        product = PlanarAlignment(
            curves, animate(image, patches, race.moments), plot_curves(race.moments)
        )
        return {"planar": product}


def _only_file(source: Any) -> Path:
    """The image, which is all that the source may hold."""
    files: tuple[Path, ...] = source.files or ()
    if len(files) != 1:
        raise PipelineError(
            "One image needed",
            f"{source.root}: planar alignment takes one image, not {len(files) or 'a folder'}.",
            "Give the path of one picture: barfield planar IMAGE.",
        )
    return files[0]


def _at_the_start(
    patches: Patches, config: PlanarConfig, control: Control, saved: Checkpoint | None
) -> Generator[Record, None, Race]:
    """The race as it begins, or where its last checkpoint left it."""
    from pipeline.radiance.planar.race import Race, fitting_steps

    if saved is not None:
        steps: Any = saved.data["steps"]
        race = Race(patches, config, steps)
        race.restore(saved)
        return race
    found = config.steps
    if config.minutes is not None:
        yield Progress(0, None, "steps", "trying out how many steps fit")
        for tried in fitting_steps(patches, config, config.minutes):
            control.poll()
            found = found if tried is None else tried
    return Race(patches, config, found)


def _threads(saved: Checkpoint) -> int:
    threads: Any = saved.data["threads"]
    return int(threads)


def _records(race: Race) -> Iterator[Record]:
    """How far the race is, and the newest figures of every method."""
    newest = {method: moments[-1] for method, moments in race.moments.items()}
    doing = ", ".join(f"{method} {m.figures.warp_error:.3f}" for method, m in newest.items())
    yield Progress(race.step, race.steps, "steps", f"warp error: {doing}")
    for method, moment in newest.items():
        yield Metric(f"warp_error.{method}", moment.figures.warp_error, race.step)
        yield Metric(f"psnr.{method}", moment.figures.psnr, race.step, "dB")


def _check_finite(race: Race) -> None:
    for method, moments in race.moments.items():
        figures = moments[-1].figures
        if not (math.isfinite(figures.warp_error) and math.isfinite(figures.psnr)):
            raise PipelineError(
                "The alignment diverged",
                f"{method} has no finite warps any more after step {moments[-1].step}.",
                "Lower planar.warp_rate or planar.network_rate.",
            )


def _curves(image: str, race: Race, config: PlanarConfig) -> dict[str, Any]:
    """What `curves.json` holds: the settings, and for each method the figures of every moment."""
    return {
        "image": image,
        "patches": config.patches,
        "patch_px": config.patch_px,
        "noise_h": config.noise_h,
        "noise_t": config.noise_t,
        "seed": config.seed,
        "true_warps": race.patches.true_warps.tolist(),
        "methods": {
            method: {
                "step": [moment.step for moment in moments],
                "warp_error": [moment.figures.warp_error for moment in moments],
                "psnr": [moment.figures.psnr for moment in moments],
                "final": {
                    "warp_error": moments[-1].figures.warp_error,
                    "psnr": moments[-1].figures.psnr,
                    "warps": [list(warp) for warp in moments[-1].warps],
                },
            }
            for method, moments in race.moments.items()
        },
    }


def _report(race: Race, curves: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": curves["image"],
        "patches": curves["patches"],
        "seed": curves["seed"],
        "steps": race.steps,
        "methods": {
            method: {
                "warp_error": told["final"]["warp_error"],
                "psnr": told["final"]["psnr"],
                "verdict": _WORDS[told["final"]["warp_error"] <= ALIGNED],
                "steps": told["step"][-1],
                "seconds": round(race.seconds[method], 2),
            }
            for method, told in curves["methods"].items()
        },
    }
