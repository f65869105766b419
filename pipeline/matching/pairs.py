"""Pair selection: which photographs are compared with which."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from pipeline.config import PairsConfig
from pipeline.config_base import StageConfig
from pipeline.events import Progress, Record, Report, Warned
from pipeline.geometry.arrays import Float32s, Int64s
from pipeline.matching.retrieval import (
    Vocabulary,
    most_similar,
    sample_descriptors,
    train_vocabulary,
    vlad,
)
from pipeline.products import FeatureSet, Pairs, PhotoIndex
from pipeline.stage import Control, Inputs, Products, run_items

Method = Literal["exhaustive", "sequential", "retrieval"]


class SelectPairs:
    """Pairs of photographs to compare: all, neighbours in a sequence, or those that look alike."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features")
    makes: ClassVar[tuple[str, ...]] = ("pairs",)
    Config: ClassVar[type[StageConfig]] = PairsConfig

    def run(
        self, inputs: Inputs, config: PairsConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Choose the pairs; deterministic for a seed."""
        control.poll()
        photos: PhotoIndex = inputs["photos"]
        features: FeatureSet = inputs["features"]
        names = [photo.name for photo in photos.photos]
        method = chosen_method(config, len(names))
        order = natural_order(names)
        if method == "exhaustive":
            indices = exhaustive_pairs(len(names))
        elif method == "sequential":
            indices = sequential_pairs(order, config.overlap)
            if config.loop_closure and len(names) > config.overlap + 1:
                vectors = yield from _vlad_vectors(features, config, control)
                loops = loop_pairs(vectors, order, config.overlap, config.neighbours)
                indices = unique_pairs(np.concatenate([indices, loops]))
        else:
            vectors = yield from _vlad_vectors(features, config, control)
            indices = retrieval_pairs(vectors, config.neighbours)
        yield from _words(method, indices, names, features)
        return {"pairs": Pairs(indices, method)}


def chosen_method(config: PairsConfig, images: int) -> Method:
    """The method that `auto` means for this number of photographs, else the one that is set."""
    if config.method != "auto":
        return config.method
    return "exhaustive" if images <= config.exhaustive_limit else "retrieval"


def natural_order(names: Sequence[str]) -> Int64s:
    """Image indices in the order a person would give the names: numbers count as numbers."""

    def key(i: int) -> tuple[list[tuple[int, int, str]], str]:
        parts = [part for part in re.split(r"([0-9]+)", names[i]) if part]
        return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts], names[i]

    return np.array(sorted(range(len(names)), key=key), np.int64)


def exhaustive_pairs(images: int) -> Int64s:
    """All pairs, (P, 2)."""
    return np.stack(np.triu_indices(images, k=1), axis=1).astype(np.int64)


def sequential_pairs(order: Int64s, overlap: int) -> Int64s:
    """Pairs (P, 2) of each photograph with the next `overlap` in the order, and with those 2, 4,
    8, ... 2^(overlap - 1) places on (as COLMAP's quadratic overlap)."""
    images = len(order)
    powers = {1 << k for k in range(min(overlap, max(images, 1).bit_length()))}
    distances = sorted({d for d in {*range(1, overlap + 1), *powers} if d < images})
    parts = [np.stack([order[:-d], order[d:]], axis=1) for d in distances]
    return unique_pairs(np.concatenate([*parts, np.zeros((0, 2), np.int64)]))


def retrieval_pairs(vectors: Float32s, neighbours: int) -> Int64s:
    """Pairs (P, 2) of each photograph with the most similar ones; vectors: (I, D) VLAD vectors."""
    return _pairs_of(most_similar(vectors, neighbours))


def loop_pairs(vectors: Float32s, order: Int64s, overlap: int, neighbours: int) -> Int64s:
    """Pairs (P, 2) that close loops of a sequence: every `overlap`-th photograph with the most
    similar ones that are more than `overlap` places away; vectors by image index."""
    askers = np.arange(0, len(order), overlap, dtype=np.int64)
    places = _pairs_of(most_similar(vectors[order], neighbours, askers, overlap))
    return unique_pairs(order[places])


def unique_pairs(pairs: Int64s) -> Int64s:
    """Pairs (P, 2) with the smaller index first, each once, sorted."""
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _pairs_of(answers: Iterable[tuple[int, Int64s]]) -> Int64s:
    parts = [np.stack([np.full_like(found, query), found], axis=1) for query, found in answers]
    return unique_pairs(np.concatenate([*parts, np.zeros((0, 2), np.int64)]))


def _vlad_vectors(
    features: FeatureSet, config: PairsConfig, control: Control
) -> Generator[Record, None, Float32s]:
    """VLAD vectors (I, D) of all photographs; (I, 1) zeros if none has features."""
    images = len(features)
    yield Progress(0, images, "photographs", "learning visual words")
    sample = sample_descriptors(features, config.seed)
    if not len(sample):
        return np.zeros((images, 1), np.float32)
    control.poll()
    vocabulary = train_vocabulary(sample, config.words, config.seed)
    vectors = np.zeros((images, vocabulary.vector_length), np.float32)
    describe = partial(describe_image, features, vocabulary)
    for count, done in enumerate(run_items(describe, range(images), control), start=1):
        vectors[done.index] = done.result
        if control.due() or count == images:
            yield Progress(count, images, "photographs", "describing photographs by visual words")
    return vectors


def describe_image(features: FeatureSet, vocabulary: Vocabulary, i: int) -> Float32s:
    """The VLAD vector (D,) of one photograph of the set."""
    return vlad(features[i].descriptors, vocabulary)


def _words(
    method: Method, indices: Int64s, names: Sequence[str], features: FeatureSet
) -> Generator[Record, None, None]:
    images = len(names)
    without = [name for name, n in zip(names, features.counts, strict=True) if n == 0]
    alone = sorted({names[i] for i in set(range(images)) - set(indices.ravel().tolist())})
    for name in without:
        yield Warned("has no features and cannot be matched", name)
    yield Report(
        {
            "method": method,
            "pairs": len(indices),
            "of": images * (images - 1) // 2,
            "pairs_per_photograph": 2 * len(indices) / images if images else 0.0,
            "without_features": list(without),
            "without_pairs": list(alone),
        }
    )
