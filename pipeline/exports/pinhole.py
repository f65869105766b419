"""Photographs as a pinhole camera would have taken them, for formats that know no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline.formats.posed import is_centred_pinhole
from pipeline.geometry.arrays import Float32s, Float64s, UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.products import SparseModel

_STEPS = 24  # of bisection: to less than a millionth of the focal length
_MOST_ZOOM = 16.0  # a focal length so many times longer than the camera's shows hardly anything
_BORDER_POINTS = 100  # a side
_ROWS = 256


def centred_pinhole(cameras: Sequence[Camera]) -> Camera | None:
    """The pinhole camera of the widest view that all cameras of one size cover without a gap.

    It has their size, one focal length and a centred principal point. Result: the camera itself
    where they are all it; None where no such view exists, as for a lens whose optical axis misses
    the photograph. Raises ValueError for cameras of several sizes.
    """
    first = cameras[0]
    if len({(camera.width, camera.height) for camera in cameras}) != 1:
        raise ValueError("a pinhole camera for photographs of several sizes")
    focals = {camera.focal_px for camera in cameras}
    if all(is_centred_pinhole(camera) for camera in cameras) and len(focals) == 1:
        return _pinhole(first, first.focal_px)
    short, long = min(focals) / _MOST_ZOOM, max(focals) * _MOST_ZOOM
    if not all(_covers(camera, _pinhole(first, long)) for camera in cameras):
        return None
    for _ in range(_STEPS):
        focal = (short * long) ** 0.5
        if all(_covers(camera, _pinhole(first, focal)) for camera in cameras):
            long = focal
        else:
            short = focal
    return _pinhole(first, long)


def undistorted_model(model: SparseModel, pinholes: dict[int, Camera]) -> SparseModel:
    """The model with pinhole cameras, by camera key, in place of its own.

    Keypoints move to where the pinhole camera sees them: NaN for one that it cannot.
    """
    images = {}
    for image_id, image in model.images.items():
        uv = model.cameras[image.camera].unproject(image.keypoints_px)
        rays = np.column_stack([uv, np.ones(len(uv))])
        keypoints_px = pinholes[image.camera].project(rays)
        images[image_id] = replace(image, keypoints_px=keypoints_px)
    return SparseModel(pinholes, images, model.points)


class Undistorter:
    """Photographs of one camera, resampled as a pinhole camera would have taken them."""

    def __init__(self, camera: Camera, pinhole: Camera) -> None:
        self._maps = sampling_maps(camera, pinhole)

    def __call__(self, photograph: UInt8s) -> UInt8s:
        """The resampled photograph, (h, w, 3) uint8 of the pinhole's size."""
        sampled = cv2.remap(
            photograph, *self._maps, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(sampled, np.uint8)


def sampling_maps(camera: Camera, pinhole: Camera) -> tuple[Float32s, Float32s]:
    """Where each pixel of the pinhole's picture lies in the camera's, as x and y (h, w) for OpenCV,
    which counts from the centre of the first pixel."""
    x = np.empty((pinhole.height, pinhole.width), np.float32)
    y = np.empty_like(x)
    for start in range(0, pinhole.height, _ROWS):
        rows = np.arange(start, min(start + _ROWS, pinhole.height))
        centres = np.meshgrid(np.arange(pinhole.width) + 0.5, rows + 0.5)
        places = _seen_at(camera, pinhole, np.stack(centres, axis=2).reshape(-1, 2)) - 0.5
        x[rows], y[rows] = places.T.reshape(2, len(rows), -1)
    return x, y


def _pinhole(camera: Camera, focal_px: float) -> Camera:
    params = np.array([focal_px, camera.width / 2, camera.height / 2])
    return replace(camera, model="SIMPLE_PINHOLE", params=params)


def _seen_at(camera: Camera, pinhole: Camera, points_px: Float64s) -> Float64s:
    """Where a camera sees what the pinhole sees at pixels (N, 2)."""
    uv = pinhole.unproject(points_px)
    return camera.project(np.column_stack([uv, np.ones(len(uv))]))


def _covers(camera: Camera, pinhole: Camera) -> bool:
    """Whether the camera saw all that the pinhole would see; its border decides."""
    along = np.linspace(0.0, 1.0, _BORDER_POINTS)
    ends = np.repeat([0.0, 1.0], _BORDER_POINTS)
    both = np.concatenate([along, along])
    border = np.concatenate([np.stack([both, ends], 1), np.stack([ends, both], 1)])
    border = border * (pinhole.width, pinhole.height)
    seen = _seen_at(camera, pinhole, border)
    if not ((seen >= 0.0).all() and (seen <= (camera.width, camera.height)).all()):
        return False
    # Beyond the fold of a strong distortion a place in the photograph belongs to another ray.
    back = camera.unproject(seen)
    return bool(np.abs(back - pinhole.unproject(border)).max() < 1e-6)
