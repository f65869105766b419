"""Colours of the keypoints are read beside the mapping, and no longer than it lasts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.geometry.cameras import Camera
from pipeline.mapping import colors
from pipeline.mapping.colors import KeypointColors, colors_at
from pipeline.products import Photo, PhotoIndex

CAMERA = Camera("SIMPLE_PINHOLE", 40, 32, np.array([40.0, 20.0, 16.0]))


def _photo(folder: Path) -> Photo:
    bgr = np.zeros((32, 40, 3), np.uint8)
    bgr[..., 2], bgr[..., 1] = np.arange(40), np.arange(32)[:, None]
    cv2.imwrite(str(folder / "a.png"), bgr)
    return Photo("a.png", folder / "a.png", 0, 40, 32, "a")


def test_the_pixel_that_holds_the_keypoint(tmp_path: Path) -> None:
    found = colors_at(_photo(tmp_path), np.array([[0.5, 0.5], [2.99, 7.0], [40.0, 32.0]]))
    assert found.tolist() == [[0, 0, 0], [2, 7, 0], [39, 31, 0]]


def test_what_was_not_begun_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, begun, go_on = _photo(tmp_path), threading.Event(), threading.Event()
    read: list[str] = []

    def slowly(photo: Photo) -> np.ndarray:
        read.append(photo.name)
        begun.set()
        go_on.wait(10.0)
        return np.zeros((32, 40, 3), np.uint8)

    monkeypatch.setattr(colors, "read_rgb", slowly)
    points = [np.ones((1, 2))] * 5
    index = PhotoIndex((photo,) * 5, (CAMERA,))
    with ThreadPoolExecutor(1) as executor:
        with KeypointColors(index, points, executor) as reading:
            assert begun.wait(10.0)
        go_on.set()
        assert reading.of_image(0).tolist() == [[0, 0, 0]]
    assert read == ["a.png"]
