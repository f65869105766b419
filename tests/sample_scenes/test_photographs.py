"""The committed photographs and their ground truth keep what the README promises."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sample_scenes import desk_scene, facade_scene
from sample_scenes.photo_files import ground_truth
from sample_scenes.scene import SceneSpec

FOLDER = Path(desk_scene.__file__).parent
FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x920A, 0xA405


@dataclass(frozen=True)
class Promise:
    spec: SceneSpec
    count: int
    megabytes: float


PROMISES = (Promise(desk_scene.spec(), 36, 10.0), Promise(facade_scene.spec(), 20, 5.0))
both = pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.spec.name)


def photos(promise: Promise) -> list[Path]:
    return sorted((FOLDER / promise.spec.name / "images").iterdir())


def truth(promise: Promise) -> dict[str, Any]:
    text = (FOLDER / promise.spec.name / "ground_truth.json").read_text(encoding="utf-8")
    entries: dict[str, Any] = json.loads(text)
    return entries


@both
def test_number_names_and_size_on_disk(promise: Promise) -> None:
    found = photos(promise)
    name = promise.spec.name
    assert [photo.name for photo in found] == [
        f"{name}_{number:03d}.jpg" for number in range(1, promise.count + 1)
    ]
    assert sum(photo.stat().st_size for photo in found) < promise.megabytes * 1e6


@both
def test_exif_names_the_camera_and_nearly_its_focal_length(promise: Promise) -> None:
    focal_px = truth(promise)[photos(promise)[0].name]["K"][0][0]
    for photo in photos(promise):
        with Image.open(photo) as image:
            assert image.size == (960, 640)
            exif = image.getexif()
        details = exif.get_ifd(0x8769)
        assert exif[0x010F] == promise.spec.device.make
        assert exif[0x0110] == promise.spec.device.model
        assert float(details[FOCAL_LENGTH]) == pytest.approx(promise.spec.device.focal_length_mm)
        prior_px = details[FOCAL_LENGTH_35MM] / 36.0 * 960
        assert 0.005 < abs(prior_px / focal_px - 1.0) < 0.03


@both
def test_ground_truth_is_that_of_the_scene_and_well_formed(promise: Promise) -> None:
    entries = truth(promise)
    assert sorted(entries) == [photo.name for photo in photos(promise)]
    expected = json.loads(ground_truth(promise.spec.views()))
    for name, entry in entries.items():
        rotation = np.array(entry["R_c2w"])
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-8)
        assert np.linalg.det(rotation) > 0
        for key in ("K", "k1", "R_c2w", "center"):
            np.testing.assert_allclose(entry[key], expected[name][key], atol=1e-8)


@both
def test_neighbouring_views_differ_but_look_the_same_way(promise: Promise) -> None:
    entries = list(truth(promise).values())
    for first, second in pairwise(entries):
        step = np.linalg.norm(np.subtract(first["center"], second["center"]))
        turn = np.array(first["R_c2w"]).T @ np.array(second["R_c2w"])
        angle_deg = np.degrees(np.arccos((np.trace(turn) - 1.0) / 2.0))
        assert 0.005 < step < 3.0
        assert angle_deg < 20.0


@both
def test_photographs_have_enough_keypoints(promise: Promise) -> None:
    """Every fourth one is searched, to save time."""
    sift: Any = cv2.SIFT.create(0, 3, 0.02, 10, 1.6, True)
    for photo in photos(promise)[::4]:
        grey = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        assert len(sift.detect(grey, None)) >= 2000, photo.name
