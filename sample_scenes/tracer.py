"""From a view to linear light: rays, textures, soft shadows, highlights, mirror reflections.

The picture is made in strips of rows. Each strip has a random generator of its own, so the result
does not depend on the order or the number of threads, and a strip can be drawn alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sample_scenes.bake import bake_indirect
from sample_scenes.camera import Camera
from sample_scenes.scene import Scene, View
from sample_scenes.world import Hits, World, dots, light_sample, normalise

Floats = NDArray[np.float32]

STRIP_ROWS = 32
_SIDE = 2
_SHADOW_RAYS = 4
_FAINT = 1e-5


class Tracer:
    """A scene with its light worked out, ready to be photographed."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.world = World(scene)
        self.seed = seed
        self.indirect, self.radiosity = bake_indirect(self.world, seed)
        materials = self.world.materials
        self._specular = np.array([material.specular for material in materials], dtype=np.float32)
        self._gloss = np.array([material.gloss for material in materials], dtype=np.float32)
        self._mirror = np.array([material.mirror for material in materials], dtype=np.float32)
        self._emission = np.array([material.emission for material in materials], dtype=np.float32)

    def radiance(self, view: View, strips: Sequence[int] | None = None, threads: int = 2) -> Floats:
        """Linear radiance (rows, width, 3) of the view, or of some strips of it, put together."""
        count = -(-view.camera.height // STRIP_ROWS)
        wanted = list(range(count)) if strips is None else list(strips)
        with ThreadPoolExecutor(threads) as pool:
            pieces = list(pool.map(lambda strip: self._strip(view, strip), wanted))
        return np.concatenate(pieces)

    def _strip(self, view: View, strip: int) -> Floats:
        camera = view.camera
        rng = np.random.default_rng([self.seed, 1, view.index, strip])
        top = strip * STRIP_ROWS
        rows = min(STRIP_ROWS, camera.height - top)
        light = np.zeros((rows * camera.width, 3), dtype=np.float32)
        y, x = np.divmod(np.arange(rows * camera.width), camera.width)
        for part in range(_SIDE * _SIDE):
            jitter = rng.random((2, len(x)))
            across = (part % _SIDE + jitter[0]) / _SIDE
            down = (part // _SIDE + jitter[1]) / _SIDE
            pixels = np.stack([x + across, y + top + down], axis=1)
            directions = camera.directions(pixels).astype(np.float32)
            light += self._look(camera, directions, part, rng)
        light /= _SIDE * _SIDE
        return light.reshape(rows, camera.width, 3)

    def _look(
        self, camera: Camera, directions: Floats, part: int, rng: np.random.Generator
    ) -> Floats:
        world = self.world
        center = camera.center.astype(np.float32)
        hits = world.cast(np.broadcast_to(center, directions.shape), directions)
        radiance = np.empty_like(directions)
        missed = np.ones(len(directions), dtype=bool)
        missed[hits.rays] = False
        unit = directions.copy()
        normalise(unit)
        radiance[missed] = world.scene.sky(unit[missed])
        towards = directions[hits.rays]
        points = center + towards * hits.distance[:, None]
        normals = world.shading_normals(hits, towards)
        incoming = unit[hits.rays]
        cosine = np.clip(-dots(incoming, normals), 0.05, 1.0)
        spacing = hits.distance.copy()
        spacing /= np.sqrt(cosine)
        spacing /= camera.focal_px * _SIDE
        colour = self._colour(hits, spacing)
        material = world.material[hits.triangles]
        lifted = world.lifted(points, normals)
        direct, highlight = self._lit(lifted, normals, incoming, material, part, rng)
        baked = world.interpolate(self.indirect, hits)
        seen = (
            colour
            * ((direct + baked) * np.float32(1.0 / np.pi) + self._emission[material][:, None])
            + highlight
        )
        glassy = np.nonzero(self._mirror[material] > 0.0)[0]
        if len(glassy):
            share = self._mirror[material[glassy]]
            share = (share + (1.0 - share) * (1.0 - cosine[glassy]) ** 5)[:, None]
            image = self._reflected(lifted[glassy], normals[glassy], incoming[glassy])
            seen[glassy] = seen[glassy] * (1.0 - share) + image * share
        radiance[hits.rays] = seen
        return radiance

    def _colour(self, hits: Hits, spacing_m: Floats) -> Floats:
        """Linear colours (M,3) of the surfaces, filtered to a footprint of `spacing_m` (M,)."""
        world = self.world
        uv = world.interpolate(world.uv, hits)
        level = np.log2(np.maximum(spacing_m / world.texel_m[hits.triangles], 1e-6))
        picture = world.material[hits.triangles]
        return world.textures.sample(picture, uv, level)

    def _lit(
        self,
        points: Floats,
        normals: Floats,
        incoming: Floats,
        material: NDArray[np.int64],
        part: int,
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Direct irradiance (M,3) and highlights (M,3), with a few seeded shadow rays a light.

        The parts of a pixel share the light's surface out among them.
        """
        irradiance = np.zeros_like(points)
        highlight = np.zeros_like(points)
        side = round(np.sqrt(_SHADOW_RAYS)) * _SIDE
        shine, gloss = self._specular[material], self._gloss[material]
        for light in self.world.scene.lights:
            arriving = np.zeros(len(points), dtype=np.float32)
            glint = np.zeros(len(points), dtype=np.float32)
            tint = np.array(light.colour, dtype=np.float32)
            for ray in range(_SHADOW_RAYS):
                column = ray % 2 * _SIDE + part % _SIDE
                row = ray // 2 * _SIDE + part // _SIDE
                jitter = rng.random((2, len(points)), dtype=np.float32)
                directions, strength, reach = light_sample(
                    light, points, (column + jitter[0]) / side, (row + jitter[1]) / side
                )
                strength *= np.maximum(dots(directions, normals), 0.0)
                lit = np.nonzero(strength > _FAINT)[0]
                free = lit[~self.world.blocked(points[lit], directions[lit], reach)]
                half = directions[free]
                length = np.sqrt(dots(half, half))
                received = strength[free] / (length * _SHADOW_RAYS)
                arriving[free] += received
                shiny = np.nonzero(shine[free] > 0.0)[0]
                half = half[shiny]
                half /= length[shiny, None]
                half -= incoming[free[shiny]]
                normalise(half)
                lobe = np.clip(dots(half, normals[free[shiny]]), 0.0, 1.0) ** gloss[free[shiny]]
                glint[free[shiny]] += received[shiny] * lobe
            glint *= shine * (gloss + 8.0) * np.float32(1.0 / (8.0 * np.pi))
            irradiance += arriving[:, None] * tint
            highlight += glint[:, None] * tint
        return irradiance, highlight

    def _reflected(self, points: Floats, normals: Floats, incoming: Floats) -> Floats:
        """What the mirror directions see (M,3): textured surfaces under their baked light."""
        world = self.world
        directions = incoming - 2.0 * dots(incoming, normals)[:, None] * normals
        hits = world.cast(points, directions)
        image = world.scene.sky(directions).astype(np.float32)
        image[hits.rays] = world.interpolate(self.radiosity, hits)
        return image
