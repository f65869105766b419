"""Tracks from matches, and what becomes of matches that contradict each other."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Float64s
from pipeline.mapping.tracks import Tracks, build_tracks
from pipeline.products import Pair, PairKind, TwoViewGeometries, TwoViewGeometry
from tests.mapping.views import photograph
from tests.synthetic import WorldSpec


def _geometry(*matches: tuple[int, int], reason: str = "") -> TwoViewGeometry:
    inliers = np.array(matches, np.uint32).reshape(-1, 2)
    return TwoViewGeometry(PairKind.CALIBRATED, inliers, reason=reason)


def _tracks(pairs: dict[Pair, TwoViewGeometry], images: int, keypoints: int = 40) -> Tracks:
    px: list[Float64s] = [np.full((keypoints, 2), float(i)) for i in range(images)]
    return build_tracks(TwoViewGeometries(pairs, ()), px)


def _members(tracks: Tracks) -> set[frozenset[tuple[int, int]]]:
    pairs = list(zip(tracks.obs_images.tolist(), tracks.obs_keypoints.tolist(), strict=True))
    return {
        frozenset(pairs[a:b])
        for a, b in zip(tracks.starts[:-1].tolist(), tracks.starts[1:].tolist(), strict=True)
    }


def test_matches_chain_to_a_track() -> None:
    tracks = _tracks({(0, 1): _geometry((3, 5)), (1, 2): _geometry((5, 7))}, 3)
    assert _members(tracks) == {frozenset({(0, 3), (1, 5), (2, 7)})}
    assert tracks.of_image(1).tolist() == [1] and tracks.obs_px[1].tolist() == [1.0, 1.0]


def test_two_keypoints_of_one_image_never_join() -> None:
    pairs = {
        (0, 1): _geometry((0, 0), (1, 1)),
        (1, 2): _geometry((0, 0), (1, 1)),
        (0, 2): _geometry((0, 1)),  # would join keypoints 0 and 1 of every image
    }
    assert _members(_tracks(pairs, 3)) == {
        frozenset({(0, 0), (1, 0), (2, 0)}),
        frozenset({(0, 1), (1, 1), (2, 1)}),
    }


def test_a_pair_of_copies_is_set_aside() -> None:
    """A facade: pairs of neighbours are right, the weaker pair (0, 2) is off by one window."""
    right = [(n, n) for n in range(30)]
    shifted = [(n, n + 1) for n in range(20)]
    pairs = {(0, 1): _geometry(*right), (1, 2): _geometry(*right), (0, 2): _geometry(*shifted)}
    tracks = _tracks(pairs, 3)
    assert tracks.set_aside == {(0, 2): (20, 0)}
    assert len(tracks) == 30 and all(len(t) == 3 for t in _members(tracks))


def test_refused_pairs_and_nothing_at_all() -> None:
    assert len(_tracks({(0, 1): _geometry((0, 0), reason="watermark")}, 2)) == 0
    empty = _tracks({}, 2)
    assert len(empty) == 0 and empty.of_image(0).tolist() == []


def test_tracks_of_a_world_are_its_points() -> None:
    scene = photograph(WorldSpec(images=6, points=150, noise_px=0.3, seed=4))
    tracks = build_tracks(scene.geometries, scene.keypoints_px)
    shown = np.array(
        [scene.shows[i][n] for i, n in zip(tracks.obs_images, tracks.obs_keypoints, strict=True)]
    )
    for start, end in zip(tracks.starts[:-1], tracks.starts[1:], strict=True):
        assert len(set(shown[start:end].tolist())) == 1
    assert 140 <= len(tracks) <= 150
