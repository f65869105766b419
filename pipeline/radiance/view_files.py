"""Picture files as views: decoded, set on white, and scaled to the size that is learned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import PipelineError
from pipeline.formats.files import read_bytes
from pipeline.formats.posed import PosedPhotos, camera_at_size
from pipeline.geometry.arrays import UInt8s
from pipeline.geometry.cameras import Camera
from pipeline.photos.reading import UnreadablePhoto, decode, read_header
from pipeline.radiance.views import View


def read_views(
    folder: Path, photos: PosedPhotos, names: Sequence[str], size_px: int | None
) -> tuple[View, ...]:
    """Views of picture files, in the order of `names`; those of equal cameras share one.

    folder: where the names start. size_px: longer side that larger pictures are scaled down to;
    None: none is. Raises PipelineError naming a file that is missing, damaged, without intrinsics,
    or of another shape than its camera.
    """
    cameras: dict[tuple[object, ...], Camera] = {}
    views = []
    for name in names:
        if name not in photos.intrinsics:
            raise PipelineError(
                "Intrinsics missing",
                f"{folder / name} has a pose, but no intrinsics",
                "Check that the picture is there and that the poses' file gives a focal length.",
            )
        rgb = read_picture(folder / name, size_px)
        camera = camera_at_size(photos.intrinsics[name], rgb.shape[1], rgb.shape[0])
        key = (camera.model, camera.width, camera.height, *camera.params.tolist())
        views.append(View(name, rgb, cameras.setdefault(key, camera)))
    return tuple(views)


def read_picture(path: Path, size_px: int | None) -> UInt8s:
    """A picture file as (H, W, 3) uint8, upright; what is transparent shows white.

    size_px: longer side that larger pictures are scaled down to, every new pixel the mean of the
    area that it covers; None: none is. Raises PipelineError naming a file that is missing or
    damaged.
    """
    data = read_bytes(path)
    try:
        rgba = _transparent(data)
        pixels = decode(data, read_header(data), grey=False) if rgba is None else rgba
    except (UnreadablePhoto, OSError, SyntaxError, ValueError) as error:
        raise PipelineError(
            "Picture unreadable", f"{path}: {error}", "Copy it again, or leave it out."
        ) from error
    if size_px is None:
        size_px = max(pixels.shape[:2])
    if rgba is None:
        return scaled(pixels, size_px)
    opacity = rgba[:, :, 3:].astype(np.float32) / 255.0
    on_white = rgba[:, :, :3] * opacity + 255.0 * (1.0 - opacity)
    return np.asarray(np.rint(scaled(on_white, size_px)).clip(0, 255), np.uint8)


def scaled(pixels: np.ndarray, size_px: int) -> np.ndarray:
    """Pixels (H, W, ...) with `size_px` on the longer side, by area; as they are if smaller."""
    height, width = pixels.shape[:2]
    factor = size_px / max(height, width)
    if factor >= 1.0:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _transparent(data: bytes) -> UInt8s | None:
    """Red, green, blue, opacity (H, W, 4) of a picture, upright; None where it has no opacity."""
    with Image.open(io.BytesIO(data)) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            return None
        return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
