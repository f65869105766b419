"""Ceres, through pycolmap, on the problems of our bundle adjustment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pycolmap

from pipeline.geometry.cameras import MODELS, Camera
from pipeline.mapping.bundle import BundleOptions, BundleProblem

_LOSSES = {"none": "TRIVIAL", "huber": "HUBER", "soft_l1": "SOFT_L1", "cauchy": "CAUCHY"}


@dataclass(frozen=True, eq=False)
class PeerResult:
    """What Ceres made of a problem. seconds: Ceres' own total, without COLMAP's preparation."""

    problem: BundleProblem
    initial_cost: float
    final_cost: float
    iterations: int
    seconds: float
    solver: str


def reconstruction_of(problem: BundleProblem) -> Any:
    """The problem as a pycolmap reconstruction; ids count from 1."""
    model = pycolmap.Reconstruction()
    for k, camera in enumerate(problem.cameras):
        model.add_camera_with_trivial_rig(
            pycolmap.Camera(
                model=camera.model,
                width=camera.width,
                height=camera.height,
                params=camera.params,
                camera_id=k + 1,
            )
        )
    rows = np.empty(len(problem.obs_px), np.int64)
    for i in range(len(problem.rotations)):
        mine = np.flatnonzero(problem.obs_images == i)
        rows[mine] = np.arange(len(mine))
        image = pycolmap.Image(
            name=f"{i:05d}.jpg",
            keypoints=problem.obs_px[mine],
            camera_id=int(problem.image_cameras[i]) + 1,
            image_id=i + 1,
        )
        rotation = pycolmap.Rotation3d(problem.rotations[i])
        pose = pycolmap.Rigid3d(rotation, problem.translations[i])
        model.add_image_with_trivial_frame(image, pose)
    order = np.argsort(problem.obs_points, kind="stable")
    starts = np.searchsorted(problem.obs_points[order], np.arange(len(problem.points_world) + 1))
    images = (problem.obs_images + 1).tolist()
    for j, xyz in enumerate(problem.points_world):
        track = pycolmap.Track(
            [
                pycolmap.TrackElement(images[n], int(rows[n]))
                for n in order[starts[j] : starts[j + 1]].tolist()
            ]
        )
        model.add_point3D_with_id(j + 1, pycolmap.Point3D(xyz=xyz, track=track))
    return model


def problem_of(model: Any) -> BundleProblem:
    """The problem of a pycolmap reconstruction; free: focal length and distortion."""
    camera_ids, image_ids = sorted(model.cameras), sorted(model.reg_image_ids())
    point_ids = sorted(model.points3D)
    cameras = tuple(
        Camera(c.model.name, c.width, c.height, np.array(c.params))
        for c in (model.cameras[k] for k in camera_ids)
    )
    images = [model.images[i] for i in image_ids]
    poses = [image.cam_from_world() for image in images]
    point_of = {p: j for j, p in enumerate(point_ids)}
    image_of = {p: i for i, p in enumerate(image_ids)}
    obs = [
        (image_of[e.image_id], j, e.point2D_idx)
        for p, j in point_of.items()
        for e in model.points3D[p].track.elements
    ]
    obs_images, obs_points, rows = (np.array(column) for column in zip(*obs, strict=True))
    px = np.array([images[i].points2D[r].xy for i, r in zip(obs_images, rows, strict=True)])
    free = []
    for camera in cameras:
        mask = np.ones(len(camera.params), np.bool_)
        mask[list(MODELS[camera.model].indices_of("center"))] = False
        free.append(mask)
    return BundleProblem(
        cameras=cameras,
        image_cameras=np.array([camera_ids.index(image.camera_id) for image in images]),
        rotations=np.array([pose.rotation.matrix() for pose in poses]),
        translations=np.array([pose.translation for pose in poses]),
        points_world=np.array([model.points3D[p].xyz for p in point_ids]),
        obs_images=obs_images,
        obs_points=obs_points,
        obs_px=px,
        free_intrinsics=tuple(free),
    )


def adjust_with_ceres(problem: BundleProblem, options: BundleOptions, threads: int) -> PeerResult:
    """Ceres' answer with the same loss, tolerances and free kinds of intrinsics."""
    model = reconstruction_of(problem)
    peer = pycolmap.BundleAdjustmentOptions()
    free = _free_kinds(problem)
    peer.refine_focal_length = free["focal"]
    peer.refine_principal_point = free["center"]
    peer.refine_extra_params = free["distortion"]
    peer.print_summary = False
    peer.ceres.loss_function_type = pycolmap.LossFunctionType.__members__[_LOSSES[options.loss]]
    peer.ceres.loss_function_scale = options.loss_scale_px
    solver = peer.ceres.solver_options
    solver.max_num_iterations = options.max_iterations
    solver.function_tolerance = options.cost_tolerance
    solver.gradient_tolerance = options.gradient_tolerance
    solver.parameter_tolerance = options.parameter_tolerance
    solver.num_threads = threads
    config = pycolmap.BundleAdjustmentConfig()
    for i in range(len(problem.rotations)):
        config.add_image(i + 1)
        if problem.fixed_images is not None and problem.fixed_images[i]:
            config.set_constant_rig_from_world_pose(i + 1)
    if problem.fixed_points is not None:
        for j in np.flatnonzero(problem.fixed_points).tolist():
            config.add_constant_point(j + 1)
    if problem.fixed_images is None:
        config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    summary = pycolmap.create_default_bundle_adjuster(peer, config, model).solve().ceres_summary
    poses = [model.images[i + 1].cam_from_world() for i in range(len(problem.rotations))]
    adjusted = replace(
        problem,
        cameras=tuple(
            camera.with_params(np.array(model.cameras[k + 1].params))
            for k, camera in enumerate(problem.cameras)
        ),
        rotations=np.array([pose.rotation.matrix() for pose in poses]),
        translations=np.array([pose.translation for pose in poses]),
        points_world=np.array(
            [model.points3D[j + 1].xyz for j in range(len(problem.points_world))]
        ),
    )
    return PeerResult(
        adjusted,
        summary.initial_cost,
        summary.final_cost,
        summary.num_successful_steps + summary.num_unsuccessful_steps,
        summary.total_time_in_seconds,
        summary.linear_solver_type_used.name,
    )


def _free_kinds(problem: BundleProblem) -> dict[str, bool]:
    kinds = dict.fromkeys(("focal", "center", "distortion"), False)
    for camera, mask in zip(problem.cameras, problem.free_intrinsics or (), strict=False):
        for kind in kinds:
            indices = list(MODELS[camera.model].indices_of(kind))
            kinds[kind] |= bool(indices) and bool(mask[indices].all())
    return kinds
