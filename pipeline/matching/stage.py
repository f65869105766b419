"""The stage `matching`: putative matches of the chosen pairs, several pairs at a time."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import JsonValue

from pipeline.config import MatchingConfig
from pipeline.config_base import StageConfig
from pipeline.events import Progress, Record, Report
from pipeline.hashing import content_key
from pipeline.item_refs import ItemRef
from pipeline.matching.drawing import MatchCounts
from pipeline.matching.exact import MatchRules, match_exact
from pipeline.matching.kdtree import build_kdtree, match_kdtree
from pipeline.matching.preview import PreviewCounts, PreviewVerdict, pairs_worth_all
from pipeline.products import FeatureSet, MatchSet, Pairs, PhotoIndex
from pipeline.sketches import SketchBook
from pipeline.stage import Control, FanOut, Inputs, Products, run_items

ALL = 0


@dataclass(frozen=True, eq=False)
class PairTask:
    """Two photographs to compare, by their features; picklable.

    name: for people. limit: only so many of the largest keypoints of each, or ALL. buckets: leaves
    of a kd-tree that a query may visit; 0: exact.
    """

    name: str
    features1: ItemRef
    features2: ItemRef
    rules: MatchRules
    limit: int
    buckets: int


def match_pair(task: PairTask) -> dict[str, np.ndarray]:
    """The stored item of a pair: its matches (M, 2) uint32."""
    refs = (task.features1, task.features2)
    # `features` stores the keypoints by decreasing scale.
    one, two = (ref.arrays()["descriptors"][: task.limit or None] for ref in refs)
    if not task.buckets:
        return {"matches": match_exact(one, two, task.rules)}
    trees = build_kdtree(one), build_kdtree(two)  # 5 % of the time that the queries take
    return {"matches": match_kdtree(one, two, trees, task.rules, task.buckets)}


class MatchFeatures:
    """Compares the descriptors of every pair: the largest keypoints first, all in doubt."""

    name: ClassVar[str] = "matching"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "pairs")
    makes: ClassVar[tuple[str, ...]] = ("matches",)
    Config: ClassVar[type[StageConfig]] = MatchingConfig
    fan_out: ClassVar[FanOut] = "threads"
    compiles: ClassVar[bool] = True

    def run(
        self, inputs: Inputs, config: MatchingConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make `matches` of `pairs`; what the store has is kept.

        With `preview_keypoints` and the method exact, the pairs are first compared by their largest
        keypoints. A clearly overlapping pair keeps these matches, for verification finds the rest
        along the epipolar lines; one that clearly does not overlap is refused with a reason; of
        those in doubt, the best of each photograph are compared in full and the rest keep what
        they have.
        """
        photos: PhotoIndex = inputs["photos"]
        features: FeatureSet = inputs["features"]
        pairs: Pairs = inputs["pairs"]
        names = [photo.name for photo in photos.photos]
        comparison = _Comparison(features, pairs, names, config, control, self.version)
        limit = config.preview_keypoints if config.method == "exact" else ALL
        every_pair = range(len(pairs.indices))
        begin = time.perf_counter()
        yield from comparison.compare(every_pair, limit)
        previews = comparison.previews(limit)
        middle = time.perf_counter()
        in_full: list[int] = []
        if limit != ALL:
            in_full = np.flatnonzero(pairs_worth_all(pairs.indices, previews)).tolist()
            yield from comparison.compare(in_full, ALL)
        seconds = {"first_pass": middle - begin, "in_full": time.perf_counter() - middle}
        matches = comparison.match_set(limit, previews, set(in_full))
        yield Report(_report(matches, limit, previews, len(in_full), seconds))
        return {"matches": matches}


class _Comparison:
    """The pairs of one run of the stage: their items, and how many matches each of them has."""

    def __init__(
        self,
        features: FeatureSet,
        pairs: Pairs,
        names: Sequence[str],
        config: MatchingConfig,
        control: Control,
        version: int,
    ) -> None:
        self._features = features
        self._indices = pairs.indices
        self._names = names
        self._config = config
        self._control = control
        self._version = version
        self._rules = MatchRules(config.ratio, config.max_distance, config.mutual)
        self._counts: dict[tuple[int, int], int] = {}
        self._drawn = MatchCounts(len(names), pairs.indices)
        self._book = SketchBook(control)
        self._planned = 0

    def compare(self, chosen: Sequence[int], limit: int) -> Generator[Record, None, None]:
        """Compare the chosen pairs by their `limit` largest keypoints, or ALL."""
        store = self._control.store
        todo = []
        for p in chosen:
            self._control.poll()
            if store.has("matches", self._key(p, limit)):
                item = store.get("matches", self._key(p, limit))
                self._count(p, limit, len(item["matches"]))
            else:
                todo.append(p)
        self._planned += len(chosen)
        yield self._progress()
        for done in run_items(match_pair, self._tasks(todo, limit), self._control):
            p = todo[done.index]
            store.put("matches", self._key(p, limit), done.result)
            self._count(p, limit, len(done.result["matches"]))
            if self._control.due():
                yield self._progress(p, limit)
                yield from self._book.draw(len(self._counts), self._drawn.sketch)
        yield self._progress()
        yield from self._book.draw(len(self._counts), self._drawn.sketch, last=True)

    def _count(self, p: int, limit: int, matches: int) -> None:
        self._counts[p, limit] = matches
        self._drawn.count(p, matches)

    def previews(self, limit: int) -> list[PreviewCounts]:
        """What the comparison by the `limit` largest keypoints found, for every pair."""
        sizes = self._features.counts
        most = int(sizes.max(initial=0)) if limit == ALL else limit
        return [
            PreviewCounts(int(sizes[i1]), int(sizes[i2]), most, self._counts[p, limit])
            for p, (i1, i2) in enumerate(self._indices)
        ]

    def match_set(
        self, limit: int, previews: Sequence[PreviewCounts], in_full: set[int]
    ) -> MatchSet:
        """The product: of every pair its fullest comparison, and none for the refused ones."""
        limits = [ALL if p in in_full else limit for p in range(len(previews))]
        keys = tuple(self._key(p, limits[p]) for p in range(len(previews)))
        refused = [
            preview.verdict is PreviewVerdict.REFUSED and p not in in_full
            for p, preview in enumerate(previews)
        ]
        counts = [0 if refused[p] else self._counts[p, limits[p]] for p in range(len(previews))]
        reasons = tuple(
            "" if p in in_full else preview.reason for p, preview in enumerate(previews)
        )
        store = self._control.store
        return MatchSet(self._indices, keys, np.array(counts, np.int64), reasons, store)

    def _tasks(self, todo: Sequence[int], limit: int) -> Iterator[PairTask]:
        config, features = self._config, self._features
        buckets = config.kdtree_buckets if config.method == "kdtree" else 0
        for p in todo:
            one, two = (features.ref(int(i)) for i in self._indices[p])
            yield PairTask(self._name(p), one, two, self._rules, limit, buckets)

    def _name(self, p: int) -> str:
        i1, i2 = self._indices[p]
        return f"{self._names[i1]} and {self._names[i2]}"

    def _key(self, p: int, limit: int) -> str:
        config = self._config
        method = [config.method, config.kdtree_buckets] if config.method == "kdtree" else ["exact"]
        keys = [self._features.keys[i] for i in self._indices[p]]
        rules = [config.ratio, config.max_distance, config.mutual]
        return content_key("matches", self._version, keys, method, rules, limit)

    def _progress(self, p: int | None = None, limit: int = ALL) -> Progress:
        doing = ""
        if p is not None:
            how = "all" if limit == ALL else f"the {limit} largest"
            doing = f"{self._name(p)}: {how} keypoints"
        return Progress(len(self._counts), self._planned, "pairs", doing)


def _report(
    matches: MatchSet,
    limit: int,
    previews: Sequence[PreviewCounts],
    in_full: int,
    seconds: dict[str, float],
) -> dict[str, JsonValue]:
    verdicts: dict[str, JsonValue] = {
        verdict.value: sum(preview.verdict is verdict for preview in previews)
        for verdict in PreviewVerdict
    }
    return {
        "pairs": len(matches),
        "preview_keypoints": limit,
        "preview": verdicts if limit != ALL else {},
        "compared_in_full": in_full if limit != ALL else len(matches),
        "matches": int(matches.counts.sum()),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
