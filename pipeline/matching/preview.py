"""What a comparison of the largest keypoints says about a pair of photographs.

The largest keypoints are the ones most likely found again in another photograph, and comparing a
few of them costs a small part of comparing all. Photographs without common content have a few
matches by chance too, in proportion to the number compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from pipeline.geometry.arrays import Bools, Int64s

# Measured on castle-P19, fox, lund29 and sacre among 1024 keypoints: pairs that full comparison did
# not verify have 4 to 9 matches in the median and at most 20; of those that it did verify with 30
# inliers or more, 2 in 171 have fewer than 8. Among 512 and 2048 the numbers go in proportion.
REFUSED_BELOW_SHARE = 8 / 1024
CLEAR_FROM_SHARE = 32 / 1024
# A photograph's best candidates decide whether it can be registered: there doubt is worth a full
# comparison. One with few clear pairs may be lost altogether, and its preview says little about
# which photographs it belongs to: it is compared in full with all of them, up to a bound.
BEST_PAIRS = 6
ENOUGH_CLEAR_PAIRS = 4
LONELY_PAIRS = 60


class PreviewVerdict(Enum):
    """What the preview says: everything was compared, overlap, no overlap, or doubt."""

    COMPLETE = "complete"
    CLEAR = "clear"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class PreviewCounts:
    """Keypoints of both photographs of a pair, how many of each were compared at most, matches."""

    keypoints1: int
    keypoints2: int
    limit: int
    matches: int

    @property
    def verdict(self) -> PreviewVerdict:
        """What the counts say about the pair."""
        if max(self.keypoints1, self.keypoints2) <= self.limit:
            return PreviewVerdict.COMPLETE
        compared = min(self.keypoints1, self.keypoints2, self.limit)
        if self.matches < max(1.0, REFUSED_BELOW_SHARE * compared):
            return PreviewVerdict.REFUSED
        clear = self.matches >= CLEAR_FROM_SHARE * compared
        return PreviewVerdict.CLEAR if clear else PreviewVerdict.DOUBTFUL

    @property
    def reason(self) -> str:
        """The outcome in words; "" where all keypoints were compared."""
        if self.verdict is PreviewVerdict.COMPLETE:
            return ""
        return f"{self.matches} matches among the {self.limit} largest keypoints"


def pairs_worth_all(indices: Int64s, previews: list[PreviewCounts]) -> Bools:
    """Which of P pairs, (P, 2) image indices, are to be compared with all keypoints, (P,).

    A doubtful pair is if it is among the best `BEST_PAIRS` of one of its photographs by matches in
    the preview. Of a photograph with fewer than `ENOUGH_CLEAR_PAIRS` clear ones it is every pair
    among its best `LONELY_PAIRS`.
    """
    worth = np.zeros(len(previews), np.bool_)
    if not previews:
        return worth
    verdicts = np.array([preview.verdict for preview in previews])
    known = (verdicts == PreviewVerdict.CLEAR) | (verdicts == PreviewVerdict.COMPLETE)
    clear = np.bincount(indices[known].ravel(), minlength=int(indices.max()) + 1)
    lonely = clear < ENOUGH_CLEAR_PAIRS
    taken = np.zeros(len(clear), np.int64)
    best_first = np.argsort([-preview.matches for preview in previews], kind="stable")
    for p in best_first:
        pair = indices[p]
        best = bool((taken[pair] < BEST_PAIRS).any()) and verdicts[p] is PreviewVerdict.DOUBTFUL
        alone = bool((lonely[pair] & (taken[pair] < LONELY_PAIRS)).any())
        worth[p] = not known[p] and (best or alone)
        taken[pair] += 1
    return worth
