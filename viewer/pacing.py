"""How much of its pictures a viewer's link can take, judged by its acknowledgements.

Two frames may be on their way to a viewer. On a slow link the second one would grow old behind the
first: there it waits at the source, where a newer one takes its place. And where one picture would
fill the link for too long, the next ones are asked for in a lower quality.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from pipeline.view_requests import ViewFrame, ViewRequest

LONGEST_ROUND_S = 0.15  # of a frame, to the viewer and back: above, one at a time
LONGEST_TRANSFER_S = 0.2  # of one picture, which may have waited as long for the one before it
LOWEST_QUALITY = 30
_SAMPLES = 8
# Before anything was measured: of a link, and of a picture in quality 75.
_FIRST_RATE = 1.25e6
_USUAL = 0.2
_WITHIN_REASON = 3.0
# Of what is measured: less is measured together with what follows.
_LONG_ENOUGH_S = 0.03
_MUCH = 64_000
# Bytes of a JPEG picture as a share of those at quality 75, measured on photographs.
_SHARES = ((30, 0.5), (40, 0.6), (55, 0.75), (75, 1.0), (85, 1.4), (90, 1.7), (95, 2.4), (100, 5.0))


class Pace:
    """What is on its way to one viewer, and how fast that went lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._underway: deque[tuple[float, int]] = deque()
        self._acknowledged = float("-inf")
        self._last_round_s = 0.0
        self._alone: deque[tuple[int, float]] = deque(maxlen=_SAMPLES)
        self._followed: deque[float] = deque(maxlen=_SAMPLES)
        self._carried, self._busy_s = 0, 0.0
        self._bytes_per_pixel = 0.0

    @property
    def underway(self) -> int:
        """Frames that were sent and not acknowledged."""
        return len(self._underway)

    def has_room(self) -> bool:
        """Whether one more frame would not grow old on its way, behind those that are there."""
        if not self._underway:
            return True
        ahead_s = sum(size for _, size in self._underway) / self._rate()
        return max(self._last_round_s, ahead_s) <= LONGEST_ROUND_S

    def sent(self, frame: ViewFrame, quality: int) -> None:
        """A frame is on its way. quality: in which its picture was asked for."""
        header = frame.header
        self._underway.append((self._clock(), len(frame.picture) + len(frame.depth)))
        if frame.picture and header.width * header.height:
            ours = len(frame.picture) / (header.width * header.height) / _share(quality)
            # Coarse pictures have more bytes a pixel: the finest seen lately counts the most.
            self._bytes_per_pixel = (
                ours
                if header.level == 1
                else 0.5
                * ((self._bytes_per_pixel or ours) + min(ours, self._bytes_per_pixel or ours))
            )

    def acknowledged(self) -> None:
        """The oldest frame that is on its way has been shown."""
        now = self._clock()
        sent, size = self._underway.popleft()
        self._last_round_s = now - sent
        followed = sent < self._acknowledged  # the link went over from one frame to the next
        busy_s = max(now - max(sent, self._acknowledged), 1e-6)
        self._acknowledged = now
        if not followed:
            self._alone.append((size, busy_s))
            self._carried, self._busy_s = 0, 0.0
            return
        # What comes in at one blow says little of the link, unless it is much.
        self._carried += size
        self._busy_s += busy_s
        if self._busy_s >= _LONG_ENOUGH_S or self._carried >= _MUCH:
            self._followed.append(self._carried / self._busy_s)
            self._carried, self._busy_s = 0, 0.0

    def forget(self) -> None:
        """What is on its way is waited for no more."""
        self._underway.clear()

    def fitted(self, request: ViewRequest) -> ViewRequest:
        """A request, in a lower quality where its finest picture would take the link too long."""
        pixels = (request.width // request.finest) * (request.height // request.finest)
        room = self._rate() * LONGEST_TRANSFER_S / (pixels * (self._bytes_per_pixel or _USUAL))
        if _share(request.jpeg_quality) <= room:
            return request
        quality = max((q for q in range(LOWEST_QUALITY, 101) if _share(q) <= room), default=0)
        lowest = min(LOWEST_QUALITY, request.jpeg_quality)
        return request.model_copy(update={"jpeg_quality": max(quality, lowest)})

    def _rate(self) -> float:
        """Bytes a second.

        Frames that followed others tell it at once. One that was alone took a round trip too; then
        what larger ones take longer tells the best, but that is a small difference of large times,
        so only within reason.
        """
        if not self._alone:
            return _FIRST_RATE
        sizes, times = zip(*self._alone, strict=True)
        fastest: float = max((*self._followed, *(size / s for size, s in self._alone)))
        if self._followed or max(sizes) < 2 * min(sizes):
            return fastest
        steady = 1.0 / max(_slope(sizes, times), 1e-12)
        return min(max(fastest, steady), _WITHIN_REASON * fastest)


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the line through points with different xs that is nearest to them."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    together = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return together / sum((x - x_mean) ** 2 for x in xs)


def _share(quality: int) -> float:
    """Bytes in a quality, as a share of those at quality 75."""
    if quality <= _SHARES[0][0]:
        return _SHARES[0][1]
    for (low, small), (high, large) in pairwise(_SHARES):
        if quality <= high:
            return small + (large - small) * (quality - low) / (high - low)
    return _SHARES[-1][1]
