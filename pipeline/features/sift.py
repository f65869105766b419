"""SIFT keypoints and RootSIFT descriptors of one grey picture, through OpenCV.

Lowe, IJCV 2004; Arandjelovic & Zisserman, CVPR 2012. OpenCV fixes: the picture is doubled first;
the camera's own blur is taken for 0.5 px; as many octaves as fit; an extremum moves at most five
times; 36 orientation bins, every peak above 0.8 of the highest makes a keypoint; descriptors of
4 x 4 x 8 bins. All else is in `FeaturesConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.config import FeaturesConfig
from pipeline.features.selection import first_of_location, select_spread
from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.products import Features

LOWE_PEAK_THRESHOLD = 0.03
DESCRIPTOR_NORM = 512.0
# Descriptors take most of the time, so OpenCV makes them only of the strongest candidates by |D|.
# A quarter more than are kept leaves a choice by scale and position; more gains no matches.
_CANDIDATES_PER_KEYPOINT = 1.25


@dataclass(frozen=True)
class SiftCounts:
    """How many keypoints were left after each step.

    described: oriented keypoints that passed contrast and edge tests and were described. limited:
    there were more, and OpenCV left out those of smallest |D|. locations: different positions and
    scales among them. unmasked: not on black of the mask. oriented: after the limit of orientations
    per location. kept: after the selection.
    """

    described: int
    limited: bool
    locations: int
    unmasked: int
    oriented: int
    kept: int


def peak_threshold(config: FeaturesConfig) -> float:
    """Least |D| at an extremum, grey values in [0, 1], that the preset stands for."""
    return LOWE_PEAK_THRESHOLD if config.preset == "lowe" else config.peak_threshold


def pyramid_bytes(width_px: float, height_px: float, config: FeaturesConfig) -> int:
    """Memory that OpenCV takes for a picture of that size; 3 % above what was measured."""
    # float32 layers, `octave_layers` + 3 Gaussians and + 2 differences, of the doubled picture and
    # of one octave after the other, each of a quarter of the pixels.
    doubled = width_px * height_px * (4 if config.first_octave < 0 else 1)
    return int(doubled * 4 * (2 * config.octave_layers + 5) * 4 / 3)


def extract_sift(
    grey: UInt8s, config: FeaturesConfig, mask: UInt8s | None = None
) -> tuple[Features, SiftCounts]:
    """Keypoints of a picture and their descriptors, by decreasing scale.

    grey: (h, w). mask: (h, w), keypoints on its zeros are left out. Keypoints are in pixels of
    `grey`, corner origin; the scale is the sigma of the Gaussian and the orientation runs from the
    x axis to the y axis, in (-pi, pi], all as in COLMAP. Descriptors are rounded 512 * RootSIFT,
    their bins in COLMAP's order. A picture without texture gives none.

    With `first_octave` 0 the picture is halved before OpenCV doubles it: the same octaves, without
    the finest one, in a quarter of the time. Of a location with more peaks of orientation than
    `max_orientations` those of smallest angle are kept, since OpenCV does not tell their heights.
    """
    halved = config.first_octave == 0 and min(grey.shape) >= 2
    picture = (
        cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if halved else grey
    )
    # OpenCV cuts before it looks at a mask, so a masked picture is described in full.
    candidates = 0 if mask is not None else int(_CANDIDATES_PER_KEYPOINT * config.max_keypoints)
    table, descriptors = _detect(picture, config, candidates)
    if halved:
        table[:, :3] *= 2.0

    described = len(table)
    # Duplicates of a location are adjacent only after this sort, which also fixes all later ties.
    order = np.lexsort((table[:, 3], table[:, 2], table[:, 1], table[:, 0]))
    locations = len(first_of_location(table[order, :2], table[order, 2], 1))
    if mask is not None:
        order = order[
            mask[_pixel_rows(table, order, 1, mask), _pixel_rows(table, order, 0, mask)] > 0
        ]
    unmasked = len(order)
    order = order[first_of_location(table[order, :2], table[order, 2], config.max_orientations)]
    oriented = len(order)
    # |D| falls with scale for blobs of equal contrast: weighting by scale matched best.
    strength = table[order, 4] * table[order, 2]
    order = order[select_spread(table[order, :2], strength, max(grey.shape), config.max_keypoints)]
    order = order[np.lexsort((-table[order, 4], -table[order, 2]))]

    counts = SiftCounts(
        described, 0 < candidates <= described, locations, unmasked, oriented, len(order)
    )
    keypoints = table[order, :4].astype(np.float32)
    return Features(keypoints, root_sift(descriptors[order])), counts


def root_sift(sift: UInt8s) -> UInt8s:
    """RootSIFT (N, 128) of SIFT descriptors (N, 128): 512 * sqrt(d / sum(d)), rounded, at most 255.

    A descriptor of zeros stays zero: it has no direction, and matching refuses it.
    """
    sums = sift.sum(axis=1, dtype=np.float32)
    per_root = DESCRIPTOR_NORM / np.sqrt(np.maximum(sums, 1.0))
    roots = np.sqrt(np.arange(256, dtype=np.float32))[sift] * per_root[:, None]
    rounded: UInt8s = np.minimum(np.rint(roots), 255.0).astype(np.uint8)
    return rounded


def _detect(picture: UInt8s, config: FeaturesConfig, candidates: int) -> tuple[Float64s, UInt8s]:
    """Table (N, 5) of x, y, scale, orientation, |D| in our conventions, descriptors (N, 128).

    candidates: OpenCV keeps about that many of largest |D|; 0: all.
    """
    sift = cv2.SIFT.create(
        nfeatures=candidates,
        nOctaveLayers=config.octave_layers,
        # OpenCV compares |D| * layers with it, so that more layers let weaker extrema pass.
        contrastThreshold=peak_threshold(config) * config.octave_layers,
        edgeThreshold=config.edge_ratio,
        sigma=config.sigma,
        descriptorType=cv2.CV_8U,
        enable_precise_upscale=True,  # without it all positions are a quarter of a pixel off
    )
    found, descriptors = sift.detectAndCompute(picture, None)
    if not found:
        return np.zeros((0, 5)), np.zeros((0, 128), np.uint8)
    table = np.empty((len(found), 5))
    table[:, :2] = (
        np.asarray(cv2.KeyPoint.convert(found)) + 0.5
    )  # OpenCV's origin is the centre of a pixel
    table[:, 2:] = np.array([(k.size, k.angle, k.response) for k in found])
    table[:, 2] *= 0.5  # OpenCV's size is a diameter
    table[:, 3] = np.radians(np.where(table[:, 3] > 180.0, table[:, 3] - 360.0, table[:, 3]))
    return table, descriptors


def _pixel_rows(table: Float64s, rows: np.ndarray, axis: int, mask: UInt8s) -> np.ndarray:
    """Along one axis, the pixel that each keypoint lies in."""
    return np.asarray(np.clip(table[rows, axis].astype(np.int64), 0, mask.shape[1 - axis] - 1))
