"""The public data sets' scenes, one after the other, as experiments: `barfield bench`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bench_request import BenchKind, BenchRequest
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import is_model
from pipeline.radiance.datasets import (
    DataSet,
    Start,
    StartMode,
    problem_of,
    read_blender,
    read_forward_facing,
    read_posed_scene,
)
from pipeline.radiance.evaluation import Reference
from pipeline.radiance.experiment import Experiment, Halt, run_experiment
from pipeline.radiance.settings import resolve
from pipeline.radiance.training import Figures
from pipeline.radiance.view_fitting import fitting_on
from pipeline.radiance_config import RadianceConfig
from pipeline.torch_devices import choose_device

_NOISE = 0.15  # of the Blender scenes, as published
_SIZES_PX: dict[BenchKind, int | None] = {
    "blender": 400,
    "llff": 640,
    "posed": None,
}  # as published
_MARKS = {"blender": "transforms_train.json", "llff": "poses_bounds.npy"}


@dataclass(frozen=True)
class Bench:
    """Which scenes are trained, and how.

    path: a scene, or a folder of scenes; scenes: names of those that count, () for all. tests: most
    held-out views of a scene; None: all. judge_at: as in `Experiment`. fit_iterations: of each
    held-out view before it is judged.
    """

    kind: BenchKind
    path: Path
    start: Start
    config: RadianceConfig
    out: Path
    scenes: tuple[str, ...] = ()
    tests: int | None = None
    judge_at: tuple[float, ...] = ()
    fit_iterations: int = 100


def bench_of(request: BenchRequest) -> Bench:
    """What a request means: where nothing is said, the start that was published."""
    sigma = request.noise
    if sigma is None:
        sigma = _NOISE if request.kind == "blender" else 0.0
    mode: StartMode = "noise" if sigma > 0 else "known"
    if request.noise is None and request.kind == "llff":
        mode = "unknown"
    start = Start(mode, sigma=sigma, seed=request.config.seed)
    return Bench(
        request.kind,
        request.path,
        start,
        request.config,
        request.out,
        request.scenes,
        request.tests,
    )


def run_bench(
    bench: Bench,
    for_seconds: float | None = None,
    halt: Halt | None = None,
    told: Callable[[str, Figures, dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train and judge the scenes, each in a folder below `bench.out`; their results.

    for_seconds, halt: as in `run_experiment`; then the last result is not done. told: called with
    the scene and its newest figures. Raises PipelineError as the readers and `run_experiment` do.
    """
    results = []
    for scene in scenes_of(bench):
        experiment = experiment_of(bench, read_scene(bench, scene))
        folder = bench.out / scene.name
        results.append(
            run_experiment(experiment, folder, for_seconds, halt, _telling(scene.name, told))
        )
        if not results[-1]["done"]:
            break
    return results


def scenes_of(bench: Bench) -> list[Path]:
    """The folders of the scenes. Raises PipelineError where there are none, or one is missing."""
    if _is_scene(bench.kind, bench.path) and not bench.scenes:
        return [bench.path]
    below = sorted(bench.path.iterdir()) if bench.path.is_dir() else []
    found = [folder for folder in below if _is_scene(bench.kind, folder)]
    names = [folder.name for folder in found]
    missing = [name for name in bench.scenes if name not in names]
    if missing or not found:
        what = f"no scene {missing[0]}" if missing else f"no scene of the kind {bench.kind}"
        raise PipelineError(
            "No such scene",
            f"{bench.path} holds {what}",
            f"It holds {', '.join(names)}." if names else f"Give a folder with {_mark(bench)}.",
        )
    return [folder for folder in found if not bench.scenes or folder.name in bench.scenes]


def read_scene(bench: Bench, scene: Path) -> DataSet:
    """The views of a scene at the size of the configuration, or the published one."""
    size_px = bench.config.size_px or _SIZES_PX[bench.kind]
    if bench.kind == "blender":
        return read_blender(scene, size_px, bench.tests)
    if bench.kind == "llff":
        return read_forward_facing(scene, size_px)
    return read_posed_scene(scene, size_px, bench.config.holdout)


def experiment_of(bench: Bench, data: DataSet) -> Experiment:
    """The experiment on a data set; held-out views are fitted at the first rate of the poses, as
    published."""
    problem = problem_of(data, bench.start)
    device = choose_device(bench.config.device)
    settings = resolve(bench.config, device, problem)
    return Experiment(
        f"{data.name}, {bench.start}, {settings.preset}, {settings.encoding}",
        problem,
        Reference(data.poses, data.held_out, data.held_out_poses, true=True),
        bench.config,
        replace(
            fitting_on(device, 3e-3 if data.depth_range.inverse else 1e-3, settings.exposure),
            iterations=bench.fit_iterations,
        ),
        bench.judge_at,
    )


def means(results: list[dict[str, Any]]) -> dict[str, float | None]:
    """Means over finished scenes of what the papers print; None where a scene has no figure."""
    ends = [result["end"] for result in results if result["done"]]
    cameras = [end["cameras"] for end in ends]
    columns = {
        "rotation_deg": [entry.get("rotation_deg") for entry in cameras],
        "translation": [entry.get("translation") for entry in cameras],
        "centre": [entry.get("centre") for entry in cameras],
        "psnr": [end["psnr"] for end in ends],
        "ssim": [end["ssim"] for end in ends],
    }
    return {
        name: None if not values or None in values else float(np.mean(values))
        for name, values in columns.items()
    }


def _is_scene(kind: BenchKind, folder: Path) -> bool:
    if kind != "posed":
        return (folder / _MARKS[kind]).is_file()
    models = (folder, folder / "sparse" / "0", folder / "sparse")
    return bool(list(folder.glob("transforms*.json"))) or any(is_model(f) for f in models)


def _mark(bench: Bench) -> str:
    return _MARKS.get(bench.kind, "transforms.json or a COLMAP model")


def _telling(
    scene: str, told: Callable[[str, Figures, dict[str, Any]], None] | None
) -> Callable[[Figures, dict[str, Any]], None] | None:
    if told is None:
        return None
    return lambda figures, point: told(scene, figures, point)
