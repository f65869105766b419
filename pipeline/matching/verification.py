"""The verification stage: which matches does a rigid scene explain?

Two passes over the pairs. The first finds F and adds matches along the epipolar lines. From all F
together follows a working focal length for cameras without a prior. The second chooses the model of
each pair and estimates its relative pose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import JsonValue

from pipeline.camera_json import camera_as_json
from pipeline.config import VerificationConfig
from pipeline.config_base import StageConfig
from pipeline.events import Progress, Record, Report
from pipeline.geometry.arrays import Bools
from pipeline.geometry.cameras import Camera
from pipeline.geometry.epipolar import focal_from_fundamentals
from pipeline.hashing import content_key
from pipeline.item_refs import ItemRef
from pipeline.matching.drawing import Outcomes
from pipeline.matching.pair_tasks import (
    DescribeTask,
    FitTask,
    MatchedPair,
    PairFit,
    describe_pairs,
    fit_pairs,
    fits_of_item,
    geometries_of_item,
)
from pipeline.matching.two_view import refused
from pipeline.products import (
    FeatureSet,
    MatchSet,
    Pair,
    PairKind,
    PhotoIndex,
    TwoViewGeometries,
    TwoViewGeometry,
)
from pipeline.sketches import SketchBook
from pipeline.stage import Control, Done, FanOut, Inputs, Products, run_items

PAIRS_PER_ITEM = 16  # a file for each pair would cost 10 % of the stage; these cost some 3 %
_MIN_FOCAL_INLIERS = 100  # an F from fewer says little about the focal length
_MAX_FOCAL_WEIGHT = 1000.0  # inliers beyond which a pair's vote counts no more
_GUIDED_PAIRS = 12


@dataclass(frozen=True, eq=False)
class _Group:
    """Pairs that share a task and an item: their image indices, and the key of their fits."""

    pairs: tuple[Pair, ...]
    task: FitTask
    key: str


class VerifyMatches:
    """Stage `verification`."""

    name: ClassVar[str] = "verification"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "matches")
    makes: ClassVar[tuple[str, ...]] = ("geometries",)
    Config: ClassVar[type[StageConfig]] = VerificationConfig
    fan_out: ClassVar[FanOut] = "threads"
    compiles: ClassVar[bool] = True

    def run(
        self, inputs: Inputs, config: VerificationConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Verify every pair that has matches; the others keep the reason that matching gave. What
        the store has of either pass is kept."""
        photos: PhotoIndex = inputs["photos"]
        matches: MatchSet = inputs["matches"]
        groups = self._groups(inputs, config)
        wanted = sum(len(group.pairs) for group in groups)

        drawn, book = Outcomes(len(photos.photos)), SketchBook(control)
        fits: dict[Pair, PairFit] = {}
        tasks = [(group.key, group.task) for group in groups]
        for done in _items("fits", fit_pairs, tasks, control):
            found = list(zip(groups[done.index].pairs, fits_of_item(done.result), strict=True))
            fits.update(found)
            drawn.count_fits(found)
            if control.due():
                doing = (
                    "epipolar geometry, guided matching" if config.guided else "epipolar geometry"
                )
                yield Progress(len(fits), wanted, "pairs", doing)
                yield from book.draw(len(fits), drawn.sketch)

        cameras = working_cameras(photos, fits)
        geometries: dict[Pair, TwoViewGeometry] = {}
        describing = self._describing(groups, photos, cameras, control)
        for done in _items("geometries", describe_pairs, describing, control):
            described = geometries_of_item(done.result)
            geometries.update(zip(groups[done.index].pairs, described, strict=True))
            drawn.count_kinds(described)
            if control.due():
                yield Progress(len(geometries), wanted, "pairs", "models and relative poses")
                yield from book.draw(wanted + len(geometries), drawn.sketch)
        for p, (i1, i2) in enumerate(matches.indices.tolist()):
            if (i1, i2) not in geometries:
                few = f"{matches.counts[p]} matches, {config.min_inliers} needed"
                reason = matches.reasons[p] or few
                geometries[i1, i2] = refused(PairKind.DEGENERATE, reason)
        result = TwoViewGeometries(dict(sorted(geometries.items())), tuple(cameras))
        yield Progress(wanted, wanted, "pairs")
        yield from book.draw(2 * wanted, drawn.sketch, last=True)
        yield Report(_summary(result))
        return {"geometries": result}

    def _groups(self, inputs: Inputs, config: VerificationConfig) -> list[_Group]:
        """The pairs with enough matches, in groups that share their first photograph."""
        photos: PhotoIndex = inputs["photos"]
        features: FeatureSet = inputs["features"]
        matches: MatchSet = inputs["matches"]
        guided = _best_pairs(matches) & config.guided
        settings = config.model_dump(exclude={"guided", "min_inliers"})
        enough = np.flatnonzero(matches.counts >= config.min_inliers).tolist()
        groups = []
        for numbers in _runs(enough, matches.indices[:, 0].tolist()):
            pairs = tuple((int(i1), int(i2)) for i1, i2 in matches.indices[list(numbers)])
            members = tuple(
                MatchedPair(features.ref(i1), features.ref(i2), matches.ref(p), bool(guided[p]))
                for p, (i1, i2) in zip(numbers, pairs, strict=True)
            )
            content = [
                [pair.features1.key, pair.features2.key, pair.matches.key, pair.guided]
                for pair in members
            ]
            others = ", ".join(photos.photos[i2].name for _, i2 in pairs)
            name = f"{photos.photos[pairs[0][0]].name} with {others}"
            key = content_key("fits", self.version, content, settings)
            groups.append(_Group(pairs, FitTask(name, members, config), key))
        return groups

    def _describing(
        self,
        groups: Sequence[_Group],
        photos: PhotoIndex,
        cameras: Sequence[Camera],
        control: Control,
    ) -> list[tuple[str, DescribeTask]]:
        """The second task of each group, with the key of its item."""
        camera_keys = [content_key(camera_as_json(camera)) for camera in cameras]
        tasks = []
        for group in groups:
            config = group.task.config
            of_pairs = [tuple(photos.photos[i].camera for i in pair) for pair in group.pairs]
            keys = [[camera_keys[k1], camera_keys[k2]] for k1, k2 in of_pairs]
            tasks.append(
                (
                    content_key("geometries", group.key, keys, config.min_inliers),
                    DescribeTask(
                        group.task.name,
                        group.task.pairs,
                        ItemRef(control.store, "fits", group.key),
                        tuple((cameras[k1], cameras[k2]) for k1, k2 in of_pairs),
                        config,
                    ),
                )
            )
        return tasks


def _runs(numbers: Sequence[int], first_of: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The numbers of pairs in runs of at most PAIRS_PER_ITEM with the same first photograph."""
    run: list[int] = []
    for p in numbers:
        if run and (len(run) == PAIRS_PER_ITEM or first_of[p] != first_of[run[0]]):
            yield tuple(run)
            run = []
        run.append(p)
    if run:
        yield tuple(run)


def _items(
    kind: str,
    function: Callable[[Any], Mapping[str, np.ndarray]],
    tasks: Sequence[tuple[str, Any]],
    control: Control,
) -> Iterator[Done]:
    """The items of the tasks, each with its key: those of the store first, then the others, which
    are put there."""
    todo = []
    for number, (key, _) in enumerate(tasks):
        control.poll()
        if control.store.has(kind, key):
            yield Done(number, control.store.get(kind, key))
        else:
            todo.append(number)
    for done in run_items(function, (tasks[number][1] for number in todo), control):
        number = todo[done.index]
        control.store.put(kind, tasks[number][0], done.result)
        yield Done(number, done.result)


def _best_pairs(matches: MatchSet) -> Bools:
    """Which pairs (P,) are among the `_GUIDED_PAIRS` with most matches of one of their photographs:
    among many partners the further ones show nothing that the best do not."""
    best = np.zeros(len(matches), np.bool_)
    taken = np.zeros(int(matches.indices.max(initial=0)) + 1, np.int64)
    for p in np.argsort(-matches.counts, kind="stable"):
        pair = matches.indices[p]
        best[p] = (taken[pair] < _GUIDED_PAIRS).any()
        taken[pair] += 1
    return best


def working_cameras(photos: PhotoIndex, fits: Mapping[Pair, PairFit]) -> list[Camera]:
    """The cameras, with a focal length voted by the F matrices where no prior is known.

    fits: by pair of image indices. Only pairs within one camera vote. A camera without a clear vote
    keeps its guess.
    """
    cameras = list(photos.cameras)
    for k, camera in enumerate(cameras):
        if camera.has_focal_prior:
            continue
        voters = [
            found.fit
            for pair, found in sorted(fits.items())
            if found.fit is not None
            and found.fit.inliers.sum() >= _MIN_FOCAL_INLIERS
            and all(photos.photos[i].camera == k for i in pair)
        ]
        focal_px = focal_from_fundamentals(
            [fit.F for fit in voters],
            [min(float(fit.inliers.sum()), _MAX_FOCAL_WEIGHT) for fit in voters],
            (camera.width, camera.height),
        )
        if focal_px is not None:
            cameras[k] = camera.with_focal_scaled(focal_px / camera.focal_px)
    return cameras


def _summary(result: TwoViewGeometries) -> dict[str, JsonValue]:
    verified = [g for _, g in result.verified()]
    kinds = Counter(g.kind.name.lower() for g in verified)
    return {
        "pairs": len(result.of_pair),
        "verified": len(verified),
        "inliers": sum(len(g.inliers) for g in verified),
        "kinds": dict(sorted(kinds.items())),
        "working_focal_px": [round(camera.focal_px, 1) for camera in result.cameras],
    }
