"""How far training has come: by steps, or by a budget of time turned into steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FIRST_STEPS = 5  # they warm up, and tell nothing of the pace
_CALIBRATION_STEPS = 30
_MARKS = 8  # a time budget is looked at again at every eighth of the way
_TOLERANCE = 0.1


class Schedule:
    """Progress in [0, 1], linear in the steps.

    With a time budget the first steps tell how many fit into it. From then on their number stands,
    and with it all that depends on progress, unless the pace changes so much that the end would
    come clearly too early or too late: this is looked at a few times. The number is part of the
    state, so a training that goes on from a checkpoint follows the same schedule.
    """

    def __init__(self, steps: int | None, budget_s: float | None) -> None:
        """Exactly one of the two is given."""
        if (steps is None) == (budget_s is None):
            raise ValueError("a schedule needs either steps or seconds")
        self._budget_s = budget_s
        self._steps = steps
        self._from_step = 0
        self._from_progress = 0.0
        self._from_s = 0.0

    @property
    def steps(self) -> int | None:
        """The number of the last step; None as long as a budget of time has not told it."""
        return self._steps

    def progress(self, step: int) -> float:
        """Share of the training that is over before a step."""
        if self._steps is None:
            return 0.0
        if step >= self._steps:
            return 1.0
        share = (step - self._from_step) / (self._steps - self._from_step)
        return self._from_progress + (1.0 - self._from_progress) * share

    def crosses(self, step: int, moments: Sequence[float]) -> bool:
        """Whether a step is the first one at or after one of some shares of the training."""
        if not step:
            return False
        before, now = self.progress(step - 1), self.progress(step)
        return any(before < moment <= now for moment in moments)

    def passed(self, step: int, seconds: float) -> None:
        """Take note that `step` steps have taken `seconds` in all."""
        if self._budget_s is None or self.progress(step) >= 1.0:
            return
        if self._steps is None:
            if seconds >= self._budget_s:
                self._steps = step
            elif step == _FIRST_STEPS:
                self._from_step, self._from_s = step, seconds
            elif step == _CALIBRATION_STEPS:
                self._plan(step, seconds)
            return
        if int(self.progress(step) * _MARKS) > int(self.progress(step - 1) * _MARKS):
            left = self._steps - step
            if abs(self._steps_left(step, seconds) - left) > _TOLERANCE * left:
                self._plan(step, seconds)

    def to_json(self) -> dict[str, Any]:
        """Its state, for a checkpoint."""
        return {
            "steps": self._steps,
            "from_step": self._from_step,
            "from_progress": self._from_progress,
            "from_s": self._from_s,
        }

    def load_json(self, data: Mapping[str, Any]) -> None:
        """Inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError for other data."""
        steps = data["steps"]
        self._steps = None if steps is None else int(steps)
        self._from_step = int(data["from_step"])
        self._from_progress = float(data["from_progress"])
        self._from_s = float(data["from_s"])

    def _steps_left(self, step: int, seconds: float) -> int:
        """Steps that fit into the rest of the budget at the pace since the last plan."""
        assert self._budget_s is not None
        pace_s = max((seconds - self._from_s) / max(step - self._from_step, 1), 1e-6)
        return max(int((self._budget_s - seconds) / pace_s), 1)

    def _plan(self, step: int, seconds: float) -> None:
        left, progress = self._steps_left(step, seconds), self.progress(step)
        self._steps = step + left
        self._from_step, self._from_progress, self._from_s = step, progress, seconds
