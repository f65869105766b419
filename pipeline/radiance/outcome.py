"""What the stage `radiance` makes: a trained field, and cameras that are better, or not."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.dense_products import DepthMaps, NoDepth
from pipeline.events import Progress, Record, Report
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import NoSimilarity, Similarity
from pipeline.products import (
    NoField,
    PhotoIndex,
    Points,
    RadianceField,
    Reconstruction,
    RefinedCameras,
    RegisteredImage,
    SparseModel,
)
from pipeline.radiance.course import Course
from pipeline.radiance.evaluation import Evaluation
from pipeline.radiance.field_depth import FieldDepthMaps, render_depth, views_with_depth
from pipeline.radiance.pose_errors import align_centres
from pipeline.radiance.refined import LearnedCameras, refined_model, with_images
from pipeline.radiance.rescue import MOST_WORSE_DB, Rescued, missing_views, neighbours, rescue
from pipeline.radiance.scene import NoScene, Scene, mapped_scene, read_view, unposed_scene
from pipeline.radiance.settings import view_size_px
from pipeline.radiance.snapshots import CameraSnapshots
from pipeline.radiance.track_geometry import Observations
from pipeline.radiance.verdict import CameraSet, CameraVerdict, judge
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Control, Products
from pipeline.torch_devices import choose_device


def mapped_products(
    photos: PhotoIndex, reconstruction: Reconstruction, config: RadianceConfig, control: Control
) -> Generator[Record, None, Products]:
    """Train on the largest model of a reconstruction, and judge its cameras.

    Result: `radiance`, `refined` and `field_depth`; where there is nothing to train on, a `NoField`
    says why.
    """
    device, size_px = _prepare(config, control)
    scene = yield from mapped_scene(photos, reconstruction.models, config, size_px, control)
    if isinstance(scene, NoScene):
        return (yield from _untrained(scene))
    assert scene.model is not None, "a mapped scene has a model"
    course = Course(scene.problem, config, control, device, _snapshots(photos, scene))
    yield from course.train()
    evaluation = yield from course.evaluate()
    world_from_field = _world_from_field(scene, course)
    learned = _learned(scene, scene.model, course, world_from_field)
    verdict = _verdict(scene, scene.model, learned)
    model = refined_model(scene.model, learned) if verdict.better else None
    rescued: list[Rescued] = []
    if config.rescue:
        rescued = yield from _rescue(photos, scene, scene.model, course, evaluation)
        model = _with_rescued(model, scene.model, photos, rescued, world_from_field)
    words = _words(verdict, rescued)
    yield Report(
        {
            **course.report(evaluation),
            "tracks": verdict.to_json(),
            "refined": verdict.better,
            "verdict": words,
            "rescued": [entry.to_json() for entry in rescued],
        }
    )
    refined = RefinedCameras(model, words)
    field = _field(scene, course, world_from_field)
    field_depth = yield from _field_depth(course)
    return {"radiance": field, "refined": refined, "field_depth": field_depth}


def unposed_products(
    photos: PhotoIndex, config: RadianceConfig, control: Control
) -> Generator[Record, None, Products]:
    """Train on photographs without poses. Result: as `mapped_products`; the cameras are always
    taken, there are no others."""
    device, size_px = _prepare(config, control)
    scene = yield from unposed_scene(photos, config, size_px, control)
    if isinstance(scene, NoScene):
        return (yield from _untrained(scene))
    course = Course(scene.problem, config, control, device, _snapshots(photos, scene))
    yield from course.train()
    poses = course.trained().poses
    nearest = [
        min(range(len(scene.images)), key=lambda n: abs(scene.images[n] - i))
        for i in scene.held_out_images
    ]
    evaluation = yield from course.evaluate([poses[n] for n in nearest])
    words = f"{len(poses)} poses were found by the radiance field alone"
    yield Report(
        {**course.report(evaluation), "refined": True, "verdict": words, "registered": len(poses)}
    )
    field = _field(scene, course, Similarity(1.0, np.eye(3), np.zeros(3)))
    refined = RefinedCameras(_unposed_model(photos, scene, course, poses), words)
    field_depth = yield from _field_depth(course)
    return {"radiance": field, "refined": refined, "field_depth": field_depth}


def _prepare(config: RadianceConfig, control: Control) -> tuple[torch.device, int]:
    """The device, and the size of the views. torch may use as many threads as the stage."""
    torch.set_num_threads(control.workers)
    device = choose_device(config.device)
    return device, view_size_px(config, device)


def _snapshots(photos: PhotoIndex, scene: Scene) -> CameraSnapshots:
    numbers = {photo.name: i for i, photo in enumerate(photos.photos)}
    return CameraSnapshots(scene.problem, numbers)


def _untrained(scene: NoScene) -> Generator[Record, None, Products]:
    words = f"no radiance field: {scene.reason}"
    yield Report({"trained": False, "refined": False, "verdict": words})
    refined = RefinedCameras(None, words)
    return {"radiance": NoField(words), "refined": refined, "field_depth": NoDepth(words)}


def _world_from_field(scene: Scene, course: Course) -> Similarity:
    """The similarity that brings the learned cameras nearest to where they were in the world:
    nothing holds a field in place but its start."""
    at_first = scene.problem.field_from_world.inverse()
    then = [at_first.apply_to_pose(pose) for pose in scene.problem.poses]
    found = align_centres(course.trained().poses, then)
    return at_first if isinstance(found, NoSimilarity) else found


def _learned(
    scene: Scene, model: SparseModel, course: Course, world_from_field: Similarity
) -> LearnedCameras:
    poses = [world_from_field.apply_to_pose(pose) for pose in course.trained().poses]
    of_view = course.trainer.model.cameras
    factors = of_view.focal_logs.detach().exp()[of_view.camera_of_image].tolist()
    cameras = dict(model.cameras)
    for i, factor in zip(scene.images, factors, strict=True):
        k = model.images[i].camera
        cameras[k] = model.cameras[k].with_focal_scaled(factor)
    return LearnedCameras(dict(zip(scene.images, poses, strict=True)), cameras)


def _verdict(scene: Scene, model: SparseModel, learned: LearnedCameras) -> CameraVerdict:
    """By the tracks that were held out, at the full size of the photographs."""
    tracks, keys = scene.problem.tracks, [model.images[i].camera for i in scene.images]
    before = CameraSet(
        [model.images[i].cam_from_world for i in scene.images], [model.cameras[k] for k in keys]
    )
    after = CameraSet([learned.poses[i] for i in scene.images], [learned.cameras[k] for k in keys])
    if tracks is None:
        none = np.zeros(0, np.int64)
        return judge(Observations(0, none, none, np.zeros((0, 2))), before, after)
    scales = np.array(
        [
            (full.width / view.camera.width, full.height / view.camera.height)
            for full, view in zip(before.cameras, scene.problem.views, strict=True)
        ]
    )
    seen = Observations(
        len(tracks.points),
        tracks.point_of,
        tracks.image_of,
        tracks.pixels * scales[tracks.image_of],
    )
    return judge(seen.where(tracks.held_out[tracks.point_of]), before, after)


def _field(scene: Scene, course: Course, world_from_field: Similarity) -> RadianceField:
    model = course.trainer.model
    # Last of all: a checkpoint holds the frame that training began in.
    model.setup = replace(model.setup, field_from_world=world_from_field.inverse())
    names = tuple(view.name for view in scene.problem.held_out)
    return RadianceField(model.to_arrays(), names, scene.size_px)


def _field_depth(course: Course) -> Generator[Record, None, DepthMaps]:
    """Depth maps of the field, in the frame that it has in the end."""
    model = course.trainer.model
    views, maps = views_with_depth(model), []
    for number, view in enumerate(views):
        yield Progress(number, len(views), "depth maps", "rendering the field's depth")
        for found in render_depth(model, view):
            course.serve()
            if found is not None:
                maps.append(found)
    return FieldDepthMaps(views, maps)


def _rescue(
    photos: PhotoIndex, scene: Scene, model: SparseModel, course: Course, evaluation: Evaluation
) -> Generator[Record, None, list[Rescued]]:
    """Look for the photographs that have no pose, each between its neighbours."""
    trained = course.trained()
    names = [photo.name for photo in photos.photos]
    posed = {view.name: pose for view, pose in zip(scene.problem.views, trained.poses, strict=True)}
    known_psnr = course.psnr if evaluation.psnr is None else evaluation.psnr
    found = []
    tasks = missing_views(photos, model, scene.size_px)
    for number, task in enumerate(tasks):
        yield Progress(number, len(tasks), "photographs", f"looking for {task.name}")
        starts = neighbours(task.name, names, posed)
        found.append(rescue(trained, read_view(task), starts, known_psnr - MOST_WORSE_DB))
        course.serve()
    return found


def _with_rescued(
    refined: SparseModel | None,
    mapped: SparseModel,
    photos: PhotoIndex,
    rescued: Sequence[Rescued],
    world_from_field: Similarity,
) -> SparseModel | None:
    """The cameras that hold, with those of rescued photographs."""
    base = mapped if refined is None else refined
    cameras = {task.name: task.camera for task in missing_views(photos, mapped, 0)}
    found = {
        entry.name: (cameras[entry.name], world_from_field.apply_to_pose(entry.pose))
        for entry in rescued
        if entry.pose is not None
    }
    return with_images(base, found) if found else refined


def _words(verdict: CameraVerdict, rescued: Sequence[Rescued]) -> str:
    """The verdict, and why there is a refined model where the cameras stay."""
    found = sum(entry.pose is not None for entry in rescued)
    if not found:
        return verdict.words
    photographs = "1 photograph" if found == 1 else f"{found} photographs"
    added = f"sparse/refined holds them with {photographs} that the field placed"
    return f"{verdict.words}; {added}"


def _unposed_model(
    photos: PhotoIndex, scene: Scene, course: Course, poses: Sequence[Pose]
) -> SparseModel:
    """The learned cameras as a model without points, in the field's frame."""
    of_view = course.trainer.model.cameras
    factors = of_view.focal_logs.detach().exp()[of_view.camera_of_image].tolist()
    images, cameras = {}, {}
    for i, pose, factor in zip(scene.images, poses, factors, strict=True):
        photo = photos.photos[i - 1]
        cameras[photo.camera + 1] = photos.cameras[photo.camera].with_focal_scaled(factor)
        images[i] = RegisteredImage(
            photo.name, photo.camera + 1, pose, np.zeros((0, 2)), np.zeros(0, np.int64)
        )
    return SparseModel(cameras, images, Points.none())
