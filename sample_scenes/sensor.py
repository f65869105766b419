"""What the camera body does to the light: exposure, vignetting, noise, tone curve, eight bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sample_scenes.scene import SceneSpec, View
from sample_scenes.texture_store import linear_to_srgb
from sample_scenes.tracer import STRIP_ROWS

Floats = NDArray[np.float32]

_SHOT_NOISE = 1.6e-5
_READ_NOISE = 4e-6
_VIGNETTING = 0.22


def develop(
    spec: SceneSpec, view: View, radiance: Floats, strips: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """The photograph (rows, width, 3) in sRGB from linear radiance of the same shape.

    `strips` names the strips the rows belong to, when they are not the whole picture: the noise of
    a strip is always the same.
    """
    camera = view.camera
    count = -(-camera.height // STRIP_ROWS)
    pieces, start = [], 0
    for strip in range(count) if strips is None else strips:
        top = strip * STRIP_ROWS
        rows = min(STRIP_ROWS, camera.height - top)
        light = radiance[start : start + rows] * (spec.gain * 2.0**view.exposure_ev)
        light = light * _falloff(camera.width, camera.height, top, rows)[..., None]
        rng = np.random.default_rng([spec.seed, 2, view.index, strip])
        deviation = np.sqrt(np.maximum(light, 0.0) * _SHOT_NOISE + _READ_NOISE)
        light = np.maximum(light + rng.standard_normal(light.shape) * deviation, 0.0)
        pieces.append(
            np.rint(linear_to_srgb(_tone(light).astype(np.float64)) * 255.0).astype(np.uint8)
        )
        start += rows
    return np.concatenate(pieces)


def _falloff(width: int, height: int, top: int, rows: int) -> Floats:
    """How much darker the lens is towards the corners: (rows, width), 1 in the middle."""
    y, x = np.mgrid[top : top + rows, 0:width] + 0.5
    squared = (x - width / 2.0) ** 2 + (y - height / 2.0) ** 2
    return np.asarray(1.0 - _VIGNETTING * squared / ((width / 2.0) ** 2 + (height / 2.0) ** 2))


def _tone(light: Floats) -> Floats:
    """A film-like curve with a soft shoulder, between Narkowicz's fit of ACES and Reinhard's."""
    film = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    soft = 1.6 * light / (1.0 + 1.4 * light)
    return np.clip(0.5 * (film + soft), 0.0, 1.0)
