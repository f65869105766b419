"""Synthetic descriptor sets: a circular walk past world points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.geometry.arrays import UInt8s
from pipeline.products import FeatureSet, MemoryStore


def make_walk(images: int, features: int, step: int, noise: float, seed: int) -> list[UInt8s]:
    """Descriptors (features, 128) of each photograph on the walk.

    Photograph i sees the world points from i step on, each as a copy of its own descriptor with
    Gaussian noise (grey levels), so photographs d apart share features - d step points.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.gamma(0.6, 40.0, (60, 128))
    points = patterns[rng.integers(0, 60, images * step)]
    points = points + 25.0 * rng.standard_normal(points.shape)
    walk = []
    for i in range(images):
        seen = np.arange(i * step, i * step + features) % len(points)
        copies = points[seen] + noise * rng.standard_normal((features, 128))
        walk.append(np.clip(copies, 0, 255).astype(np.uint8))
    return walk


def feature_set(descriptors: Sequence[UInt8s]) -> FeatureSet:
    """The feature set of photographs with these descriptors, each (N, 128)."""
    store = MemoryStore()
    for i, values in enumerate(descriptors):
        keypoints = np.zeros((len(values), 4), np.float32)
        store.put("features", str(i), {"keypoints": keypoints, "descriptors": values})
    counts = np.array([len(values) for values in descriptors], np.int64)
    return FeatureSet(tuple(str(i) for i in range(len(descriptors))), counts, store)
