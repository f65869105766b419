"""How fast a stage is, and how long it still takes."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

WINDOW_S = 30.0
FEWEST_SAMPLES = 8  # slow items: so many count, however old they are
SECONDS_BETWEEN_SAMPLES = 1.0


class Rate(BaseModel):
    """Items a second over the last half minute, from a monotonic clock.

    samples: clock in seconds and number of finished items, where that number grew. seen: the clock
    when it was last told, so that a stage that hangs becomes slow.
    """

    model_config = ConfigDict(extra="forbid")

    samples: list[tuple[float, int]] = []
    seen: float = 0.0

    def add(self, mono: float, done: int) -> None:
        """Note that `done` items are finished. Going backwards, of either, begins anew."""
        samples = self.samples
        if samples and (done < samples[-1][1] or mono < samples[-1][0]):
            samples.clear()
        self.seen = mono
        if samples and done == samples[-1][1]:
            return
        if len(samples) > 1 and mono - samples[-2][0] < SECONDS_BETWEEN_SAMPLES:
            samples[-1] = (mono, done)
        else:
            samples.append((mono, done))
        while len(samples) > FEWEST_SAMPLES and mono - samples[1][0] >= WINDOW_S:
            del samples[0]

    def restart(self) -> None:
        """Forget everything: the stage pauses, or counts something else now."""
        self.samples.clear()

    def per_second(self) -> float | None:
        """Items a second; None while there is too little to tell it from."""
        if len(self.samples) < 2:
            return None
        (began, before), (_, done) = self.samples[0], self.samples[-1]
        span_s = self.seen - began
        if span_s < SECONDS_BETWEEN_SAMPLES:
            return None
        return (done - before) / span_s or None

    def left_s(self, done: int, total: int | None) -> float | None:
        """Seconds until `total` items are finished; None where that cannot be told."""
        per_second = self.per_second()
        if total is None or per_second is None:
            return None
        left_s = max(0.0, (total - done) / per_second)
        return left_s if math.isfinite(left_s) else None
