"""Cameras and points as they are at a moment of a stage at work, for browsers.

A snapshot decides nothing, has a bound whatever the number of points, and lies in the run directory
as a preview: a container (see `formats.bundle`) of the kind `scene`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pipeline.events import Preview
from pipeline.formats.bundle import Buffer, pack
from pipeline.formats.point_stream import quantised, robust_box
from pipeline.geometry.arrays import Float32s, Float64s, Int32s, UInt8s
from pipeline.sketches import PreviewBook

SUFFIX = ".scene"
SECONDS_BETWEEN = 0.5
MOST_POINTS = 100_000
_BOX_SAMPLE = 10_000
_STEPS = 65535


@dataclass(frozen=True, eq=False)
class LiveScene:
    """A moment.

    stage: at work. registered, of: photographs. up: unit vector. poses: (M, 3, 4) camera from
    world. photos: (M,) index of each one's photograph, -1 for none. cameras: (M, 6) width, height,
    fx, fy, cx, cy in pixels. xyz: (N, 3), rgb: (N, 3).
    """

    stage: str
    registered: int
    of: int
    up: tuple[float, float, float]
    poses: Float32s
    photos: Int32s
    cameras: Float32s
    xyz: Float64s = field(default_factory=lambda: np.zeros((0, 3)))
    rgb: UInt8s = field(default_factory=lambda: np.zeros((0, 3), np.uint8))


def encode_scene(scene: LiveScene, step: int) -> bytes:
    """A snapshot as a container; of many points a part, evenly, and none that is far away."""
    every = max(1, -(-len(scene.xyz) // MOST_POINTS))
    xyz, rgb = scene.xyz[::every], scene.rgb[::every]
    box = robust_box(xyz, _BOX_SAMPLE)
    near = box.holds(xyz)
    xyz, rgb = xyz[near], rgb[near]
    size = np.maximum((box.high - box.low) / _STEPS, np.finfo(np.float64).tiny)
    positions = quantised(xyz, box.low, size)
    known = np.isfinite(scene.poses).all(axis=(1, 2)) & np.isfinite(scene.cameras).all(axis=1)
    poses = np.ascontiguousarray(scene.poses[known].reshape(-1, 12), "<f4")
    photos = np.ascontiguousarray(scene.photos[known], "<i4")
    cameras = np.ascontiguousarray(scene.cameras[known], "<f4")
    n, m = len(xyz), len(poses)
    header = {
        "stage": scene.stage,
        "step": step,
        "registered": scene.registered,
        "of": scene.of,
        "origin": box.low.tolist(),
        "step_xyz": size.tolist(),
        "up": list(scene.up),
    }
    return pack(
        "scene",
        header,
        [
            Buffer("positions", "u16", (n, 3), positions.tobytes()),
            Buffer("colors", "u8", (n, 3), np.ascontiguousarray(rgb, np.uint8).tobytes()),
            Buffer("poses", "f32", (m, 12), poses.tobytes()),
            Buffer("photos", "i32", (m,), photos.tobytes()),
            Buffer("cameras", "f32", (m, 6), cameras.tobytes()),
        ],
    )


def up_of(rotations: Float64s) -> tuple[float, float, float]:
    """Against the mean of the cameras' y axes; (0, -1, 0) where they tell none. rotations:
    (M, 3, 3) camera from world."""
    up = -rotations[:, 1].sum(axis=0)
    length = float(np.linalg.norm(up))
    if not length > 1e-6:
        return 0.0, -1.0, 0.0
    x, y, z = (up / length).tolist()
    return x, y, z


class SceneBook(PreviewBook):
    """Keeps the snapshots of a stage at work, two a second at most."""

    FREE_S: ClassVar[float] = 0.1

    def draw(
        self, step: int, make: Callable[[], LiveScene | None], *, last: bool = False
    ) -> Iterator[Preview]:
        """Keep what `make` returns, where it is time for that or it is the last one, and there is
        something; tells which file. Raises PipelineError where the disk refuses."""

        def encoded() -> bytes:
            scene = make()
            return b"" if scene is None else encode_scene(scene, step)

        return self.keep(f"{step:08}{SUFFIX}", step, encoded, SECONDS_BETWEEN, last)
