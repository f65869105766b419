"""Visual words and VLAD on a synthetic walk whose neighbours are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import Float32s, UInt8s
from pipeline.matching.retrieval import (
    BLOCK_ROWS,
    COMPONENTS,
    TRAINING_DESCRIPTORS,
    TRAINING_IMAGES,
    Vocabulary,
    cluster_centres,
    most_similar,
    nearest_centre,
    sample_descriptors,
    train_vocabulary,
    vlad,
)
from pipeline.products import FeatureSet, MemoryStore
from tests.matching.walks import feature_set, make_walk

PROPERTIES = settings(derandomize=True, deadline=None, max_examples=25)


def vectors_of(walk: list[UInt8s], seed: int = 0) -> Float32s:
    vocabulary = train_vocabulary(sample_descriptors(feature_set(walk), seed), 16, seed)
    return np.stack([vlad(descriptors, vocabulary) for descriptors in walk])


def answers(vectors: Float32s, neighbours: int, skip_within: int = 0) -> dict[int, list[int]]:
    found = most_similar(vectors, neighbours, skip_within=skip_within)
    return {query: row.tolist() for query, row in found}


def recall(walk: list[UInt8s], within: int, neighbours: int) -> float:
    """Share of the true neighbours (at most `within` steps apart) among the most similar."""
    found = answers(vectors_of(walk), neighbours)
    images = len(walk)
    hits = [
        (i + d) % images in found[i] for i in range(images) for d in range(-within, within + 1) if d
    ]
    return float(np.mean(hits))


def test_neighbours_on_the_walk_are_found_and_strangers_are_not() -> None:
    walk = make_walk(images=40, features=240, step=40, noise=8.0, seed=1)
    assert 0.97 <= recall(walk, within=3, neighbours=10) <= 1.0
    # Six steps apart nothing is shared: what is listed there is chance, 10 of 39 at most.
    strangers = make_walk(images=40, features=240, step=240, noise=8.0, seed=1)
    assert recall(strangers, within=3, neighbours=10) < 0.45


def test_noise_costs_recall() -> None:
    """The bound has a lower side: with noise above the signal the walk is hardly recognised."""
    noisy = make_walk(images=40, features=240, step=40, noise=150.0, seed=1)
    assert recall(noisy, within=3, neighbours=10) < 0.9


def test_the_most_similar_come_first() -> None:
    found = answers(vectors_of(make_walk(images=40, features=240, step=40, noise=8.0, seed=1)), 6)
    near = [abs((row[0] - q + 20) % 40 - 20) for q, row in found.items()]
    assert np.mean(near) < 1.2
    assert all(q not in row and len(set(row)) == len(row) == 6 for q, row in found.items())


def test_the_sample_is_bounded_seeded_and_evenly_shared() -> None:
    rng = np.random.default_rng(0)
    walk = [rng.integers(0, 255, (n, 128), dtype=np.uint8) for n in [600] * 6 + [0, 5]]
    features = feature_set(walk)
    sample = sample_descriptors(features, 3)
    assert len(sample) == 3605  # few photographs: all there is
    assert np.array_equal(sample, sample_descriptors(features, 3))
    assert sample_descriptors(feature_set([np.zeros((0, 128), np.uint8)]), 0).shape == (0, 128)


def test_the_sample_does_not_grow_with_the_photographs() -> None:
    store = CountingStore()
    images = 4 * TRAINING_IMAGES
    features = FeatureSet(("x",) * images, np.full(images, 300), store)
    assert len(sample_descriptors(features, 0)) == TRAINING_DESCRIPTORS
    assert store.reads == TRAINING_IMAGES


class CountingStore(MemoryStore):
    """One set of descriptors for every key; counts how often it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        rng = np.random.default_rng(0)
        self._descriptors = rng.integers(0, 255, (300, 128), dtype=np.uint8)

    def get(self, kind: str, key: str) -> dict[str, np.ndarray]:
        self.reads += 1
        return {"keypoints": np.zeros((300, 4), np.float32), "descriptors": self._descriptors}


def test_clusters_are_found_where_they_are() -> None:
    rng = np.random.default_rng(2)
    truth = 100.0 * rng.standard_normal((5, 8))
    points = (truth[rng.integers(0, 5, 2000)] + rng.standard_normal((2000, 8))).astype(np.float32)
    centres = cluster_centres(points, 25, seed=0)
    assert centres.shape == (25, 8)
    to_truth = np.linalg.norm(centres[:, None] - truth[None], axis=2)
    assert np.all(to_truth.min(axis=0) < 3.0)


def test_fewer_points_than_clusters_and_equal_points_are_no_trouble() -> None:
    points = np.eye(3, 4, dtype=np.float32)
    assert sorted(map(tuple, cluster_centres(points, 8, 0))) == sorted(map(tuple, points))
    same = cluster_centres(np.ones((50, 4), np.float32), 8, 0)
    assert same.shape == (8, 4) and np.all(same == 1.0)
    with pytest.raises(ValueError, match="descriptors"):
        train_vocabulary(np.zeros((0, 128), np.uint8), 8, 0)


@PROPERTIES
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31))
def test_nearest_centre_agrees_with_the_distances(points: int, centres: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((points, 6)).astype(np.float32)
    c = rng.standard_normal((centres, 6)).astype(np.float32)
    distances = np.linalg.norm(x[:, None] - c[None], axis=2)
    chosen = distances[np.arange(points), nearest_centre(x, c)]
    assert np.all(chosen <= distances.min(axis=1) + 1e-4)


@PROPERTIES
@given(st.integers(0, 40), st.integers(0, 2**31))
def test_vectors_have_unit_length_and_ignore_the_order(features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vocabulary = train_vocabulary(rng.integers(0, 255, (300, 128), dtype=np.uint8), 8, 0)
    descriptors = rng.integers(0, 255, (features, 128), dtype=np.uint8)
    vector = vlad(descriptors, vocabulary)
    assert vector.shape == (8 * COMPONENTS,) and vector.dtype == np.float32
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1.0, abs=1e-5) if features else length == 0.0
    shuffled = vlad(descriptors[rng.permutation(features)], vocabulary)
    assert float(vector @ shuffled) == pytest.approx(length**2, abs=1e-4)


def test_the_vector_agrees_with_its_slow_twin() -> None:
    rng = np.random.default_rng(4)
    descriptors = rng.integers(0, 255, (200, 128), dtype=np.uint8)
    vocabulary = train_vocabulary(rng.integers(0, 255, (500, 128), dtype=np.uint8), 8, 0)
    assert np.abs(vlad(descriptors, vocabulary) - slow_vlad(descriptors, vocabulary)).max() < 1e-3


def slow_vlad(descriptors: UInt8s, vocabulary: Vocabulary) -> np.ndarray:
    sums = np.zeros(vocabulary.centres.shape)
    for descriptor in descriptors.astype(float):
        reduced = (descriptor - vocabulary.mean) @ vocabulary.components
        word = int(np.argmin(np.linalg.norm(vocabulary.centres - reduced, axis=1)))
        sums[word] += reduced - vocabulary.centres[word]
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    vector = (np.sign(sums) * np.sqrt(np.abs(sums))).ravel()
    return np.asarray(vector / np.linalg.norm(vector))


@PROPERTIES
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 6), st.integers(0, 2**31))
def test_most_similar_agrees_with_the_whole_matrix(
    images: int, neighbours: int, skip: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((images, 5)).astype(np.float32)
    vectors[rng.random(images) < 0.2] = 0.0
    found = answers(vectors, neighbours, skip_within=skip)
    alive = np.flatnonzero(vectors.any(axis=1))
    assert sorted(found) == alive.tolist()
    for query, row in found.items():
        others = [int(i) for i in alive if abs(i - query) > skip]
        best = sorted(others, key=lambda i: -float(vectors[query] @ vectors[i]))[:neighbours]
        assert row == best


def test_blocks_join_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2 * BLOCK_ROWS + 3, 8)).astype(np.float32)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    found = answers(vectors, 1)
    assert [found[i][0] for i in range(len(vectors))] == similarity.argmax(axis=1).tolist()
