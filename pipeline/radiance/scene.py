"""The photographs of a run, with what mapping found, as a problem for training."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.events import Progress, Record, Warned
from pipeline.formats.posed import simplest_camera
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.photos.masks import read_mask
from pipeline.products import NO_POINT, Photo, PhotoIndex, SparseModel
from pipeline.radiance.frame import SceneFrame, frame_of_points, frame_of_unknown
from pipeline.radiance.problem import Problem, Tracks
from pipeline.radiance.view_files import read_picture
from pipeline.radiance.views import View
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Control, run_items

FEWEST_VIEWS = 3  # to train on; held-out photographs come after them
_CUT_OUT = 0.01  # least share of a picture that is transparent where it is cut out
HELD_OUT_TRACKS = 0.1
_MASKED_BELOW = 0.5  # share of a pixel that the mask lets through
_EMPTY = ("white", "black")  # backgrounds before which nothing but the scene is
Background = Literal["white", "black", "learned", "none"]


@dataclass(frozen=True, eq=False)
class Scene:
    """A problem, and what of the run belongs to it.

    problem: what training starts from. model: that its cameras come from; None where all poses are
    unknown. images: key in the model of each training view. held_out_images: of each held-out one.
    size_px: longer side of the views.
    """

    problem: Problem
    model: SparseModel | None
    images: tuple[int, ...]
    held_out_images: tuple[int, ...]
    size_px: int


@dataclass(frozen=True)
class NoScene:
    """Why there is nothing to train on, in words."""

    reason: str


def mapped_scene(
    photos: PhotoIndex,
    models: Sequence[SparseModel],
    config: RadianceConfig,
    size_px: int,
    control: Control,
) -> Generator[Record, None, Scene | NoScene]:
    """The scene of the largest model; tells how far the reading of the photographs is.

    size_px: longer side that photographs are scaled down to. Raises PipelineError naming a
    photograph that cannot be read any more.
    """
    if not models:
        return NoScene("mapping found no model")
    model = models[0]
    by_name = {photo.name: photo for photo in photos.photos}
    numbers = sorted(model.images)
    missing = [name for i in numbers if (name := model.images[i].name) not in by_name]
    if missing:
        raise PipelineError(
            "Photograph missing",
            f"{missing[0]} has a pose, but is not among the photographs.",
            "Start the same command again.",
        )
    tasks = [
        ViewTask(by_name[model.images[i].name], model.cameras[model.images[i].camera], size_px)
        for i in numbers
    ]
    views = yield from _read_views(tasks, control)
    usable = yield from _usable(views)
    if len(usable) < 2:
        return NoScene(f"{len(usable)} photographs with a pose; one alone shows no depth")
    kept, why = held_out(len(usable), config.holdout)
    if why:
        yield Warned(why, "radiance.holdout")
    test = [usable[n] for n in kept]
    train = [number for number in usable if number not in set(test)]
    poses = [model.images[i].cam_from_world for i in numbers]
    frame = _frame(model, [numbers[n] for n in train])
    background = _background(config, [tasks[n].photo for n in train])
    problem = Problem(
        views=tuple(views[n] for n in train),
        poses=tuple(frame.field_from_world.apply_to_pose(poses[n]) for n in train),
        held_out=tuple(views[n] for n in test),
        held_out_poses=tuple(frame.field_from_world.apply_to_pose(poses[n]) for n in test),
        field_from_world=frame.field_from_world,
        depth_range=frame.depth_range,
        box=frame.box,
        bounded=background in _EMPTY,
        background=background,
        tracks=model_tracks(
            model, [numbers[n] for n in train], [views[n] for n in train], frame, config.seed
        ),
    )
    images, held_images = tuple(numbers[n] for n in train), tuple(numbers[n] for n in test)
    return Scene(problem, model, images, held_images, size_px)


def unposed_scene(
    photos: PhotoIndex, config: RadianceConfig, size_px: int, control: Control
) -> Generator[Record, None, Scene | NoScene]:
    """The scene of photographs without poses: all begin at the identity. As `mapped_scene`."""
    tasks = [ViewTask(p, photos.cameras[p.camera], size_px) for p in photos.photos]
    views = yield from _read_views(tasks, control)
    usable = yield from _usable(views)
    if len(usable) < 2:
        return NoScene(f"{len(usable)} photographs; one alone shows no depth")
    if not all(photos.cameras[photo.camera].has_focal_prior for photo in photos.photos):
        yield Warned(
            "the focal length is a guess; --intrinsics gives it, radiance.refine_focal=true lets "
            "it follow the photographs",
            "radiance.refine_focal",
        )
    chosen, why = held_out(len(usable), config.holdout)
    if why:
        yield Warned(why, "radiance.holdout")
    kept = [usable[n] for n in chosen]
    train = [n for n in usable if n not in set(kept)]
    frame = frame_of_unknown(views[train[0]].camera)
    background = _background(config, [tasks[n].photo for n in train])
    problem = Problem(
        views=tuple(views[n] for n in train),
        poses=(Pose.identity(),) * len(train),
        held_out=tuple(views[n] for n in kept),
        held_out_poses=(Pose.identity(),) * len(kept),
        field_from_world=frame.field_from_world,
        depth_range=frame.depth_range,
        box=frame.box,
        bounded=background in _EMPTY,
        background=background,
    )
    return Scene(problem, None, tuple(n + 1 for n in train), tuple(n + 1 for n in kept), size_px)


def held_out(views: int, share: float) -> tuple[list[int], str]:
    """Which of so many views test the result, evenly spread; and why there are fewer than asked.

    At least FEWEST_VIEWS stay for the training.
    """
    wanted = max(1, round(share * views)) if share > 0 else 0
    count = max(0, min(wanted, views - FEWEST_VIEWS))
    chosen = [int((n + 0.5) * views / count) for n in range(count)] if count else []
    if count == wanted:
        return chosen, ""
    return chosen, (
        f"{count} of {views} photographs are held out instead of {wanted}: training needs "
        f"{FEWEST_VIEWS}"
    )


def model_tracks(
    model: SparseModel,
    images: Sequence[int],
    views: Sequence[View],
    frame: SceneFrame,
    seed: int,
) -> Tracks | None:
    """The points that at least two of the training images see; a tenth of them is held out.

    images: their keys in the model. views: the same images at the size of training. None where
    there is no such point.
    """
    points = model.points
    lengths = np.diff(points.track_starts)
    point_of = np.repeat(np.arange(len(points)), lengths)
    number_of = np.full(max(model.images) + 1, -1, np.int64)
    number_of[list(images)] = np.arange(len(images))
    image_of = number_of[points.track_images]
    trained = image_of >= 0
    counted = np.bincount(point_of[trained], minlength=len(points)) >= 2
    trained &= counted[point_of]
    if not trained.any():
        return None
    pixels = np.empty((len(point_of), 2))
    for n, (i, view) in enumerate(zip(images, views, strict=True)):
        mine = image_of == n
        image = model.images[i]
        full = model.cameras[image.camera]
        scale = view.camera.width / full.width, view.camera.height / full.height
        pixels[mine] = image.keypoints_px[points.track_keypoints[mine]] * scale
    number_of_point = np.cumsum(counted) - 1
    total = int(counted.sum())
    apart = np.random.default_rng(seed).permutation(total) < round(HELD_OUT_TRACKS * total)
    return Tracks(
        points=frame.field_from_world.apply(points.xyz_world[counted]),
        point_of=number_of_point[point_of[trained]],
        image_of=image_of[trained],
        pixels=pixels[trained],
        held_out=apart,
    )


@dataclass(frozen=True)
class ViewTask:
    """A photograph to be read at a size; camera: at its full size."""

    photo: Photo
    camera: Camera
    size_px: int

    @property
    def name(self) -> str:
        """Of the photograph."""
        return self.photo.name


def read_view(task: ViewTask) -> View:
    """Item function: a photograph with its mask, scaled down by area.

    Raises PipelineError where the file has changed since it was looked at.
    """
    photo = task.photo
    rgb = read_picture(photo.path, task.size_px)
    height, width = rgb.shape[:2]
    factor = min(1.0, task.size_px / max(photo.width, photo.height))
    if (width, height) != (
        max(1, round(photo.width * factor)),
        max(1, round(photo.height * factor)),
    ):
        raise PipelineError(
            "Photograph changed",
            f"{photo.path} was read before, and now it has another shape.",
            "Put the photograph back as it was, or run again.",
        )
    mask = read_mask(photo)
    small = None
    if mask is not None:
        share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        small = np.asarray(share > 255 * _MASKED_BELOW)
    # Rounded sizes shrink rows and columns a little differently.
    scale = np.ones(8)
    scale[[0, 2]], scale[[1, 3]] = width / task.camera.width, height / task.camera.height
    camera = simplest_camera((width, height), task.camera.opencv_params * scale)
    return View(photo.name, rgb, camera, small)


def _read_views(tasks: Sequence[ViewTask], control: Control) -> Generator[Record, None, list[View]]:
    views: dict[int, View] = {}
    for done in run_items(read_view, tasks, control):
        views[done.index] = done.result
        if control.due():
            yield Progress(len(views), len(tasks), "photographs", "reading photographs")
    return [views[n] for n in range(len(tasks))]


def _frame(model: SparseModel, images: Sequence[int]) -> SceneFrame:
    """The frame of some of a model's images."""
    points = model.points
    row_of = {int(identity): row for row, identity in enumerate(points.ids)}
    seen = []
    for i in images:
        ids = model.images[i].point_ids
        rows = [row_of[j] for j in ids[ids != NO_POINT].tolist()]
        seen.append(points.xyz_world[rows])
    poses = [model.images[i].cam_from_world for i in images]
    return frame_of_points(points.xyz_world, poses, seen)


def _usable(views: Sequence[View]) -> Generator[Record, None, list[int]]:
    """The numbers of the views that show something; warns of the others."""
    usable = []
    for number, view in enumerate(views):
        if view.shows_nothing:
            yield Warned("is left out: its mask covers all of it", view.name)
        else:
            usable.append(number)
    return usable


def _background(config: RadianceConfig, photos: Sequence[Photo]) -> Background:
    """What lies behind everything: nothing but white where most photographs are cut out of their
    surroundings, else surroundings without an end."""
    if config.background != "auto":
        return config.background
    return "white" if 2 * sum(_is_cut_out(photo.path) for photo in photos) > len(photos) else "none"


def _is_cut_out(path: Path) -> bool:
    """Whether parts of a picture are transparent; many that have an alpha channel are opaque."""
    with Image.open(path) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            return False
        shares = image.convert("RGBA").getchannel("A").histogram()
        return sum(shares[:128]) > _CUT_OUT * sum(shares)
