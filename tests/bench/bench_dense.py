"""Depth maps and meshes against their bars, through the command as a user gives it.

usage: python -m tests.bench.bench_dense [ROW ...] [--out FOLDER] [--scenes FOLDER]
           [--set STAGE.FIELD=VALUE ...] [--list]

Rows: desk-depth (depth maps of the sample scene at 480 px against true depth), draft (the quick
mesh of it), desk-mesh (the mesh against the true surface, of depth maps as large as a user gets
them), desk-mesh-480 (the same of smaller ones, without bars), fountain (fountain-P11 of
$BARFIELD_SCENES or --scenes at 768 px, in metres). Scenes are mapped once under --out, and a stage
that is done there with the same parameters is only read; its seconds are those of when it ran.
Where the radiance field comes before depth, it is trained for one step. True depth and the true
surface are made first, into sample_scenes/desk/truth, where they are missing. Exit code: 1 where a
bar is missed. Seconds are only worth something on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dense_codecs import open_workspace
from pipeline.depth_config import DepthConfig
from pipeline.depth_errors import align_views
from pipeline.errors import PipelineError
from pipeline.formats.ply import read_ply
from pipeline.formats.posed import photo_names_in
from pipeline.formats.reference import read_posed_photos
from pipeline.geometry.similarity import Similarity
from pipeline.geometry_comparison import SurfaceErrors, compare_surfaces
from pipeline.stages import STAGE_NAMES
from tests.bench.bars import Bar, Measured, figures_in_words
from tests.bench.planes import largest_plane

DESK = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk"
FOUNTAIN = "fountain-P11"
DESK_PX, FOUNTAIN_PX = 480, 768
MESH_PX = DepthConfig().size_px
FUSED = "mesh/fused.ply"
_MAPPED = "mapping"
_NEAR_M, _CELL_M = 0.05, 0.02


@dataclass(frozen=True)
class Options:
    """out: folder of the runs. scenes: of the public scenes. given: further parameters, as
    ``stage.field=value``."""

    out: Path
    scenes: Path
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A measurement and what its figures should be. stage: the last one that it needs."""

    name: str
    stage: str
    measure: Callable[[Options], Measured]
    bars: tuple[Bar, ...]


def measure_desk_depth(options: Options) -> Measured:
    """Time and errors of the depth maps of desk."""
    report = run_desk(options, "depth")
    found = desk_errors(options, "depth").depth
    assert found is not None, "the run has depth maps, and desk has true depth"
    return {
        "minutes": report["seconds"]["depth"] / 60,
        "photographs": float(found.photographs),
        "median_percent": _percent(found.median_relative),
        "median_of_known_percent": _percent(found.median_relative_of_known),
        "within_percent": _percent(found.within_1_percent),
        "missing_percent": _percent(found.missing),
        "peak_mb": float(report["peak_rss_mb"]),
    }


def measure_draft(options: Options) -> Measured:
    """Time and errors of the quick mesh of desk."""
    report = run_desk(options, "draft")
    return {"seconds": report["seconds"]["draft"], **_mesh_figures(desk_errors(options, "draft"))}


def measure_desk_mesh(options: Options, size_px: int = MESH_PX) -> Measured:
    """Time and errors of the mesh of desk."""
    report = run_desk(options, "mesh", size_px)
    seconds = report["seconds"]
    return {
        "minutes": (seconds["depth"] + seconds["mesh"]) / 60,
        "mesh_s": seconds["mesh"],
        **_mesh_figures(desk_errors(options, "mesh", size_px)),
        "peak_mb": float(report["peak_rss_mb"]),
    }


def measure_small_desk_mesh(options: Options) -> Measured:
    """The same of depth maps at 480 px."""
    return measure_desk_mesh(options, DESK_PX)


def measure_fountain(options: Options) -> Measured:
    """Time, peak memory, and how flat the largest wall of the fused cloud is."""
    scene = options.scenes / FOUNTAIN
    run = options.out / FOUNTAIN
    report = run_scene(options, scene, run, FOUNTAIN_PX, "mesh", ("--cameras", "single"))
    seconds = report["seconds"]
    views = open_workspace(run / "depth").views
    metres = align_views(views, read_posed_photos(scene / "ground_truth.json"))
    assert isinstance(metres, Similarity), "eleven cameras on an arc can be aligned"
    cloud = metres.apply(read_ply(run / FUSED).xyz.astype(np.float64))
    plane = largest_plane(cloud, _NEAR_M, _CELL_M)
    return {
        "minutes": (seconds["depth"] + seconds["mesh"]) / 60,
        "depth_s": seconds["depth"],
        "mesh_s": seconds["mesh"],
        "points": float(len(cloud)),
        "plane_points": None if plane is None else float(plane.points),
        "plane_rms_cm": None if plane is None else 100.0 * plane.rms,
        "plane_noise_cm": None if plane is None else 100.0 * plane.noise,
        "peak_mb": float(report["peak_rss_mb"]),
    }


def run_desk(options: Options, until: str, size_px: int = DESK_PX) -> dict[str, Any]:
    """Go on with the run of desk at a size, which rows share, and give its report."""
    return run_scene(options, DESK, _desk(options, size_px), size_px, until)


def desk_errors(options: Options, stage: str, size_px: int = DESK_PX) -> SurfaceErrors:
    """Errors of what a stage made in the run of desk at a size."""
    make_truth()
    run = _desk(options, size_px)
    names = photo_names_in(DESK / "images")
    made = ("depth", "mesh") if stage == "mesh" else (stage,)
    return compare_surfaces(run, run / "sparse" / "0", DESK, names, made)


def _desk(options: Options, size_px: int) -> Path:
    return options.out / f"desk-{size_px}"


def run_scene(
    options: Options, scene: Path, run: Path, size_px: int, until: str, given: Sequence[str] = ()
) -> dict[str, Any]:
    """A run of a scene until a stage, begun as a copy of one that is mapped; its report."""
    mapped = options.out / f"{scene.name}-mapped"
    if not (run / "report.json").exists():
        _barfield("run", scene, "--out", mapped, "--until", _MAPPED, *given)
        shutil.copytree(mapped, run, dirs_exist_ok=True)
    sets = list(options.given)
    before = STAGE_NAMES[: STAGE_NAMES.index(until)]
    if "depth" in (*before, until):
        sets.append(f"depth.size_px={size_px}")
    if "radiance" in before:
        sets.append("radiance.steps=1")
    assigned = [part for text in sets for part in ("--set", text)]
    _barfield("run", scene, "--out", run, "--until", until, *given, *assigned)
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


def make_truth() -> None:
    """Depth and surface of desk, where they are missing."""
    truth = DESK / "truth"
    if (truth / "mesh.ply").exists() and len(list(truth.glob("*.npy"))) == len(
        photo_names_in(DESK / "images")
    ):
        return
    command = [sys.executable, "-m", "sample_scenes.render", "desk", "--truth-only"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _mesh_figures(errors: SurfaceErrors) -> Measured:
    found = errors.mesh or errors.draft
    if found is None:
        return {}
    return {
        "mean_percent": _percent(found.mean_relative),
        "median_percent": _percent(found.median_relative),
        "within_percent": _percent(found.within_1_percent),
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _barfield(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "tui.cli", *map(str, arguments), "--headless", "--no-detach"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


ROWS = (
    Row(
        "desk-depth",
        "depth",
        measure_desk_depth,
        (
            Bar("minutes", 6.0, 2.0),
            Bar("median_percent", 0.5, 0.2),
            Bar("within_percent", 70.0, 85.0, least=True),
        ),
    ),
    Row("draft", "draft", measure_draft, (Bar("seconds", 10.0, 3.0),)),
    Row(
        "desk-mesh",
        "mesh",
        measure_desk_mesh,
        (Bar("mean_percent", 0.5, 0.25), Bar("within_percent", 85.0, 92.0, least=True)),
    ),
    Row("desk-mesh-480", "mesh", measure_small_desk_mesh, ()),
    Row(
        "fountain",
        "mesh",
        measure_fountain,
        (
            Bar("minutes", 5.0, 2.0),
            Bar("points", 400_000.0, least=True),
            Bar("plane_rms_cm", 1.0),
            Bar("peak_mb", 4000.0, 2000.0),
        ),
    ),
)


def main(given: Sequence[str]) -> int:
    """Measure the rows and print each as soon as it is known; how it ended."""
    arguments = _arguments(given)
    names = [row.name for row in ROWS]
    unknown = [name for name in arguments.rows if name not in names]
    if unknown:
        sys.exit(f"no row {unknown[0]}; there are {', '.join(names)}")
    if arguments.list:
        print("\n".join(names))
        return 0
    options = Options(arguments.out, arguments.scenes, tuple(arguments.set))
    missed = 0
    for row in ROWS:
        if arguments.rows and row.name not in arguments.rows:
            continue
        print(row.name, flush=True)
        if row.stage not in STAGE_NAMES:
            print(f"  there is no stage {row.stage}")
            missed += 1
            continue
        found = row.measure(options)
        print(f"  {figures_in_words(found)}")
        for bar in row.bars:
            print(bar.in_words(found.get(bar.figure)), flush=True)
            missed += bar.misses(found.get(bar.figure))
    return 1 if missed else 0


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-dense"))
    scenes = Path(os.environ.get("BARFIELD_SCENES", "."))
    parser.add_argument("--scenes", type=Path, default=scenes)
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.FIELD=VALUE")
    parser.add_argument("--list", action="store_true", help="names of the rows")
    return parser.parse_args(given)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        sys.exit(f"{error.title}: {error.message} {error.hint}")
