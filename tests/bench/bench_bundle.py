"""Bundle adjustment beside Ceres (pycolmap), on a real and on a synthetic problem.

usage: python -m tests.bench.bench_bundle [--scene fox] [--images 500] [--points 200000]
The real problem is pycolmap's own reconstruction of $BARFIELD_SCENES/SCENE, kept in the temporary
folder, with seeded errors on poses, points and focal length. Every run is a process of its own, so
that its peak memory is its own; ours includes the whole call, Ceres' time is that of its solver.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.mapping.bundle import BundleOptions, BundleProblem, adjust_bundle
from tests.synthetic import WorldSpec, free_all, make_world, perturb

THREADS = 2
OPTIONS = BundleOptions(threads=THREADS, max_iterations=100)


def real_problem(scene: str) -> BundleProblem:
    """pycolmap's model of a scene, perturbed by 0.2 % of its size and the focal length by 1 %."""
    import numpy as np
    import pycolmap

    from tests.bench.bundle_peer import problem_of

    folder = Path(tempfile.gettempdir()) / f"barfield-bench-bundle-{scene}"
    if not (folder / "0").is_dir():
        images = Path(os.environ["BARFIELD_SCENES"]) / scene / "images"
        folder.mkdir(exist_ok=True)
        database = folder / "database.db"
        database.unlink(missing_ok=True)
        mode = pycolmap.CameraMode.SINGLE
        pycolmap.extract_features(database, images, camera_mode=mode)
        pycolmap.match_exhaustive(database)
        pycolmap.incremental_mapping(database, images, folder)
    problem = problem_of(pycolmap.Reconstruction(folder / "0"))
    centers = -np.einsum("iba,ib->ia", problem.rotations, problem.translations)
    size = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    # `perturb` takes lengths and angles alike: a scene of size 1 makes them comparable.
    unit = replace(
        problem, translations=problem.translations / size, points_world=problem.points_world / size
    )
    return _before_cameras(perturb(unit, 0.002, seed=1, params=0.01))


def synthetic_problem(images: int, points: int) -> BundleProblem:
    """An arc of images in which neighbours see the same points, five observations of each."""
    truth = make_world(WorldSpec(images, points, views=5, noise_px=0.5, arc=3.0)).truth
    return perturb(replace(truth, free_intrinsics=free_all(truth, "focal", "distortion")), 0.01)


def _before_cameras(problem: BundleProblem) -> BundleProblem:
    """Without the observations that the perturbation put behind their camera."""
    import numpy as np

    z = np.einsum(
        "na,na->n",
        problem.rotations[problem.obs_images, 2],
        problem.points_world[problem.obs_points],
    )
    keep = z + problem.translations[problem.obs_images, 2] > 1e-3
    return replace(
        problem,
        obs_images=problem.obs_images[keep],
        obs_points=problem.obs_points[keep],
        obs_px=problem.obs_px[keep],
    )


def measure(who: str, problem: BundleProblem) -> dict[str, Any]:
    """One adjustment, by `ours` or by `ceres`."""
    if who == "ours":
        # Compiled kernels come from the cache; loading them is start-up, not adjustment.
        small = make_world(WorldSpec(images=3, points=10)).truth
        small = perturb(replace(small, free_intrinsics=free_all(small, "focal")), 0.01)
        adjust_bundle(small, OPTIONS)
        start = time.perf_counter()
        ours = adjust_bundle(problem, OPTIONS)
        seconds, solver = time.perf_counter() - start, "dense Schur"
        costs = (ours.initial_cost, ours.final_cost, ours.iterations)
    else:
        from tests.bench.bundle_peer import adjust_with_ceres

        peer = adjust_with_ceres(problem, OPTIONS, THREADS)
        seconds, solver = peer.seconds, peer.solver
        costs = (peer.initial_cost, peer.final_cost, peer.iterations)
    return {
        "initial_cost": costs[0],
        "final_cost": costs[1],
        "iterations": costs[2],
        "seconds": seconds,
        "solver": solver,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run both problems with both adjusters and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", default="fox")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--only", choices=("real", "synthetic"))
    parser.add_argument("--child", nargs=2, metavar=("PROBLEM", "WHO"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, who = arguments.child
        problem = (
            real_problem(arguments.scene)
            if kind == "real"
            else synthetic_problem(arguments.images, arguments.points)
        )
        print(json.dumps(measure(who, problem) | {"observations": len(problem.obs_px)}))
        return
    kinds = [arguments.only] if arguments.only else ["real", "synthetic"]
    if "real" in kinds:
        if "BARFIELD_SCENES" not in os.environ:
            print("BARFIELD_SCENES is not set: no real problem")
            kinds.remove("real")
        else:
            real_problem(arguments.scene)
    row = "{:<12}{:<7}{:>9}{:>16}{:>16}{:>6}{:>9}{:>9}  {}"
    print(
        row.format("problem", "who", "obs", "first cost", "last cost", "its", "s", "MB", "solver")
    )
    for kind in kinds:
        found = {}
        for who in ("ours", "ceres"):
            command = [sys.executable, "-m", "tests.bench.bench_bundle", *sys.argv[1:]]
            output = subprocess.run(
                [*command, "--child", kind, who], check=True, capture_output=True, text=True
            ).stdout
            r = found[who] = json.loads(output.splitlines()[-1])
            name = arguments.scene if kind == "real" else kind
            costs = f"{r['initial_cost']:.1f}", f"{r['final_cost']:.1f}"
            numbers = f"{r['seconds']:.2f}", f"{r['peak_mb']:.0f}", r["solver"]
            print(
                row.format(name, who, r["observations"], *costs, r["iterations"], *numbers),
                flush=True,
            )
        ours, ceres = found["ours"], found["ceres"]
        print(
            f"    final cost ours / Ceres {ours['final_cost'] / ceres['final_cost']:.6f}, "
            f"seconds ours / Ceres {ours['seconds'] / ceres['seconds']:.3f}"
        )


if __name__ == "__main__":
    main()
