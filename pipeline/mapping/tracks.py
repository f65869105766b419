"""Tracks: the keypoints of many photographs that show one point of the scene.

Matches of verified pairs are joined with union-find, strongest pairs first. Two keypoints of one
photograph can never show the same point, so a join that would bring them together is refused. A
pair most of whose matches are refused contradicts stronger pairs: it matches copies of a repeated
structure, and all of it is set aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.products import FeatureSet, Pair, TwoViewGeometries

_MIN_CONTRADICTIONS = 8  # fewer are chance


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of at least two keypoints, in compressed rows.

    starts: (T + 1,). obs_images, obs_keypoints: (N,) image and keypoint of every observation,
    sorted by track. obs_px: (N, 2) float64. image_rows: (I + 1,) and image_obs: (N,): the
    observations of each image. obs_tracks: (N,) track of each observation. set_aside: pairs that
    contradict stronger ones, with the numbers of matches that contradict and that agree.
    """

    starts: Int64s
    obs_images: Int64s
    obs_keypoints: Int64s
    obs_px: Float64s
    image_rows: Int64s
    image_obs: Int64s
    obs_tracks: Int64s
    set_aside: Mapping[Pair, tuple[int, int]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of_image(self, i: int) -> Int64s:
        """The observations of image i."""
        return self.image_obs[self.image_rows[i] : self.image_rows[i + 1]]


def build_tracks(geometries: TwoViewGeometries, keypoints_px: list[Float64s]) -> Tracks:
    """Join the inliers of all verified pairs. keypoints_px: (N_i, 2) of every image."""
    counts = np.array([len(k) for k in keypoints_px], np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    verified = list(geometries.verified())
    order = sorted(
        range(len(verified)), key=lambda n: (-len(verified[n][1].inliers), verified[n][0])
    )
    edges = [verified[n][1].inliers.astype(np.int64) + offsets[list(verified[n][0])] for n in order]
    rows = np.concatenate([[0], np.cumsum([len(e) for e in edges])]).astype(np.int64)
    joined = np.concatenate(edges) if edges else np.zeros((0, 2), np.int64)
    node_images = np.repeat(np.arange(len(counts)), counts)
    root, contradict, agree = _join(joined, rows, node_images, len(counts))
    set_aside = {
        verified[n][0]: (int(contradict[position]), int(agree[position]))
        for position, n in enumerate(order)
        if _contradictory(contradict[position], agree[position])
    }
    return _collect(root, node_images, offsets, keypoints_px, set_aside)


def keypoints_of(features: FeatureSet) -> list[Float64s]:
    """Keypoint positions (N_i, 2) in pixels of every photograph."""
    return [features[i].keypoints[:, :2].astype(np.float64) for i in range(len(features))]


def _collect(
    root: Int64s,
    node_images: Int64s,
    offsets: Int64s,
    keypoints_px: list[Float64s],
    set_aside: dict[Pair, tuple[int, int]],
) -> Tracks:
    sizes = np.bincount(root, minlength=len(root))
    nodes = np.flatnonzero(sizes[root] >= 2)
    nodes = nodes[np.lexsort((nodes, root[nodes]))]
    _, first, obs_tracks = np.unique(root[nodes], return_index=True, return_inverse=True)
    images = node_images[nodes]
    by_image = np.argsort(images, kind="stable")
    image_rows = np.searchsorted(images[by_image], np.arange(len(offsets)))
    all_px = np.concatenate(keypoints_px) if len(root) else np.zeros((0, 2))
    return Tracks(
        starts=np.append(first, len(nodes)).astype(np.int64),
        obs_images=images,
        obs_keypoints=nodes - offsets[images],
        obs_px=all_px[nodes],
        image_rows=image_rows.astype(np.int64),
        image_obs=by_image.astype(np.int64),
        obs_tracks=obs_tracks.astype(np.int64),
        set_aside=set_aside,
    )


@numba.njit(cache=True)
def _contradictory(contradict: int, agree: int) -> bool:
    return contradict >= _MIN_CONTRADICTIONS and contradict > agree


@numba.njit(cache=True)
def _find(parent: Any, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(cache=True)
def _share_image(a: int, b: int, following: Any, node_images: Any, stamp: Any, token: int) -> bool:
    """Whether the circular member lists of two tracks contain the same image."""
    node = a
    while True:
        stamp[node_images[node]] = token
        node = following[node]
        if node == a:
            break
    node = b
    while True:
        if stamp[node_images[node]] == token:
            return True
        node = following[node]
        if node == b:
            return False


@numba.njit(cache=True)
def _join(edges: Any, rows: Any, node_images: Any, images: int) -> tuple[Any, Any, Any]:
    """Root of every node, and per pair how many matches contradict or agree with earlier tracks."""
    n = len(node_images)
    parent, following = np.arange(n), np.arange(n)
    stamp, token = np.full(images, -1), 0
    pairs = len(rows) - 1
    contradict, agree = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    for pair in range(pairs):
        for e in range(rows[pair], rows[pair + 1]):
            a, b = _find(parent, edges[e, 0]), _find(parent, edges[e, 1])
            if a == b:
                agree[pair] += 1
            elif _share_image(a, b, following, node_images, stamp, token):
                contradict[pair] += 1
            token += 1
        if _contradictory(contradict[pair], agree[pair]):
            continue
        for e in range(rows[pair], rows[pair + 1]):
            a, b = _find(parent, edges[e, 0]), _find(parent, edges[e, 1])
            if a != b and not _share_image(a, b, following, node_images, stamp, token):
                parent[b] = a
                following[a], following[b] = following[b], following[a]
            token += 1
    root = np.empty(n, np.int64)
    for node in range(n):
        root[node] = _find(parent, node)
    return root, contradict, agree
