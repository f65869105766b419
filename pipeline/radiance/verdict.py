"""Whether refined cameras are better than those that training started from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.radiance.track_geometry import Observations, reprojection_errors, triangulate

_FEWEST_TRACKS = 30
_MOST_PX = 10.0  # what a point counts at most, and one that cannot be triangulated
_CERTAINTY = 2.0  # standard errors


@dataclass(frozen=True)
class CameraVerdict:
    """How two sets of cameras agree with tracks that neither training nor this choice was fitted
    to.

    better: whether the second set is to be taken. words: why. tracks: how many. before_px and
    after_px: mean reprojection error; None without enough tracks.
    """

    better: bool
    words: str
    tracks: int
    before_px: float | None = None
    after_px: float | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Plain data, less the words."""
        return {
            "tracks": self.tracks,
            "before_px": self.before_px,
            "after_px": self.after_px,
            "better": self.better,
        }


@dataclass(frozen=True, eq=False)
class CameraSet:
    """Poses and intrinsics of the same images."""

    poses: Sequence[Pose]
    cameras: Sequence[Camera]


def judge(seen: Observations, before: CameraSet, after: CameraSet) -> CameraVerdict:
    """Compare two sets of cameras by held-out tracks; frames need not agree.

    The points are triangulated anew by either set from the same observations: what is left as
    reprojection error says how well the cameras fit together. `after` is better if its mean error
    is smaller by more than two standard errors of the difference. Mapping's own adjustment has seen
    these tracks and training has not, so the comparison leans towards what mapping found.
    """
    known = np.unique(seen.point_of)
    if len(known) < _FEWEST_TRACKS:
        words = (
            f"the cameras stay as they were: {len(known)} held-out tracks, {_FEWEST_TRACKS} needed "
            "to tell which are better"
        )
        return CameraVerdict(False, words, len(known))
    then, now = (_errors_of_points(seen, cameras)[known] for cameras in (before, after))
    difference = now - then
    doubt = _CERTAINTY * float(difference.std(ddof=1)) / np.sqrt(len(known))
    better = bool(difference.mean() < -doubt)
    before_px, after_px = float(then.mean()), float(now.mean())
    outcome = "the refined cameras are taken" if better else "the cameras stay as they were"
    words = (
        f"{outcome}: {len(known)} held-out tracks are off by {before_px:.3f} px before and "
        f"{after_px:.3f} px after training"
    )
    return CameraVerdict(better, words, len(known), before_px, after_px)


def _errors_of_points(seen: Observations, cameras: CameraSet) -> Float64s:
    """Mean reprojection error (J,) of each point, as seen by the cameras; limited."""
    points = triangulate(seen, cameras.poses, cameras.cameras)
    errors = reprojection_errors(seen, points, cameras.poses, cameras.cameras)
    errors = np.minimum(np.nan_to_num(errors, nan=_MOST_PX), _MOST_PX)
    counts = np.bincount(seen.point_of, minlength=seen.points)
    return np.asarray(np.bincount(seen.point_of, errors, seen.points) / np.maximum(counts, 1))
