"""The rows of `bench_radiance` on the sample scene: in a run, from perturbed cameras, and views."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.codecs import load_product
from pipeline.formats.ground_truth import read_ground_truth
from pipeline.item_store import DiskStore
from pipeline.radiance.datasets import Start
from pipeline.radiance.evaluation import Reference
from pipeline.radiance.experiment import Experiment, Halt, run_experiment
from pipeline.radiance.pose_errors import PoseErrors, pose_errors
from pipeline.radiance.scene import Scene, mapped_scene
from pipeline.radiance.settings import resolve
from pipeline.radiance.view_fitting import fitting_on
from pipeline.radiance_config import RadianceConfig
from pipeline.runner import ForegroundControl
from tests.bench.bars import Bar, Measured
from tests.bench.radiance_rows import METHOD, Arm, Options, Row, figures_of, say
from tests.bench.radiance_views import view_times

DESK = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk"
SIZE_PX = 240
VIEW_SIZE = (320, 213)
_TURN_DEG, _SHIFT = 2.0, 0.02
_LOOKS = 5
T = TypeVar("T")


def measure_run(options: Options, seed: int, halt: Halt) -> Measured | None:
    """The stage after mapping, through `barfield run`, with default settings."""
    run = options.out / "desk" / f"{METHOD}-{seed}"
    if not (run / "report.json").exists():
        shutil.copytree(mapped(options), run, dirs_exist_ok=True)
    sets = [f"radiance.seed={seed}", *_overrides(options)]
    assignments = [part for text in sets for part in ("--set", text)]
    _barfield("run", str(DESK), "--out", str(run), "--headless", "--no-detach", *assignments)
    judged = json.loads(_barfield("eval", str(run), "--reference", str(DESK), "--json"))
    before, field = judged["cameras"]["mapping"], judged["cameras"]["field"]
    kept = judged["cameras"]["refined"] or before
    return {
        **_stage_times(run),
        "psnr": judged["psnr"],
        "ssim": judged["ssim"],
        "start_rotation_deg": before["rotation_mean_deg"],
        "start_centre": before["position_mean"],
        "rotation_deg": field["rotation_mean_deg"],
        "centre": field["position_mean"],
        "rotation_share": kept["rotation_mean_deg"] / before["rotation_mean_deg"],
        "centre_share": kept["position_mean"] / before["position_mean"],
        "refined": float(judged["refined"]),
    }


def _stage_times(run: Path) -> Measured:
    """Seconds to the first preview, and minutes in all, of the stage `radiance`."""
    lines = (run / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    mine = [event for event in events if event.get("stage") == "radiance"]
    began = next(e["time"] for e in mine if e["kind"] == "stage" and e.get("state") == "started")
    preview = next((e["time"] for e in mine if e["kind"] == "preview"), None)
    report = json.loads((run / "report.json").read_text())
    return {
        "first_preview_s": None if preview is None else preview - began,
        "minutes": report["seconds"]["radiance"] / 60,
    }


@dataclass(frozen=True)
class Perturbed:
    """Mapping's cameras, all wrong by so much, with the tracks in the objective or without."""

    arm: str
    tracks: bool
    encoding: str = "coarse-to-fine"

    def measure(self, options: Options, seed: int, halt: Halt) -> Measured | None:
        """Go on with the experiment; its figures, or None where it is not at its end."""
        given = {} if self.tracks else {"track_weight": 0.0}
        config = options.config(size_px=SIZE_PX, encoding=self.encoding, seed=seed, **given)
        scene = _mapped_scene(options, config)
        truth = read_ground_truth(DESK / "ground_truth.json").cam_from_world
        true = tuple(truth[view.name] for view in scene.problem.views)
        held_out = tuple(truth[view.name] for view in scene.problem.held_out)
        mapping = pose_errors(scene.problem.poses, true)
        start = Start("displaced", angle_deg=_TURN_DEG, share=_SHIFT, seed=seed)
        problem = replace(
            scene.problem,
            poses=start.of(scene.problem.poses),
            tracks=scene.problem.tracks if self.tracks else None,
        )
        settings = resolve(config, options.device, problem)
        experiment = Experiment(
            f"desk, {start}, {self.arm}",
            problem,
            Reference(true, problem.held_out, held_out, true=True),
            config,
            replace(
                fitting_on(options.device, 1e-3, settings.exposure),
                iterations=options.fit_iterations,
            ),
        )
        folder = options.out / "desk-perturbed" / f"{self.arm}-{seed}"
        result = run_experiment(experiment, folder, options.for_seconds, halt, say)
        if not result["done"]:
            return None
        found = figures_of(result)
        assert isinstance(mapping, PoseErrors)
        rotation, centre = found["rotation_deg"], found["centre"]
        if rotation is not None and centre is not None:
            found["of_mapping_rotation"] = rotation / float(mapping.rotation_deg.mean())
            found["of_mapping_centre"] = centre / float(mapping.centre.mean())
        return found


def measure_views(options: Options, seed: int, halt: Halt) -> Measured | None:
    """The first, coarse picture of a view from a camera of the scene, and the whole one."""
    run = options.out / "desk" / f"{METHOD}-{seed}"
    if not (run / "radiance" / "field.arrays").exists():
        print("    the row desk has to be measured first")
        return None
    field = load_product("radiance", run, DiskStore(run, writes=False))
    return view_times(field.arrays, VIEW_SIZE, options.device)


def mapped(options: Options) -> Path:
    """A run of the sample scene up to mapping, made once."""
    run = options.out / "desk-mapped"
    _barfield(
        "run", str(DESK), "--out", str(run), "--headless", "--no-detach", "--until", "mapping"
    )
    return run


def _mapped_scene(options: Options, config: RadianceConfig) -> Scene:
    run = mapped(options)
    store = DiskStore(run, writes=False)
    photos = load_product("photos", run, store)
    models = load_product("reconstruction", run, store).models
    with ThreadPoolExecutor(1) as threads:
        control = ForegroundControl(store, threads, 1, threading.Event())
        found = _outcome(mapped_scene(photos, models, config, SIZE_PX, control))
    assert isinstance(found, Scene), "desk can be mapped"
    return found


def _outcome(work: Generator[Any, None, T]) -> T:
    """What a generator returns in the end."""
    outcomes: list[T] = []

    def drained() -> Iterator[Any]:
        outcomes.append((yield from work))

    for _ in drained():
        pass
    return outcomes[0]


def _overrides(options: Options) -> list[str]:
    minutes = [] if options.minutes is None else [("minutes", options.minutes)]
    given = [*minutes, *options.given]
    return [f"radiance.{name}={json.dumps(value)}" for name, value in given]


def _barfield(*arguments: str) -> str:
    command = [sys.executable, "-m", "tui.cli", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


_TRACKS = Perturbed("tracks", tracks=True)
_PHOTOMETRIC = Perturbed("photometric", tracks=False)
_FULL = Perturbed("full", tracks=False, encoding="full")

DESK_ROWS = (
    Row(
        "desk",
        (Arm(METHOD, measure_run),),
        (
            Bar("first_preview_s", 20.0),
            Bar("minutes", 10.0),
            Bar("psnr", 23.0, 27.0, least=True),
            Bar("rotation_share", 1.02, 1.0),
            Bar("centre_share", 1.02, 1.0),
        ),
    ),
    Row(
        "desk-tracks",
        (Arm(METHOD, _TRACKS.measure),),
        (Bar("of_mapping_rotation", 2.0, 1.0), Bar("of_mapping_centre", 2.0, 1.0)),
    ),
    Row(
        "desk-photometric",
        (Arm(METHOD, _PHOTOMETRIC.measure), Arm("full", _FULL.measure)),
        (Bar("rotation_deg", 0.3, 0.1),),
        beats=("full",),
    ),
    Row(
        "desk-view",
        (Arm(METHOD, measure_views),),
        (Bar("first_ms", 150.0), Bar("full_s", 4.0, 1.0)),
    ),
)
