"""Exact matching beside the kd-tree and beside the preview, on photographs with known poses.

``make bench-matching`` limits the threads of the libraries and calls
``python -m tests.bench.bench_matching [SCENE ...]``. It reads the scenes from the folder named in
BARFIELD_SCENES (default scene: fountain-P11). Every method compares all pairs on one thread; a
match counts as an inlier within 4 px of the true epipolar geometry.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from pipeline.config import FeaturesConfig, MatchingConfig
from pipeline.features.sift import extract_sift
from pipeline.formats.ground_truth import read_ground_truth
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.arrays import Float64s, UInt32s
from pipeline.geometry.epipolar import (
    essential_from_pose,
    fundamental_from_essential,
    sampson_errors,
)
from pipeline.matching.exact import MatchRules, match_exact
from pipeline.matching.kdtree import build_kdtree, match_kdtree
from pipeline.products import Features
from pipeline.thread_limits import thread_limits

MAX_ERROR_PX = 4.0
Compare = Callable[[int, int], UInt32s]


@dataclass(frozen=True)
class Outcome:
    """One method on one scene. times_s: processor time of each pair. inliers: of all pairs."""

    method: str
    times_s: list[float]
    matches: int
    inliers: int

    def line(self, reference: Outcome) -> str:
        """A row of the table."""
        share = self.inliers / reference.inliers
        return (
            f"{self.method:<16}{np.median(self.times_s) * 1e3:>10.1f}{sum(self.times_s):>9.2f}"
            f"{self.matches:>10}{self.inliers:>10}{share:>10.1%}"
        )


def main() -> int:
    """Print one table per scene; exit code 2 without scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenes", nargs="*", default=["fountain-P11"])
    parser.add_argument("--max-keypoints", type=int, default=FeaturesConfig().max_keypoints)
    arguments = parser.parse_args()
    root = os.environ.get("BARFIELD_SCENES")
    if not root:
        print("BARFIELD_SCENES is not set: it names the folder of the scenes", file=sys.stderr)
        return 2
    if any(os.environ.get(name) != value for name, value in thread_limits(1).items()):
        words = " ".join(f"{name}={value}" for name, value in thread_limits(1).items())
        print(f"set {words}: all is timed on one thread", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    for scene in arguments.scenes:
        bench_scene(Path(root) / scene, FeaturesConfig(max_keypoints=arguments.max_keypoints))
    return 0


def bench_scene(folder: Path, config: FeaturesConfig) -> None:
    """Extract features and run every method on all pairs of a scene."""
    truth = read_ground_truth(folder / "ground_truth.json")
    names = sorted(truth.cam_from_world)
    features, seconds = [], []
    for name in names:
        grey = np.asarray(cv2.imread(str(folder / "images" / name), cv2.IMREAD_GRAYSCALE), np.uint8)
        begin = time.thread_time()
        features.append(extract_sift(grey, config)[0])
        seconds.append(time.thread_time() - begin)
    counts = [len(each.keypoints) for each in features]
    print(
        f"{folder.name}: {len(names)} photographs, {np.mean(counts):.0f} keypoints each, "
        f"SIFT {np.median(seconds):.2f} s a photograph on one thread"
    )
    print(f"{'method':<16}{'ms a pair':>10}{'sum s':>9}{'matches':>10}{'inliers':>10}{'share':>10}")
    outcomes = [
        measure(method, compare, features, names, truth)
        for method, compare in methods(features).items()
    ]
    for outcome in outcomes:
        print(outcome.line(outcomes[0]))


def methods(features: list[Features]) -> dict[str, Compare]:
    """What is measured, by name: exact first, since the others are compared with it."""
    config = MatchingConfig()
    rules = MatchRules(config.ratio, config.max_distance, config.mutual)
    descriptors = [each.descriptors for each in features]
    begin = time.thread_time()
    trees = [build_kdtree(each) for each in descriptors]
    each_ms = 1e3 * (time.thread_time() - begin) / len(trees)
    print(f"kd-trees: {each_ms:.0f} ms each, compilation or loading included")

    def largest(limit: int) -> Compare:
        return lambda i, j: match_exact(descriptors[i][:limit], descriptors[j][:limit], rules)

    def by_trees(i: int, j: int) -> UInt32s:
        both = trees[i], trees[j]
        return match_kdtree(descriptors[i], descriptors[j], both, rules, config.kdtree_buckets)

    return {
        "exact": largest(max(len(each) for each in descriptors)),
        f"kdtree {config.kdtree_buckets}": by_trees,
        "exact, 2048": largest(2048),
        "exact, 1024": largest(1024),
    }


def measure(
    method: str,
    compare: Compare,
    features: list[Features],
    names: list[str],
    truth: PosedPhotos,
) -> Outcome:
    """Run one method on all pairs."""
    compare(0, 1)  # compiles, or loads what was compiled
    times, matches, inliers = [], 0, 0
    for i, j in combinations(range(len(names)), 2):
        begin = time.thread_time()
        found = compare(i, j)
        times.append(time.thread_time() - begin)
        matches += len(found)
        points1, points2 = (
            features[image].keypoints[found[:, side], :2].astype(np.float64)
            for side, image in enumerate((i, j))
        )
        errors = sampson_errors(true_fundamental(truth, names[i], names[j]), points1, points2)
        inliers += int(np.count_nonzero(errors < MAX_ERROR_PX))
    return Outcome(method, times, matches, inliers)


def true_fundamental(truth: PosedPhotos, name1: str, name2: str) -> Float64s:
    """F (3, 3) of two photographs with known poses and intrinsics."""
    cam2_from_cam1 = truth.cam_from_world[name2].compose(truth.cam_from_world[name1].inverse())
    K1, K2 = (truth.intrinsics[name].calibration_matrix for name in (name1, name2))
    return fundamental_from_essential(essential_from_pose(cam2_from_cam1), K1, K2)


if __name__ == "__main__":
    sys.exit(main())
