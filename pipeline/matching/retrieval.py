"""Finding the photographs that look alike, in time and memory linear in their number.

Every photograph becomes one vector of fixed length: its RootSIFT descriptors, reduced by principal
components, are assigned to visual words, and the residuals to each word's centre are summed (VLAD:
Jégou, Douze, Schmid, Pérez, CVPR 2010), normalised word by word (Arandjelović, Zisserman, "All
about VLAD", CVPR 2013), damped by a signed square root and scaled to unit length. The dot product
of two such vectors is the similarity of the photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.arrays import Float32s, Int64s, UInt8s
from pipeline.products import FeatureSet

TRAINING_DESCRIPTORS = 50_000
TRAINING_IMAGES = 500
COMPONENTS = 64
TRAINING_ROUNDS = 12
BLOCK_ROWS = 256
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Visual words. mean: (128,), components: (128, C): the principal components of the training
    descriptors. centres: (W, C) float32, the words in that space."""

    mean: Float32s
    components: Float32s
    centres: Float32s

    @property
    def vector_length(self) -> int:
        """Length of the VLAD vectors."""
        return self.centres.size

    def reduce(self, descriptors: UInt8s) -> Float32s:
        """Descriptors (N, 128) uint8 in the space of the words, (N, C) float32."""
        return np.asarray((descriptors.astype(np.float32) - self.mean) @ self.components)


def sample_descriptors(features: FeatureSet, seed: int) -> UInt8s:
    """A bounded sample for training, (N, 128) uint8, N <= TRAINING_DESCRIPTORS.

    Taken in equal shares from at most TRAINING_IMAGES photographs with features, evenly spaced;
    empty if no photograph has any.
    """
    rng = np.random.default_rng(seed)
    with_features = np.flatnonzero(features.counts > 0)
    if not len(with_features):
        return np.zeros((0, 128), np.uint8)
    chosen = with_features
    if len(chosen) > TRAINING_IMAGES:
        steps = np.linspace(0, len(with_features) - 1, TRAINING_IMAGES)
        chosen = with_features[np.rint(steps).astype(np.int64)]
    share = -(-TRAINING_DESCRIPTORS // len(chosen))
    parts = []
    for i in chosen:
        descriptors = features[int(i)].descriptors
        if len(descriptors) > share:
            descriptors = descriptors[rng.choice(len(descriptors), share, replace=False)]
        parts.append(descriptors)
    return np.concatenate(parts)[:TRAINING_DESCRIPTORS]


def train_vocabulary(sample: UInt8s, words: int, seed: int) -> Vocabulary:
    """Learn principal components and at most `words` visual words from descriptors (N, 128).

    Fewer words result where the sample is smaller. Raises ValueError for an empty sample.
    """
    if not len(sample):
        raise ValueError("visual words need descriptors to learn from")
    values = sample.astype(np.float32)
    mean = values.mean(axis=0)
    values -= mean
    covariance = values.T @ values
    components = np.linalg.eigh(covariance.astype(np.float64))[1][:, : -COMPONENTS - 1 : -1]
    components = np.ascontiguousarray(components, np.float32)
    return Vocabulary(mean, components, cluster_centres(values @ components, words, seed))


def cluster_centres(points: Float32s, clusters: int, seed: int) -> Float32s:
    """Centres (K, C) of a k-means clustering of points (N, C), K = min(clusters, N).

    Lloyd's rounds from a seeded sample of the points; a centre that loses all its points starts
    again at the point that is farthest from its own.
    """
    rng = np.random.default_rng(seed)
    centres = points[np.sort(rng.choice(len(points), min(clusters, len(points)), replace=False))]
    for _ in range(TRAINING_ROUNDS):
        labels = nearest_centre(points, centres)
        counts = np.bincount(labels, minlength=len(centres))
        sums = _sums_by_label(points, labels, len(centres))
        moved = np.asarray(sums / np.maximum(counts, 1)[:, None], np.float32)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            squared = np.square(points - centres[labels]).sum(axis=1)
            moved[empty] = points[np.argsort(-squared, kind="stable")[: len(empty)]]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest_centre(points: Float32s, centres: Float32s) -> Int64s:
    """Index (N,) of the centre (K, C) nearest to each point (N, C); the first of equal ones."""
    scores = points @ centres.T
    scores -= 0.5 * np.square(centres).sum(axis=1)
    return np.asarray(np.argmax(scores, axis=1), np.int64)


def vlad(descriptors: UInt8s, vocabulary: Vocabulary) -> Float32s:
    """The VLAD vector of one photograph, (W C,) float32 of unit length; zeros without descriptors.

    descriptors: (N, 128) uint8.
    """
    centres = vocabulary.centres
    if not len(descriptors):
        return np.zeros(vocabulary.vector_length, np.float32)
    reduced = vocabulary.reduce(descriptors)
    labels = nearest_centre(reduced, centres)
    counts = np.bincount(labels, minlength=len(centres)).astype(np.float32)
    residuals = _sums_by_label(reduced, labels, len(centres)) - counts[:, None] * centres
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), _TINY)
    vector = np.sign(residuals) * np.sqrt(np.abs(residuals))
    norm = float(np.linalg.norm(vector))
    return np.asarray(vector.ravel() / max(norm, _TINY), np.float32)


def most_similar(
    vectors: Float32s, neighbours: int, allowed: Int64s | None = None, skip_within: int = 0
) -> Iterator[tuple[int, Int64s]]:
    """For each query the rows of `vectors` (I, D) that are most similar to it, most similar first.

    neighbours: how many, fewer where there are not as many. allowed: rows that ask, default all.
    skip_within: rows at most this far from the query in the numbering are left out, 0 for only
    itself. Rows of zeros (photographs without features) neither ask nor answer. Rows ask in blocks,
    so that never more than (BLOCK_ROWS, I) similarities are held.
    """
    alive = np.flatnonzero(vectors.any(axis=1))
    answers = vectors[alive] if len(alive) < len(vectors) else vectors
    queries = alive if allowed is None else allowed[np.isin(allowed, alive)]
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS]
        similarity = vectors[block] @ answers.T
        similarity[np.abs(block[:, None] - alive[None, :]) <= skip_within] = -np.inf
        for query, row in zip(block, similarity, strict=True):
            k = min(neighbours, len(row))
            best = np.argpartition(-row, k - 1)[:k]
            best = best[np.argsort(-row[best], kind="stable")]
            yield int(query), alive[best[np.isfinite(row[best])]]


def _sums_by_label(points: Float32s, labels: Int64s, count: int) -> Float32s:
    """Sum of the points (N, C) of each label, (count, C)."""
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums = np.zeros((count, points.shape[1]), np.float32)
    sums[present] = np.add.reduceat(points[order], starts, axis=0)
    return sums
