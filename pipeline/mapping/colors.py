"""Colours of the keypoints, and through them of the points."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import numpy as np

from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.photos.reading import read_rgb
from pipeline.products import Photo, PhotoIndex


class KeypointColors:
    """Colours of the keypoints, read while the model grows: mapping keeps one core busy at most.

    Use it in a `with` statement: what was not begun when it ends is cancelled.
    """

    def __init__(
        self, photos: PhotoIndex, keypoints_px: list[Float64s], executor: Executor
    ) -> None:
        self._futures: list[Future[UInt8s]] = [
            executor.submit(colors_at, photo, points_px)
            for photo, points_px in zip(photos.photos, keypoints_px, strict=True)
        ]

    def __enter__(self) -> KeypointColors:
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._futures:
            future.cancel()

    def of_image(self, i: int) -> UInt8s:
        """RGB (N_i, 3) of the keypoints of image i."""
        return self._futures[i].result()

    def found(self, i: int) -> UInt8s | None:
        """The same, or None while they are not known: never waits."""
        future = self._futures[i]
        return future.result() if future.done() and not future.exception() else None


def colors_at(photo: Photo, points_px: Float64s) -> UInt8s:
    """RGB (N, 3) of the pixels that hold the points (N, 2)."""
    rgb = read_rgb(photo)
    column, row = np.floor(points_px).astype(np.int64).T
    column, row = np.clip(column, 0, rgb.shape[1] - 1), np.clip(row, 0, rgb.shape[0] - 1)
    return np.asarray(rgb[row, column])
