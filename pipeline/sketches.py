"""What a stage has found so far, as a little plain data for people to look at while it runs.

A sketch holds what a terminal or a browser draws: counts of a histogram, cells of a matrix, a
sample of a cloud. Products are elsewhere; a sketch decides nothing, and its size has a bound
whatever the number of photographs. It lies in the run directory as a preview that is JSON in place
of a picture, and `Preview` tells which file is the newest.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.events import Preview

if TYPE_CHECKING:
    from pipeline.stage import Control

SUFFIX = ".json"
SECONDS_BETWEEN = 1.0
MOST_SHARE = 0.005  # of a stage's time; with the first and the last one, below 1 % of a short one
MOST_NAMES = 100
MOST_CELLS = 64  # of a side of a matrix
MOST_BARS = 256
MOST_PLACES = 1000  # of a cloud
_MOST_PARTS = 24  # of the spread of keypoints

Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Place = tuple[Finite, Finite, Finite]


class Sketch(BaseModel):
    """Base of the sketches. What a later version adds is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Bars(Sketch):
    """A histogram: the counts of equal parts of the range from `low` to `high`; what lies beyond
    counts at its ends."""

    low: Finite
    high: Finite
    counts: tuple[Count, ...] = Field(max_length=MOST_BARS)


class Matrix(Sketch):
    """Something of the pairs of photographs: a square of cells, each with the mean of the pairs
    that fall into it; None where no pair was looked at. Symmetric."""

    photographs: Count
    cells: tuple[tuple[Finite | None, ...], ...] = Field(max_length=MOST_CELLS)


class FeaturesSketch(Sketch):
    """Keypoints of `done` of the photographs, which have from `least` to `most` of them.

    per_photograph: in the photographs' order; where they are many, the mean of each of equal parts.
    spread: how many photographs have so many. weakest: name and keypoints, the fewest first.
    """

    photographs: Count
    done: Count
    least: Count
    median: Finite
    most: Count
    per_photograph: tuple[Finite, ...] = Field(max_length=MOST_BARS)
    spread: Bars
    weakest: tuple[tuple[str, Count], ...] = Field(max_length=MOST_NAMES)


class MatchingSketch(Sketch):
    """Matches of the pairs that were compared. matched: pairs with matches. sizes: how many pairs
    have 0, 1, 2-3, 4-7, ... matches."""

    pairs: Count
    matched: Count
    matrix: Matrix
    sizes: tuple[Count, ...] = Field(max_length=MOST_BARS)


class VerificationSketch(Sketch):
    """Outcome of the pairs that were verified. inlier_ratios: of each pair's matches. kinds: pairs
    by kind of geometry, `refused` among them. matrix: inliers."""

    inlier_ratios: Bars
    kinds: dict[str, Count]
    matrix: Matrix


class MappingSketch(Sketch):
    """The model that is being made, or the largest one.

    centers, points: some of the camera centres and points, in the frame of the moment. down: a unit
    vector there, the mean of the cameras' y axes. errors_px: of some of the observations.
    track_lengths: points seen by 2, 3, 4, ... photographs, the last count with all longer ones.
    latest: photographs that were registered last, the newest first. waiting: those that could not
    be registered yet, and why.
    """

    registered: Count
    photographs: Count
    centers: tuple[Place, ...] = Field(max_length=MOST_PLACES)
    points: tuple[Place, ...] = Field(max_length=MOST_PLACES)
    down: Place
    errors_px: Bars
    track_lengths: tuple[Count, ...] = Field(max_length=MOST_BARS)
    latest: tuple[str, ...] = Field(default=(), max_length=MOST_NAMES)
    waiting: tuple[tuple[str, str], ...] = Field(default=(), max_length=MOST_NAMES)


def keypoints_sketch(
    names: Sequence[str], kept: Mapping[int, int], most_names: int = 20
) -> FeaturesSketch:
    """The keypoints of photographs. names: of all. kept: keypoints of those that are done, by
    index. most_names: how many of the weakest are named."""
    done = sorted(kept)
    counts = [kept[i] for i in done]
    low, high = min(counts, default=0), max(counts, default=0)
    parts = max(1, min(_MOST_PARTS, math.ceil(2 * math.sqrt(len(counts)))))
    spread = [0] * parts
    for count in counts:
        spread[min(parts - 1, (count - low) * parts // max(1, high - low))] += 1
    weakest = sorted(done, key=lambda i: (kept[i], i))[:most_names]
    return FeaturesSketch(
        photographs=len(names),
        done=len(done),
        least=low,
        median=float(statistics.median(counts)) if counts else 0.0,
        most=high,
        per_photograph=in_parts(counts),
        spread=Bars(low=low, high=high, counts=tuple(spread)),
        weakest=tuple((names[i], kept[i]) for i in weakest),
    )


# By name of the stage.
SKETCHES: dict[str, type[Sketch]] = {
    "features": FeaturesSketch,
    "matching": MatchingSketch,
    "verification": VerificationSketch,
    "mapping": MappingSketch,
}


def encode_sketch(sketch: Sketch) -> bytes:
    """A sketch as compact JSON, in ASCII."""
    # Not pydantic's own JSON: names of files may hold lone surrogates.
    return json.dumps(sketch.model_dump(), separators=(",", ":"), allow_nan=False).encode()


def decode_sketch(stage: str, data: bytes) -> Sketch | None:
    """The sketch of a stage; None where the data is no such sketch."""
    kind = SKETCHES.get(stage)
    try:
        return None if kind is None else kind.model_validate(json.loads(data))
    except (ValueError, ValidationError, RecursionError):
        return None


def in_parts(values: Sequence[float], most: int = MOST_BARS) -> tuple[float, ...]:
    """The values, or where they are more than `most`, the means of so many equal parts."""
    count = len(values)
    if count <= most:
        return tuple(float(value) for value in values)
    ends = [k * count // most for k in range(most + 1)]
    means = (sum(values[a:b]) / (b - a) for a, b in pairwise(ends))
    return tuple(round(float(mean), 1) for mean in means)


class PreviewBook:
    """Keeps what a stage at work shows of itself: not more often than is asked for, and so that
    making and keeping it takes at most `MOST_SHARE` of the time.

    FREE_S: that it may take beside that, so that a short stage is seen at work, too.
    """

    FREE_S: ClassVar[float] = 0.0

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._control = control
        self._clock = clock
        self._next = float("-inf")
        self._free_s = self.FREE_S

    def keep(
        self, name: str, step: int, make: Callable[[], bytes], between_s: float, last: bool
    ) -> Iterator[Preview]:
        """Keep what `make` returns as a file, where it is time for that or it is the last one, and
        there is something; tells which file. Raises PipelineError where the disk refuses."""
        began = self._clock()
        if began < self._next and not last:
            return
        content = make()
        file = self._control.keep_preview(name, content) if content else ""
        ended = self._clock()
        taken_s = ended - began
        paid_s = max(0.0, taken_s - self._free_s)
        self._free_s -= taken_s - paid_s
        self._next = ended + max(between_s, paid_s / MOST_SHARE)
        if file:
            yield Preview(file, step=step)


class SketchBook(PreviewBook):
    """Keeps the sketches of a stage at work, one a second at most."""

    def draw(
        self, step: int, make: Callable[[], Sketch], *, last: bool = False
    ) -> Iterator[Preview]:
        """Keep what `make` returns, where it is time for that or it is the last one; tells which
        file. Raises PipelineError where the disk refuses."""
        name = f"{step:08}{SUFFIX}"
        return self.keep(name, step, lambda: encode_sketch(make()), SECONDS_BETWEEN, last)
