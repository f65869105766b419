"""A scene made ready for rays: one mesh in Open3D's ray caster, its attributes in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample_scenes.camera import Camera
from sample_scenes.open3d_loader import load_open3d
from sample_scenes.scene import Light, RectLight, Scene
from sample_scenes.texture_store import TextureStore

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_OFFSET_M = 5e-4


@dataclass(frozen=True)
class Hits:
    """Where rays met the world: `rays` (M,) are their numbers, the other arrays follow them.

    `distance` is in units of the rays' direction vectors; `weights` (M,3) are barycentric.
    """

    rays: Ints
    distance: Floats
    triangles: Ints
    weights: Floats


class World:
    """The merged mesh of a scene and its ray caster."""

    def __init__(self, scene: Scene) -> None:
        self._open3d: Any = load_open3d()
        self.scene = scene
        names = sorted({part.material for part in scene.parts})
        self.materials = [scene.materials[name] for name in names]
        number = {name: i for i, name in enumerate(names)}
        starts = np.cumsum([0] + [len(part.vertices) for part in scene.parts])
        self.vertices: Floats = np.concatenate(
            [part.vertices for part in scene.parts], dtype=np.float32, casting="same_kind"
        )
        self.normals: Floats = np.concatenate(
            [part.normals for part in scene.parts], dtype=np.float32, casting="same_kind"
        )
        self.uv: Floats = np.concatenate(
            [part.uv for part in scene.parts], dtype=np.float32, casting="same_kind"
        )
        self.triangles: Ints = np.concatenate(
            [part.triangles + start for part, start in zip(scene.parts, starts, strict=False)]
        )
        self.material: Ints = np.concatenate(
            [np.full(len(part.triangles), number[part.material]) for part in scene.parts]
        )
        self.textures = TextureStore([material.image for material in self.materials])
        self.texel_m = self._texel_sizes()
        self._caster: Any = self._open3d.t.geometry.RaycastingScene()
        tensor = self._open3d.core.Tensor
        self._caster.add_triangles(tensor(self.vertices), tensor(self.triangles.astype(np.uint32)))

    def cast(self, origins: Floats, directions: Floats) -> Hits:
        """The first hits of rays (N,3) + t (N,3), t > 0."""
        found = self._caster.cast_rays(self._rays(origins, directions))
        distance = found["t_hit"].numpy()
        rays = np.nonzero(np.isfinite(distance))[0]
        triangles = found["primitive_ids"].numpy()[rays].astype(np.int64)
        second = found["primitive_uvs"].numpy()[rays]
        weights = np.concatenate([1.0 - second.sum(axis=1, keepdims=True), second], axis=1)
        return Hits(rays, distance[rays], triangles, weights)

    def depth(self, camera: Camera) -> Floats:
        """Depth along the optical axis (H,W) in metres through the pixel centres; 0: nothing."""
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        directions = camera.directions(np.stack([x.ravel(), y.ravel()], axis=1))
        rays = directions.astype(np.float32)
        center = camera.center.astype(np.float32)
        hits = self.cast(np.broadcast_to(center, rays.shape), rays)
        depth = np.zeros(camera.height * camera.width, dtype=np.float32)
        depth[hits.rays] = hits.distance
        return depth.reshape(camera.height, camera.width)

    def blocked(self, origins: Floats, directions: Floats, reach: float) -> Bools:
        """Whether something lies on the rays between t = 0 and `reach`: (N,)."""
        rays = self._rays(origins, directions)
        return np.asarray(self._caster.test_occlusions(rays, tnear=0.0, tfar=reach).numpy())

    def interpolate(self, values: Floats, hits: Hits) -> Floats:
        """Vertex attributes (V,C) at the hits: (M,C)."""
        corners = self.triangles[hits.triangles]
        total = values[corners[:, 0]] * hits.weights[:, :1]
        total += values[corners[:, 1]] * hits.weights[:, 1:2]
        total += values[corners[:, 2]] * hits.weights[:, 2:]
        return np.asarray(total)

    def shading_normals(self, hits: Hits, directions: Floats) -> Floats:
        """Unit normals (M,3) at the hits, turned towards where the rays `directions` came from."""
        normals = self.interpolate(self.normals, hits)
        normalise(normals)
        away = dots(normals, directions) > 0.0
        normals[away] *= -1.0
        return normals

    @staticmethod
    def lifted(points: Floats, normals: Floats) -> Floats:
        """Points moved off their surface, so that rays from them do not meet it at once."""
        return points + normals * np.float32(_OFFSET_M)

    def _rays(self, origins: Floats, directions: Floats) -> Any:
        rays = np.empty((len(directions), 6), dtype=np.float32)
        rays[:, :3], rays[:, 3:] = origins, directions
        return self._open3d.core.Tensor(rays)

    def _texel_sizes(self) -> Floats:
        """The side of a texel on each triangle, (T,), metres."""
        sizes = np.array(self.textures.sizes, dtype=np.float32)[self.material]
        a, b, c = (self.vertices[self.triangles[:, corner]] for corner in range(3))
        area_m2 = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        p, q, r = (self.uv[self.triangles[:, corner]] * sizes for corner in range(3))
        edge, other = q - p, r - p
        area_texels = np.abs(edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0])
        return np.asarray(np.sqrt(np.maximum(area_m2, 1e-14) / np.maximum(area_texels, 1e-6)))


def light_sample(
    light: Light, points: Floats, first: Floats, second: Floats
) -> tuple[Floats, Floats, float]:
    """Directions to points of a light, and how much of its colour arrives there.

    `first` and `second` (N,) in 0..1 choose the place on the light. Returns directions (N,3), not
    unit for a near light, the strength (N,) across the ray to be multiplied by `light.colour`, and
    the `reach` for `World.blocked`.
    """
    if isinstance(light, RectLight):
        corner, edge_u, edge_v = (
            np.array(vector, dtype=np.float32)
            for vector in (light.corner, light.edge_u, light.edge_v)
        )
        to_light = corner - points
        to_light += first[:, None] * edge_u
        to_light += second[:, None] * edge_v
        squared = np.maximum(dots(to_light, to_light), 4e-4)
        facing = np.maximum(-(to_light @ np.cross(edge_u, edge_v)), 0.0)
        return to_light, facing / (squared * np.sqrt(squared)), 0.998
    axis = np.array(light.direction, dtype=np.float32)
    axis /= np.linalg.norm(axis)
    side = np.cross(axis, np.array([0.0, 0.0, 1.0], dtype=np.float32))
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    radius = np.float32(np.tan(light.radius_rad)) * np.sqrt(first)[:, None]
    angle = np.float32(2.0 * np.pi) * second[:, None]
    directions = axis + radius * (np.cos(angle) * side + np.sin(angle) * other)
    return directions, np.ones(len(points), dtype=np.float32), 1e4


def dots(first: Floats, second: Floats) -> Floats:
    """Scalar products (N,) of two lists of vectors (N,3)."""
    return np.asarray(np.einsum("ni,ni->n", first, second))


def normalise(vectors: Floats) -> None:
    """Make the vectors (N,3) unit, in place."""
    vectors /= np.sqrt(np.maximum(dots(vectors, vectors), 1e-24))[:, None]
