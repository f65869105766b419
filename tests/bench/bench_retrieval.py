"""How pair selection by retrieval grows with the number of photographs.

``python -m tests.bench.bench_retrieval`` prints, for 250, 500 and 1000 synthetic descriptor sets,
seconds, peak memory and the recall of true neighbours, and the exponent of the time's growth (1 is
linear). The descriptor sets are made when they are asked for; the time this takes is not counted.
"""

from __future__ import annotations

import argparse
import threading
import time
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config import PairsConfig
from pipeline.geometry.cameras import Camera
from pipeline.matching.pairs import SelectPairs
from pipeline.products import FeatureSet, ItemStore, Pairs, Photo, PhotoIndex
from pipeline.runner import ForegroundControl

FEATURES = 2000
STEP = 200  # world points between neighbours: photographs d apart share 1 - d / 10 of theirs
TRUE_WITHIN = 5  # neighbours that share at least half
NEIGHBOURS = 20
KINDS = 400
POINT_SPREAD = 25.0
NOISE = 6.0


class WorldStore:
    """Descriptor sets of a circular walk past world points, made on demand from a seed.

    Photograph i sees the FEATURES world points that begin at point i STEP, each as a noisy copy of
    the point's own descriptor; points resemble one of KINDS patterns, as corners and edges do.
    `seconds` is the time spent making them.
    """

    def __init__(self, images: int) -> None:
        rng = np.random.default_rng(7)
        patterns = rng.gamma(0.6, 40.0, (KINDS, 128)).astype(np.float32)
        points = patterns[rng.integers(0, KINDS, images * STEP)]
        points += POINT_SPREAD * rng.standard_normal(points.shape, np.float32)
        self._points = np.clip(points, 0, 255).astype(np.uint8)
        self._images = images
        self.seconds = 0.0

    def has(self, kind: str, key: str) -> bool:
        return kind == "features" and 0 <= int(key) < self._images

    def get(self, kind: str, key: str) -> dict[str, np.ndarray]:
        started = time.perf_counter()
        seen = np.arange(int(key) * STEP, int(key) * STEP + FEATURES) % len(self._points)
        noise = np.random.default_rng((11, int(key))).standard_normal((FEATURES, 128), np.float32)
        descriptors = np.clip(self._points[seen] + NOISE * noise, 0, 255).astype(np.uint8)
        self.seconds += time.perf_counter() - started
        return {"keypoints": np.zeros((FEATURES, 4), np.float32), "descriptors": descriptors}

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        raise NotImplementedError("the world is read only")


class BenchControl(ForegroundControl):
    """A control that nobody stops and nobody watches."""

    def __init__(self, store: ItemStore, executor: Executor) -> None:
        super().__init__(store, executor, 1, threading.Event())

    def due(self) -> bool:
        return False


@dataclass(frozen=True)
class Outcome:
    """One size of the benchmark: seconds without making the world, peak MB while selecting, share
    of the true neighbours that are among the pairs, and the number of pairs."""

    images: int
    seconds: float
    peak_mb: float
    recall: float
    pairs: int


def run_once(images: int) -> Outcome:
    """Select the pairs of one synthetic world by retrieval."""
    store = WorldStore(images)
    names = tuple(str(i) for i in range(images))
    features = FeatureSet(names, np.full(images, FEATURES, np.int64), store)
    camera = Camera("SIMPLE_PINHOLE", 64, 64, np.array([64.0, 32.0, 32.0]))
    photos = PhotoIndex(tuple(Photo(n, Path(n), 0, 64, 64, n) for n in names), (camera,))
    config = PairsConfig(method="retrieval", neighbours=NEIGHBOURS)
    tracemalloc.start()
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as executor:
        work = SelectPairs().run(
            {"photos": photos, "features": features}, config, BenchControl(store, executor)
        )
        while True:
            try:
                next(work)
            except StopIteration as finished:
                pairs: Pairs = finished.value["pairs"]
                break
    seconds = time.perf_counter() - started - store.seconds
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return Outcome(images, seconds, peak_mb, neighbour_recall(pairs, images), len(pairs.indices))


def neighbour_recall(pairs: Pairs, images: int) -> float:
    """Share of the pairs at most TRUE_WITHIN steps apart on the circle that were selected."""
    apart = (pairs.indices[:, 1] - pairs.indices[:, 0]) % images
    apart = np.minimum(apart, images - apart)
    return float(np.count_nonzero(apart <= TRUE_WITHIN)) / (images * TRUE_WITHIN)


def main() -> None:
    """Run the sizes asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[250, 500, 1000])
    sizes: list[int] = parser.parse_args().sizes
    print(f"{'photographs':>11} {'seconds':>8} {'peak MB':>8} {'recall':>7} {'pairs':>7}")
    outcomes = []
    for images in sizes:
        outcome = run_once(images)
        outcomes.append(outcome)
        print(
            f"{outcome.images:11d} {outcome.seconds:8.2f} {outcome.peak_mb:8.1f} "
            f"{outcome.recall:7.3f} {outcome.pairs:7d}",
            flush=True,
        )
    if len(outcomes) > 1:
        logs = np.log([[o.images, o.seconds, o.peak_mb] for o in outcomes])
        time_slope = np.polyfit(logs[:, 0], logs[:, 1], 1)[0]
        memory_slope = np.polyfit(logs[:, 0], logs[:, 2], 1)[0]
        print(f"time grows as photographs^{time_slope:.2f}, memory as ^{memory_slope:.2f}")


if __name__ == "__main__":
    main()
