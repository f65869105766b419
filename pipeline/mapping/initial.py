"""The pair of photographs that a model begins with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config import MappingConfig
from pipeline.products import Pair, PairKind, TwoViewGeometries, TwoViewGeometry

_GOOD = (PairKind.CALIBRATED, PairKind.UNCALIBRATED, PairKind.PLANAR)


@dataclass(frozen=True)
class Demands:
    """What an initial pair must offer."""

    inliers: int
    angle_deg: float


def demands(config: MappingConfig) -> Iterator[Demands]:
    """The configured demands, then ever weaker ones: half the inliers, half the angle, in turn."""
    inliers, angle = config.min_pair_inliers, config.min_initial_angle_deg
    yield Demands(inliers, angle)
    for _ in range(2):
        inliers = max(inliers // 2, 15)
        yield Demands(inliers, angle)
        angle = max(angle / 2, 2.0 * config.min_triangulation_angle_deg)
        yield Demands(inliers, angle)


def candidate_pairs(
    geometries: TwoViewGeometries, remaining: set[int], wanted: Demands
) -> list[tuple[Pair, TwoViewGeometry]]:
    """Verified pairs of remaining photographs that meet the demands, most inliers first.

    Pairs without parallax and pairs that look along their baseline are left out: their points are
    poorly placed. The angle is a condition and not a merit: beyond it, more matches matter more.
    """
    fitting = [
        (pair, g)
        for pair, g in geometries.verified()
        if pair[0] in remaining
        and pair[1] in remaining
        and g.kind in _GOOD
        and g.cam2_from_cam1 is not None
        and len(g.inliers) >= wanted.inliers
        and g.triangulation_angle_deg >= wanted.angle_deg
        and abs(g.cam2_from_cam1.translation[2]) < 0.95
    ]
    # A plane leaves two solutions for the motion, so a pair that is not one comes first.
    return sorted(
        fitting,
        key=lambda entry: (entry[1].kind is PairKind.PLANAR, -len(entry[1].inliers), entry[0]),
    )
