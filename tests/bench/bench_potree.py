"""Speed and memory of the octree writer: `python -m tests.bench.bench_potree [MILLIONS]`.

A wavy terrain with random points, as in the measurements that the bars come from. The writer runs
in a process of its own, so that its peak memory is not that of what made the cloud.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.formats.potree import NODE, write_potree

LEAST_POINTS_PER_S = 0.7e6
GOAL_POINTS_PER_S = 1.5e6
_BLOCK = 1_000_000


def write_terrain(folder: Path, points: int) -> None:
    """A terrain as two arrays in files."""
    xyz = np.lib.format.open_memmap(folder / "xyz.npy", "w+", np.float64, (points, 3))
    rgb = np.lib.format.open_memmap(folder / "rgb.npy", "w+", np.uint8, (points, 3))
    rng = np.random.default_rng(1)
    for start in range(0, points, _BLOCK):
        block = slice(start, min(points, start + _BLOCK))
        plan = rng.uniform(-10.0, 10.0, (block.stop - start, 2))
        height = np.sin(plan[:, 0]) * np.cos(0.7 * plan[:, 1])
        height += rng.normal(0.0, 0.01, len(height))
        xyz[block] = np.column_stack([plan, height])
        rgb[block] = (127.0 * (1.0 + np.column_stack([height, plan / 10.0]) / 1.2)).astype(np.uint8)


def measure(folder: Path) -> None:
    """Write the octree of the terrain, and print how that went."""
    xyz = np.load(folder / "xyz.npy")
    rgb = np.load(folder / "rgb.npy")
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out = folder / "octree"
    out.mkdir()
    began, cpu = time.perf_counter(), time.process_time()
    write_potree(out, xyz, rgb)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    nodes = (out / "hierarchy.bin").stat().st_size // NODE.itemsize
    pace = len(xyz) / seconds
    print(
        f"{len(xyz) / 1e6:.1f} M points, {nodes} nodes: {seconds:.1f} s, {cpu:.1f} s of processor"
    )
    print(
        f"{pace / 1e6:.2f} M points/s (bar {LEAST_POINTS_PER_S / 1e6}, {GOAL_POINTS_PER_S / 1e6})"
    )
    print(f"peak {peak_mb:.0f} MB, of which the cloud {before_mb:.0f} MB")


def main(arguments: list[str]) -> None:
    """Measure with so many million points, or ten."""
    if arguments[:1] == ["--measure"]:
        measure(Path(arguments[1]))
        return
    points = int(1e6 * float(arguments[0] if arguments else 10))
    with tempfile.TemporaryDirectory() as name:
        write_terrain(Path(name), points)
        command = [sys.executable, "-m", "tests.bench.bench_potree", "--measure", name]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
