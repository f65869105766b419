"""Several beginnings of a training, of which the best goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_JUDGED_FROM = 0.7  # share of an attempt; its errors from then on decide
_HOLD = 0.3  # share of an attempt for which what it varies stays: nothing that is learned holds it
_BEST, _FOUND = "best/", "found"  # names of arrays in a checkpoint


@dataclass(frozen=True)
class Beginnings:
    """How a training begins. With unknown cameras the first steps decide on which of several
    explanations of the photographs it ends: the scene or one turned inside out, along one axis or
    both. From there no small motion leads out, but the errors tell once some detail has entered.

    count: attempts, one after the other and each from nothing; 1: there is no choice. end: share of
    the training that they take, all together. alpha: bands that are open at the end of each.
    """

    count: int = 1
    end: float = 0.0
    alpha: float = 0.0

    def number(self, progress: float) -> int:
        """The attempt that is at work, from 0; `count` as soon as the best one goes on."""
        if self.count == 1 or progress >= self.end:
            return self.count
        return min(int(progress / self.end * self.count), self.count - 1)

    def share(self, progress: float) -> float:
        """How much of the attempt at work is over, in [0, 1]; of the training, without a choice."""
        if self.count == 1:
            return progress
        number = self.number(progress)
        return 1.0 if number == self.count else progress / self.end * self.count - number

    def rest(self, progress: float) -> float:
        """Share of what comes after the beginnings that is over; rates fall with it."""
        return 0.0 if progress < self.end else (progress - self.end) / (1.0 - self.end)


class Trials:
    """The attempts so far. What is to be chosen from are the arrays of a trainer, by name.

    began: step at which the attempt at work, or in the end the best one's rest, began.
    """

    def __init__(
        self,
        beginnings: Beginnings,
        first: Mapping[str, np.ndarray],
        varied: str,
        vary: Callable[[np.ndarray, int], np.ndarray],
    ) -> None:
        """first: the state that every attempt begins with; unused without a choice. varied: the
        array in it that is another one for each attempt after the first: what `vary` makes of the
        one that the first attempt ended with, and of the number of the attempt."""
        self._beginnings = beginnings
        self._first = dict(first)
        self._varied, self._vary = varied, vary
        self._found: np.ndarray | None = None
        self._best: dict[str, np.ndarray] = {}
        self._least = math.inf
        self._number = 0 if beginnings.count > 1 else beginnings.count
        self._sum, self._looks = 0.0, 0
        self.began = 0

    def note(self, progress: float, mse: float) -> None:
        """Take note of a step's mean squared error."""
        if self._beginnings.share(progress) >= _JUDGED_FROM:
            self._sum += mse
            self._looks += 1

    @property
    def hold_until(self) -> float:
        """Share of the attempt at work up to which what it varies is not to change; 0 in the first
        one and after the last."""
        return _HOLD if 0 < self._number < self._beginnings.count else 0.0

    def due(self, progress: float) -> bool:
        """Whether an attempt has ended."""
        return self._beginnings.number(progress) != self._number

    def next(
        self, step: int, progress: float, now: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """What to go on with where an attempt has ended: the first state, varied, or, after the
        last attempt, the best of all. now: the present state; one that is not finite is no
        choice."""
        self.began = step
        error = self._sum / self._looks if self._looks else math.inf
        if error < self._least and all(np.isfinite(array).all() for array in now.values()):
            self._least, self._best = error, dict(now)
        if self._number == 0 and np.isfinite(now[self._varied]).all():
            self._found = now[self._varied]
        self._number, self._sum, self._looks = self._beginnings.number(progress), 0.0, 0
        if self._number < self._beginnings.count:
            if self._found is None:
                return self._first
            return {**self._first, self._varied: self._vary(self._found, self._number)}
        best, self._best, self._first, self._found = self._best or self._first, {}, {}, None
        return best

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The best attempt so far, and what the first one found, for a checkpoint."""
        best = {f"{_BEST}{name}": array for name, array in self._best.items()}
        return best if self._found is None else {**best, _FOUND: self._found}

    def to_json(self) -> dict[str, Any]:
        """The rest of its state."""
        least = self._least if math.isfinite(self._least) else None
        return {
            "number": self._number,
            "began": self.began,
            "least": least,
            "sum": self._sum,
            "looks": self._looks,
        }

    def load(self, arrays: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> None:
        """Inverse of `to_arrays` and `to_json`. Raises KeyError, TypeError or ValueError for other
        data."""
        count = len(_BEST)
        self._best = {name[count:]: a for name, a in arrays.items() if name.startswith(_BEST)}
        self._found = arrays.get(_FOUND)
        self._least = math.inf if data["least"] is None else float(data["least"])
        self._number, self._looks = int(data["number"]), int(data["looks"])
        self._sum, self.began = float(data["sum"]), int(data["began"])
