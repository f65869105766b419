"""A synthetic world as the products that the stages get: photographs, features, matches."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.geometry.cameras import Camera
from pipeline.products import FeatureSet, ItemStore, MatchSet, Photo, PhotoIndex
from tests.synthetic import HEIGHT, WIDTH, SyntheticWorld

GREY = 90


def world_products(
    worlds: list[SyntheticWorld], store: ItemStore, folder: Path, has_prior: bool = False
) -> dict[str, Any]:
    """Products of the worlds' images, in a row; images of different worlds share nothing.

    Every keypoint shows a point, whose descriptor is the same in all images. The photographs are
    grey files in `folder`. All share one camera, whose focal length is a guess unless `has_prior`.
    """
    truth = worlds[0].truth.cameras[0]
    params = truth.params.copy()
    if not has_prior:
        params[0], params[3] = 1.2 * WIDTH, 0.0
    camera = Camera(truth.model, WIDTH, HEIGHT, params, has_prior)
    photos, keys, counts, shows = [], [], [], []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng(number + 100)
        of_point = rng.exponential(1.0, (len(world.truth.points_world), 128))
        of_point *= 512 / np.linalg.norm(of_point, axis=1, keepdims=True)
        for i in range(len(world.truth.rotations)):
            mine = world.truth.obs_images == i
            points = world.truth.obs_points[mine]
            keypoints = np.ones((len(points), 4), np.float32)
            keypoints[:, :2] = world.truth.obs_px[mine]
            name = f"{number}_{i:02}.png"
            store.put(
                "features",
                name,
                {
                    "keypoints": keypoints,
                    "descriptors": np.clip(np.round(of_point[points]), 0, 255).astype(np.uint8),
                },
            )
            cv2.imwrite(str(folder / name), np.full((HEIGHT, WIDTH), GREY, np.uint8))
            photos.append(Photo(name, folder / name, 0, WIDTH, HEIGHT, name))
            keys.append(name)
            counts.append(len(points))
            shows.append(points + number * 1_000_000)
    indices = np.array(list(combinations(range(len(photos)), 2)), np.int64)
    matched = []
    for p, (i1, i2) in enumerate(indices):
        _, n1, n2 = np.intersect1d(shows[i1], shows[i2], return_indices=True)
        store.put("matches", str(p), {"matches": np.column_stack([n1, n2]).astype(np.uint32)})
        matched.append(len(n1))
    return {
        "photos": PhotoIndex(tuple(photos), (camera,)),
        "features": FeatureSet(tuple(keys), np.array(counts), store),
        "matches": MatchSet(
            indices,
            tuple(str(p) for p in range(len(indices))),
            np.array(matched),
            ("",) * len(indices),
            store,
        ),
    }
