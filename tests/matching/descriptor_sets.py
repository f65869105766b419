"""Descriptors like RootSIFT's, and photographs that share some of them."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import UInt8s


def random_descriptors(n: int, rng: np.random.Generator) -> UInt8s:
    """Descriptors (n, 128) uint8 of length about 512, as sparse as real ones."""
    values = rng.gamma(0.5, size=(n, 128))
    values *= 512 / np.linalg.norm(values, axis=1, keepdims=True).clip(1e-9)
    return np.asarray(np.minimum(np.rint(values), 255), np.uint8)


def noisy(descriptors: UInt8s, spread: int, rng: np.random.Generator) -> UInt8s:
    """The same descriptors with every value off by at most `spread`."""
    noise = rng.integers(-spread, spread + 1, descriptors.shape)
    return np.asarray(np.clip(descriptors.astype(np.int64) + noise, 0, 255), np.uint8)


def overlapping_sets(
    n1: int, n2: int, shared: int, rng: np.random.Generator
) -> tuple[UInt8s, UInt8s]:
    """Two sets whose first `shared` descriptors are the same but for noise; some rows repeat."""
    first, second = random_descriptors(n1, rng), random_descriptors(n2, rng)
    second[:shared] = noisy(first[:shared], 12, rng)
    if n1 > 4 and n2 > 4:
        first[-1], second[-1], second[-2] = first[0], second[0], 0
    return first, second
