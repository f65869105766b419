"""A small synthetic world with known truth: cameras on an arc, points before them, observations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.arrays import Bools, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.mapping.bundle import BundleProblem

PARAMS: dict[str, tuple[float, ...]] = {
    "SIMPLE_PINHOLE": (800.0, 500.0, 375.0),
    "PINHOLE": (800.0, 810.0, 500.0, 375.0),
    "SIMPLE_RADIAL": (800.0, 500.0, 375.0, -0.05),
    "RADIAL": (800.0, 500.0, 375.0, -0.05, 0.01),
    "OPENCV": (800.0, 810.0, 500.0, 375.0, -0.05, 0.01, 1e-3, -5e-4),
}
WIDTH, HEIGHT = 1000, 750


@dataclass(frozen=True)
class WorldSpec:
    """images on an arc of `arc` radians at distance 6 from points in a box of half-size 1.

    views: most images that see a point, those nearest in the row (0: all). model: of the camera.
    cameras: how many share the images, in turn. planar: all points at height zero. outliers: share
    of the observations thrown anywhere in the image. seed: of everything random.
    """

    images: int = 8
    points: int = 200
    views: int = 0
    model: str = "SIMPLE_RADIAL"
    cameras: int = 1
    arc: float = 1.5
    noise_px: float = 0.0
    outliers: float = 0.0
    planar: bool = False
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SyntheticWorld:
    """The true problem, whose observations carry the noise, and which of them are outliers (N,)."""

    truth: BundleProblem
    outliers: Bools

    @property
    def poses(self) -> tuple[Pose, ...]:
        """True cam_from_world of every image."""
        pairs = zip(self.truth.rotations, self.truth.translations, strict=True)
        return tuple(Pose(rotation, translation) for rotation, translation in pairs)


def make_world(spec: WorldSpec) -> SyntheticWorld:
    """Build the world of a spec; every observation lies before its camera and within the image."""
    rng = np.random.default_rng(spec.seed)
    points = rng.uniform(-1.0, 1.0, (spec.points, 3))
    if spec.planar:
        points[:, 1] = 0.0
    angles = np.linspace(-spec.arc / 2, spec.arc / 2, spec.images)
    centers = 6.0 * np.column_stack([np.sin(angles), -0.15 + 0.0 * angles, -np.cos(angles)])
    centers += rng.normal(0.0, 0.1, centers.shape)
    rotations = np.stack([_look_at(center, rng.normal(0.0, 0.05, 3)) for center in centers])
    translations = -np.einsum("iab,ib->ia", rotations, centers)
    cameras = tuple(
        Camera(spec.model, WIDTH, HEIGHT, np.array(PARAMS[spec.model])) for _ in range(spec.cameras)
    )
    image_cameras = np.arange(spec.images) % spec.cameras
    if spec.views:
        first = rng.integers(0, max(1, spec.images - spec.views + 1), spec.points)
        obs_images = (first[:, None] + np.arange(min(spec.views, spec.images))).reshape(-1)
    else:
        obs_images = np.tile(np.arange(spec.images), spec.points)
    obs_points = np.repeat(np.arange(spec.points), len(obs_images) // max(spec.points, 1))
    points_cam = np.einsum("nab,nb->na", rotations[obs_images], points[obs_points])
    px = np.empty((len(obs_images), 2))
    for k, camera in enumerate(cameras):
        mine = image_cameras[obs_images] == k
        px[mine] = camera.project(points_cam[mine] + translations[obs_images[mine]])
    inside = np.all((px > 0.0) & (px < (WIDTH, HEIGHT)), axis=1)
    px = px[inside] + rng.normal(0.0, 1.0, (int(inside.sum()), 2)) * spec.noise_px
    outliers = rng.random(len(px)) < spec.outliers
    px[outliers] = rng.uniform((0.0, 0.0), (WIDTH, HEIGHT), (int(outliers.sum()), 2))
    truth = BundleProblem(
        cameras=cameras,
        image_cameras=image_cameras,
        rotations=rotations,
        translations=translations,
        points_world=points,
        obs_images=obs_images[inside],
        obs_points=obs_points[inside],
        obs_px=px,
    )
    return SyntheticWorld(truth, outliers)


def perturb(
    problem: BundleProblem, size: float, seed: int = 0, params: float = 0.0
) -> BundleProblem:
    """The problem with poses and points off by a normal error of this size (radians, units), and
    the intrinsics by the factor 1 + params; what is fixed stays."""
    rng = np.random.default_rng(seed)
    turn = rotation_from_rotvec(rng.normal(0.0, size, (len(problem.rotations), 3)))
    shift = rng.normal(0.0, size, problem.translations.shape)
    move = rng.normal(0.0, size, problem.points_world.shape)
    if problem.fixed_images is not None:
        turn[problem.fixed_images], shift[problem.fixed_images] = np.eye(3), 0.0
    if problem.fixed_points is not None:
        move[problem.fixed_points] = 0.0
    return replace(
        problem,
        rotations=turn @ problem.rotations,
        translations=problem.translations + shift,
        points_world=problem.points_world + move,
        cameras=tuple(_scaled(problem, k, 1.0 + params) for k in range(len(problem.cameras))),
    )


def free_all(problem: BundleProblem, *kinds: str) -> tuple[Bools, ...]:
    """A `free_intrinsics` that refines these kinds of parameters of every camera."""
    from pipeline.geometry.cameras import MODELS

    masks = []
    for camera in problem.cameras:
        mask = np.zeros(len(camera.params), np.bool_)
        for kind in kinds:
            mask[list(MODELS[camera.model].indices_of(kind))] = True
        masks.append(mask)
    return tuple(masks)


def _scaled(problem: BundleProblem, k: int, factor: float) -> Camera:
    camera = problem.cameras[k]
    if problem.free_intrinsics is None:
        return camera
    return camera.with_params(
        np.where(problem.free_intrinsics[k], camera.params * factor, camera.params)
    )


def _look_at(center: Float64s, wobble: Float64s) -> Float64s:
    """Rotation cam_from_world of a camera that looks at the origin, y down, turned by a wobble."""
    forward = -center / np.linalg.norm(center)
    right = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.asarray(rotation_from_rotvec(wobble) @ rotation)
