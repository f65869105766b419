"""What a scene is made of: parts, materials, lights, views. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sample_scenes.camera import Camera
from sample_scenes.meshes import Part

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks: an sRGB picture (H,W,3) and how it throws light back.

    `specular` is the strength and `gloss` the exponent of the highlight; `mirror` the share of
    light reflected at right angles like a mirror does (it grows towards grazing angles); `emission`
    the radiance of a white texel.
    """

    image: Pixels
    specular: float = 0.0
    gloss: float = 40.0
    mirror: float = 0.0
    emission: float = 0.0


@dataclass(frozen=True)
class RectLight:
    """A one-sided luminous parallelogram, in metres; it shines along edge_u x edge_v.

    `colour` is its linear radiance.
    """

    corner: Colour
    edge_u: Colour
    edge_v: Colour
    colour: Colour


@dataclass(frozen=True)
class Sun:
    """A distant disc: direction towards it (unit), its angular radius, irradiance (`colour`)."""

    direction: Colour
    radius_rad: float
    colour: Colour


Light = RectLight | Sun


@dataclass(frozen=True)
class Scene:
    """A world in metres, z up. `sky` maps unit directions (N,3) to linear radiance (N,3)."""

    parts: list[Part]
    materials: dict[str, Material]
    lights: tuple[Light, ...]
    sky: Callable[[Floats], Floats]


@dataclass(frozen=True)
class View:
    """One photograph to take: its file name, number, camera and exposure in stops."""

    name: str
    index: int
    camera: Camera
    exposure_ev: float

    def scaled(self, factor: float) -> View:
        """The same photograph with `factor` times as many pixels along each side."""
        return replace(self, camera=self.camera.scaled(factor))


@dataclass(frozen=True)
class Device:
    """What EXIF says about the camera. The focal length is rounded, as in a real file."""

    make: str
    model: str
    focal_length_mm: float
    focal_length_35mm: int
    f_number: float
    base_exposure_s: float
    iso: int
    taken: str


@dataclass(frozen=True)
class SceneSpec:
    """Everything that `render` needs to know about a scene.

    `parts` makes its geometry alone, within a second; `build` paints it, too.
    """

    name: str
    seed: int
    parts: Callable[[], list[Part]]
    build: Callable[[], Scene]
    views: Callable[[], list[View]]
    device: Device
    gain: float
    jpeg_quality: int
