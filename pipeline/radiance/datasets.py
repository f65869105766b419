"""The public data sets, with their true poses, as problems that training can start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import is_model, read_model
from pipeline.formats.llff import names_for_rows, read_llff
from pipeline.formats.posed import PosedPhotos, photo_names_in, photo_size
from pipeline.formats.reference import read_posed_photos
from pipeline.formats.transforms import read_transforms
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import Similarity
from pipeline.products import NO_POINT, SparseModel
from pipeline.radiance.frame import (
    SceneFrame,
    frame_of_cameras,
    frame_of_points,
    frame_of_unknown,
)
from pipeline.radiance.perturbation import displaced, published_noise
from pipeline.radiance.problem import Problem
from pipeline.radiance.rendering import DepthRange
from pipeline.radiance.scene import held_out
from pipeline.radiance.view_files import read_views
from pipeline.radiance.views import View

StartMode = Literal["known", "noise", "displaced", "unknown"]
LLFF_HELD_OUT = 0.1  # share of the photographs, the last ones, as published
_BLENDER_DEPTHS = DepthRange(2.0, 6.0)
_BLENDER_BOX = 1.5  # half side of the cube that holds the objects of the Blender scenes


@dataclass(frozen=True, eq=False)
class DataSet:
    """Views with true poses, in the frame that fields are trained in.

    views, poses: to train on. held_out, held_out_poses: never trained on. The rest as in `Problem`.
    """

    name: str
    views: tuple[View, ...]
    poses: tuple[Pose, ...]
    held_out: tuple[View, ...]
    held_out_poses: tuple[Pose, ...]
    field_from_world: Similarity
    depth_range: DepthRange
    box: Float64s
    bounded: bool
    background: Literal["white", "black", "learned", "none"]


@dataclass(frozen=True)
class Start:
    """Where the poses of an experiment start.

    known: at the truth. noise: published noise of se(3), `sigma` radians and units. displaced:
    turned by `angle_deg` about the camera's centre and moved by `share` of the scene size.
    unknown: at the identity, for scenes whose cameras look one way.
    """

    mode: StartMode = "known"
    sigma: float = 0.15
    angle_deg: float = 2.0
    share: float = 0.02
    seed: int = 0

    def of(self, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """The poses to start from, of true poses."""
        if self.mode == "noise":
            return published_noise(poses, self.sigma, self.seed)
        if self.mode == "displaced":
            return displaced(poses, self.angle_deg, self.share, self.seed)
        return (Pose.identity(),) * len(poses) if self.mode == "unknown" else tuple(poses)

    def __str__(self) -> str:
        if self.mode == "noise":
            return f"noise {self.sigma:g}, seed {self.seed}"
        if self.mode == "displaced":
            return f"{self.angle_deg:g} deg and {100 * self.share:g} % off, seed {self.seed}"
        return self.mode


def problem_of(data: DataSet, start: Start) -> Problem:
    """What training starts from. Held-out views get their true poses, but where all poses are
    unknown: then theirs are, too."""
    unknown = start.mode == "unknown"
    held_out = (Pose.identity(),) * len(data.held_out) if unknown else data.held_out_poses
    return Problem(
        data.views,
        start.of(data.poses),
        data.held_out,
        held_out,
        data.field_from_world,
        data.depth_range,
        data.box,
        data.bounded,
        data.background,
    )


def read_blender(folder: Path, size_px: int | None = None, tests: int | None = None) -> DataSet:
    """A scene of the NeRF paper's synthetic set: an object before nothing, composited on white.

    folder: with transforms_train.json, and transforms_test.json or transforms_val.json for the
    held-out views. size_px: longer side of the views; None: as they are. tests: most held-out
    views, evenly spread; None: all. Raises PipelineError naming the file that is missing or
    malformed.
    """
    train = read_transforms(folder / "transforms_train.json")
    names = ("transforms_test.json", "transforms_val.json")
    test_file = next((folder / name for name in names if (folder / name).is_file()), None)
    test = PosedPhotos({}, {}) if test_file is None else read_transforms(test_file)
    train_names, test_names = list(train.cam_from_world), evenly(list(test.cam_from_world), tests)
    return DataSet(
        folder.name,
        read_views(folder, train, train_names, size_px),
        tuple(train.cam_from_world.values()),
        read_views(folder, test, test_names, size_px),
        tuple(test.cam_from_world[name] for name in test_names),
        Similarity(1.0, np.eye(3), np.zeros(3)),
        _BLENDER_DEPTHS,
        np.array([[-_BLENDER_BOX] * 3, [_BLENDER_BOX] * 3]),
        bounded=True,
        background="white",
    )


def read_forward_facing(folder: Path, size_px: int | None = None) -> DataSet:
    """A forward-facing scene of the LLFF set in its published frame; the last tenth is held out.

    Source: Mildenhall et al., "Local Light Field Fusion", 2019; the frame as BARF has it: 0.75 of
    the nearest depth is 1, the mean camera is the identity. folder: with poses_bounds.npy and
    images/ or images_N/. size_px: as in `read_blender`. Raises PipelineError naming the file that
    is missing or malformed.
    """
    path = folder / "poses_bounds.npy"
    llff = read_llff(path)
    photos = _llff_photos(folder, size_px)
    names = names_for_rows(path, len(llff.cameras), photo_names_in(photos))
    frame = _mean_camera_frame(llff.cam_from_world, float(llff.depth_bounds.min()))
    poses = {
        name: frame.apply_to_pose(pose)
        for name, pose in zip(names, llff.cam_from_world, strict=True)
    }
    posed = PosedPhotos(poses, dict(zip(names, llff.cameras, strict=True)))
    held = int(LLFF_HELD_OUT * len(names))
    train, test = names[: len(names) - held], names[len(names) - held :]
    views = read_views(photos, posed, train, size_px)
    space = frame_of_unknown(views[0].camera)
    return DataSet(
        folder.name,
        views,
        tuple(poses[name] for name in train),
        read_views(photos, posed, test, size_px),
        tuple(poses[name] for name in test),
        frame,
        space.depth_range,
        space.box,
        bounded=False,
        background="none",
    )


def read_posed_scene(path: Path, size_px: int | None = None, holdout: float = 0.1) -> DataSet:
    """Photographs with poses from anywhere: a transforms.json, or a COLMAP model with its images.

    path: the file, or the folder that holds it. The poses count as true; with the points of a
    COLMAP model they tell where the scene is. holdout: share of the photographs that are held out,
    evenly spread. Raises PipelineError naming what is missing or malformed.
    """
    posed = read_posed_photos(path)
    names = sorted(posed.cam_from_world)
    folder = _photo_folder(path, names)
    model = _model_folder(path)
    poses = posed.cam_from_world
    if model is None:
        space = frame_of_cameras([poses[name] for name in names])
    else:
        space = _frame_of_model(read_model(model))
    frame = space.field_from_world
    kept, _ = held_out(len(names), holdout)
    test = [names[n] for n in kept]
    train = [name for name in names if name not in set(test)]
    return DataSet(
        path.resolve().name,
        read_views(folder, posed, train, size_px),
        tuple(frame.apply_to_pose(poses[name]) for name in train),
        read_views(folder, posed, test, size_px),
        tuple(frame.apply_to_pose(poses[name]) for name in test),
        frame,
        space.depth_range,
        space.box,
        bounded=False,
        background="none",
    )


def evenly(items: Sequence[str], most: int | None) -> list[str]:
    """At most so many of the items, evenly spread; None: all."""
    if most is None or most >= len(items):
        return list(items)
    return [items[int((n + 0.5) * len(items) / most)] for n in range(most)]


def _llff_photos(folder: Path, size_px: int | None) -> Path:
    """The folder with the smallest pictures that are large enough; the largest, if none is."""
    found: list[tuple[int, Path]] = []
    for photos in sorted(folder.glob("images*")):
        names = photo_names_in(photos)
        size = photo_size(photos / names[0]) if names else None
        if size is not None:
            found.append((max(size), photos))
    if not found:
        raise PipelineError(
            "No photographs",
            f"{folder} has no pictures in images/ or images_N/",
            "A scene of the LLFF set has poses_bounds.npy and, beside it, images/.",
        )
    enough = [entry for entry in found if size_px is not None and entry[0] >= size_px]
    return min(enough)[1] if enough else max(found)[1]


def _mean_camera_frame(poses: Sequence[Pose], nearest: float) -> Similarity:
    """The field's frame: x right, y down, z forward of the mean camera, 0.75 `nearest` long."""
    centre = np.mean([pose.center for pose in poses], axis=0)
    forward = _unit(np.mean([pose.rotation[2] for pose in poses], axis=0))
    right = _unit(np.cross(np.mean([pose.rotation[1] for pose in poses], axis=0), forward))
    rotation = np.stack([right, np.cross(forward, right), forward])
    scale = 1.0 / (0.75 * nearest)
    return Similarity(scale, rotation, -scale * rotation @ centre)


def _unit(vector: Float64s) -> Float64s:
    return np.asarray(vector / np.linalg.norm(vector))


def _photo_folder(path: Path, names: Sequence[str]) -> Path:
    """The folder that the names start from: about the file, and images/ there."""
    base = path if path.is_dir() else path.parent
    candidates = [base, base / "images", base.parent / "images", base.parent.parent / "images"]
    found = next((folder for folder in candidates if (folder / names[0]).is_file()), None)
    if found is None:
        raise PipelineError(
            "Photographs missing",
            f"{path} has poses of photographs such as {names[0]}, which is not found",
            f"Put them into {base / 'images'}.",
        )
    return found


def _model_folder(path: Path) -> Path | None:
    """The COLMAP model that the poses of a path come from; None where they come from elsewhere."""
    if (path / "ground_truth.json").is_file() or path.suffix in (".json", ".npy"):
        return None
    folders = (path, path / "sparse" / "0", path / "sparse", path.parent)
    return next((folder for folder in folders if is_model(folder)), None)


def _frame_of_model(model: SparseModel) -> SceneFrame:
    xyz = model.points.xyz_world
    row_of = {identity: row for row, identity in enumerate(model.points.ids.tolist())}
    images = model.images.values()
    seen = [xyz[[row_of[j] for j in i.point_ids.tolist() if j != NO_POINT]] for i in images]
    return frame_of_points(xyz, [image.cam_from_world for image in images], seen)
