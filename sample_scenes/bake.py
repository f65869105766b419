"""Light that arrives from other surfaces and from the sky, worked out once per vertex.

A gathering radiosity: each vertex sends a fixed fan of rays; what they hit sends its light back,
for two bounces. Direct light is not part of the result (the tracer adds it, with sharp shadows).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_scenes.world import Hits, World, dots, light_sample

Floats = NDArray[np.float32]

_FAN = 48
_LIGHT_SAMPLES = 4
_BOUNCES = 2
_BATCH = 20000
_COARSE_M = 0.03


def bake_indirect(world: World, seed: int) -> tuple[Floats, Floats]:
    """Irradiance at every vertex, linear RGB: (indirect (V,3), the radiosity of the surface (V,3)).

    Deterministic for a seed. The radiosity is what a ray that ends at the vertex brings back.
    """
    rng = np.random.default_rng([seed, 7])
    turn = rng.random((len(world.vertices), 2), dtype=np.float32)
    albedo, emission = _vertex_colours(world)
    direct = direct_irradiance(world, rng)
    fans = [
        _fan(world, slice(start, start + _BATCH), turn)
        for start in range(0, len(world.vertices), _BATCH)
    ]
    indirect = np.zeros_like(direct)
    radiosity = _radiosity(albedo, direct, emission)
    for _ in range(_BOUNCES):
        indirect = np.concatenate([_gather(world, fan, radiosity) for fan in fans])
        radiosity = _radiosity(albedo, direct + indirect, emission)
    return indirect, radiosity


def direct_irradiance(world: World, rng: np.random.Generator) -> Floats:
    """Irradiance (V,3) that the lights give the vertices, shadows included."""
    points = world.lifted(world.vertices, world.normals)
    total = np.zeros_like(points)
    side = round(np.sqrt(_LIGHT_SAMPLES))
    for light in world.scene.lights:
        for stratum in range(_LIGHT_SAMPLES):
            jitter = rng.random((2, len(points)), dtype=np.float32)
            first = (stratum % side + jitter[0]) / side
            second = (stratum // side + jitter[1]) / side
            directions, strength, reach = light_sample(light, points, first, second)
            cosine = dots(directions, world.normals) / np.sqrt(dots(directions, directions))
            strength *= np.maximum(cosine, 0.0) / np.float32(_LIGHT_SAMPLES)
            lit = np.nonzero(strength > 0.0)[0]
            free = lit[~world.blocked(points[lit], directions[lit], reach)]
            total[free] += strength[free, None] * np.array(light.colour, dtype=np.float32)
    return total


def _radiosity(albedo: Floats, irradiance: Floats, emission: Floats) -> Floats:
    return albedo * irradiance * np.float32(1.0 / np.pi) + emission


def _vertex_colours(world: World) -> tuple[Floats, Floats]:
    """Mean colour and emission around each vertex, both (V,3)."""
    picture = np.zeros(len(world.vertices), dtype=np.int64)
    texel = np.full(len(world.vertices), _COARSE_M, dtype=np.float32)
    for corner in range(3):
        picture[world.triangles[:, corner]] = world.material
        texel[world.triangles[:, corner]] = world.texel_m
    level = np.log2(np.maximum(_COARSE_M / texel, 1.0))
    colour = world.textures.sample(picture, world.uv, level)
    emission = np.array([material.emission for material in world.materials], dtype=np.float32)
    emission = emission[picture]
    return colour, colour * emission[:, None]


def _fan(world: World, part: slice, turn: Floats) -> tuple[Hits, Floats, int]:
    """Cosine-weighted rays of some vertices: their hits and the sky seen by the rest (n,3)."""
    normals = world.normals[part]
    origins = world.lifted(world.vertices[part], normals)
    count = len(normals)
    i = np.arange(_FAN, dtype=np.float32)
    # An R2 low-discrepancy sequence, shifted from vertex to vertex.
    first = (turn[part, :1] + i * np.float32(0.7548776662466927)) % 1.0
    second = (turn[part, 1:] + i * np.float32(0.5698402909980532)) % 1.0
    helper = np.where(
        np.abs(normals[:, :1]) > 0.7, np.eye(3, dtype=np.float32)[1], np.eye(3, dtype=np.float32)[0]
    )
    side = np.cross(normals, helper)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(normals, side)
    radius, angle = np.sqrt(first)[..., None], np.float32(2.0 * np.pi) * second[..., None]
    directions = (
        radius * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None])
        + np.sqrt(1.0 - first)[..., None] * normals[:, None]
    ).reshape(-1, 3)
    hits = world.cast(np.repeat(origins, _FAN, axis=0), directions)
    missed = np.ones(count * _FAN, dtype=bool)
    missed[hits.rays] = False
    brought = np.zeros((count * _FAN, 3), dtype=np.float32)
    brought[missed] = world.scene.sky(directions[missed])
    return hits, brought.reshape(count, _FAN, 3).mean(axis=1) * np.float32(np.pi), count


def _gather(world: World, fan: tuple[Hits, Floats, int], radiosity: Floats) -> Floats:
    hits, sky, count = fan
    brought = world.interpolate(radiosity, hits)
    owner = hits.rays // _FAN
    total = [np.bincount(owner, brought[:, channel], minlength=count) for channel in range(3)]
    return np.asarray(sky + np.stack(total, axis=1) * (np.pi / _FAN), dtype=np.float32)
