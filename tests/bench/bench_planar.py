"""Planar alignment of one image at the published noise: the method, plain BARF, and the controls.

``python -m tests.bench.bench_planar`` aligns five patches of cat.jpg in the folder that
BARFIELD_SCENES names (or of ``--image``): smooth-grid and barf with every seed, full and none with
the first. A network gets the steps that fit into ``--minutes``, or ``--steps``. The warp error is
the mean of |dh| in sl(3) over all patches, the fixed first one included, as published.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.machine import usable_cores
from pipeline.planar_config import PLANAR_METHODS, PlanarConfig, PlanarMethod
from pipeline.radiance.planar.alignment import Figures, judge, make_alignment
from pipeline.radiance.planar.image_file import read_image
from pipeline.radiance.planar.patches import cut_patches
from pipeline.radiance.planar.race import fitting_steps
from pipeline.radiance.planar.stage import ALIGNED
from pipeline.torch_devices import choose_device

LEAST_PSNR = 30.0
PUBLISHED = {"smooth-grid": (0.0023, 40.70), "barf": (0.0096, 35.30), "full": (0.2949, 23.41),
             "none": (0.0641, 24.72)}  # fmt: skip
# Of smooth-grid: Joint-TensoRF's grid with a Gaussian filter, the nearest that is published.


@dataclass(frozen=True)
class Row:
    """One method on one seed; seconds of all processors, and of the clock."""

    method: PlanarMethod
    seed: int
    figures: Figures
    steps: int
    cpu_s: float
    wall_s: float

    @property
    def converged(self) -> bool:
        """Whether it reaches both bars."""
        return self.figures.warp_error <= ALIGNED and self.figures.psnr >= LEAST_PSNR

    def __str__(self) -> str:
        figures, word = self.figures, "converged" if self.converged else "not converged"
        return (
            f"{self.method:<12} seed {self.seed}  warp error {figures.warp_error:.4f}  "
            f"PSNR {figures.psnr:5.2f} dB  {self.steps:>6} steps  {self.cpu_s:6.1f} cpu s  "
            f"{self.wall_s:6.1f} s  {word}"
        )


def align(image: Path, method: PlanarMethod, config: PlanarConfig) -> Row:
    """Align the patches of an image by one method."""
    patches = cut_patches(read_image(image, config.size_px), config, choose_device(config.device))
    steps = config.steps
    if config.minutes is not None:
        *_, found = fitting_steps(patches, config, config.minutes)
        steps = found or steps
    alignment = make_alignment(method, patches, config, steps)
    cpu, wall = time.process_time(), time.perf_counter()
    while alignment.done < alignment.steps:
        alignment.step()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Row(method, config.seed, judge(alignment, patches), alignment.done, cpu, wall)


def summary(method: PlanarMethod, rows: Sequence[Row]) -> str:
    """What came of a method, beside what is published."""
    errors = [row.figures.warp_error for row in rows]
    decibels = [row.figures.psnr for row in rows]
    error, decibel = PUBLISHED[method]
    return (
        f"{method:<12} {sum(row.converged for row in rows)} of {len(rows)} converged, median "
        f"{statistics.median(errors):.4f} / {statistics.median(decibels):.2f} dB; published "
        f"{error:.4f} / {decibel:.2f} dB"
    )


def main() -> None:
    """Print a row for every method and seed, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=3.0, help="for a network, by the clock")
    parser.add_argument("--steps", type=int, help="of a network, in place of --minutes")
    parser.add_argument("--methods", nargs="+", choices=PLANAR_METHODS, default=PLANAR_METHODS)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    image = given.image or Path(os.environ.get("BARFIELD_SCENES", "")) / "cat.jpg"
    if not image.is_file():
        sys.exit(f"{image} is not there: set BARFIELD_SCENES, or give --image.")
    torch.set_num_threads(given.threads)
    print(f"{image.name}, {given.threads} threads, torch {torch.__version__}", flush=True)
    rows: dict[PlanarMethod, list[Row]] = {}
    for method in given.methods:
        control = method in ("full", "none")
        for seed in given.seeds[:1] if control else given.seeds:
            length = {"steps": given.steps} if given.steps else {"minutes": given.minutes}
            config = PlanarConfig.model_validate({"methods": [method], "seed": seed, **length})
            row = align(image, method, config)
            rows.setdefault(method, []).append(row)
            print(row, flush=True)
    for method, told in rows.items():
        print(summary(method, told))


if __name__ == "__main__":
    main()
