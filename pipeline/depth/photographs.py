"""Photographs as depth is found in them: scaled down and without distortion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.geometry.arrays import Float32s
from pipeline.geometry.cameras import Camera, distort
from pipeline.item_refs import FileRef
from pipeline.photos.masks import read_mask
from pipeline.photos.reading import read_rgb
from pipeline.products import Photo

_WHITE = 255


@dataclass(frozen=True)
class UndistortTask:
    """A photograph to be undistorted; picklable. camera: of its full size. pinhole: of the
    result. file, mask: where to read them."""

    photo: Photo
    camera: Camera
    pinhole: Camera
    file: FileRef
    mask: FileRef | None

    @property
    def name(self) -> str:
        """Of the photograph."""
        return self.photo.name


def pinhole_of(camera: Camera, size_px: int) -> Camera:
    """The camera of the undistorted photograph: a PINHOLE of the same view, whose longer side has
    `size_px` pixels, or those of the photograph where these are fewer."""
    factor = min(1.0, size_px / max(camera.width, camera.height))
    width, height = (max(1, round(side * factor)) for side in (camera.width, camera.height))
    scale = width / camera.width, height / camera.height
    fx, fy, cx, cy = camera.opencv_params[:4] * (*scale, *scale)
    return Camera("PINHOLE", width, height, np.array([fx, fy, cx, cy]))


def undistort_photo(task: UndistortTask) -> dict[str, np.ndarray]:
    """Item function: the undistorted photograph, `rgb` (H, W, 3) uint8, and `valid` (H, W) bool:
    where it shows something that the mask lets through.

    Raises PipelineError where the photograph or its mask cannot be read any more.
    """
    rgb = read_rgb(task.photo, task.file)
    seen = np.full(rgb.shape[:2], _WHITE, np.uint8)
    mask = read_mask(task.photo, task.mask)
    if mask is not None:
        size = (rgb.shape[1], rgb.shape[0])
        seen = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    # Twice as fine as the result, then the mean of every four: what is finer must not alias.
    shrink = task.pinhole.width / task.camera.width
    finer = 2 if shrink <= 0.5 else 1
    if finer * shrink < 1.0:
        size = (finer * task.pinhole.width, finer * task.pinhole.height)
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    columns, rows = _where_from(task, finer, (rgb.shape[1], rgb.shape[0]))
    rgb = cv2.remap(rgb, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.remap(seen, columns, rows, cv2.INTER_LINEAR, borderValue=0)
    if finer > 1:
        size = (task.pinhole.width, task.pinhole.height)
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    return {"rgb": np.asarray(rgb, np.uint8), "valid": np.asarray(seen == _WHITE)}


def _where_from(
    task: UndistortTask, finer: int, size: tuple[int, int]
) -> tuple[Float32s, Float32s]:
    """Columns and rows, in OpenCV's pixels of a picture of `size`, of the undistorted pixels."""
    width, height = finer * task.pinhole.width, finer * task.pinhole.height
    x, y = np.meshgrid((np.arange(width) + 0.5) / finer, (np.arange(height) + 0.5) / finer)
    fx, fy, cx, cy = task.pinhole.params
    uv = np.column_stack([(x.ravel() - cx) / fx, (y.ravel() - cy) / fy])
    full = task.camera.opencv_params
    pixels = distort(uv, full[4:]) * full[:2] + full[2:4]
    pixels *= (size[0] / task.camera.width, size[1] / task.camera.height)
    columns, rows = (pixels - 0.5).T.reshape(2, height, width).astype(np.float32)
    return columns, rows
